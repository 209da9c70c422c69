"""What a single file is, told from its header; and the layouts of the real checkpoints."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from accelerate import init_empty_weights
from diffusers import AutoencoderKL, UNet2DConditionModel
from safetensors.torch import load_file, save_file
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

from bridge.errors import BridgeError, Code
from bridge.models.families import SD2, SD15, SDXL
from bridge.models.load import load
from bridge.models.single_file import CONFIGS, inspect_file
from bridge.models.tokenizers import CLIP_VOCABULARY
from bridge.presets import ModelFile
from tests.single_file import open_clip_names, unet_names, vae_names, write_single_file


def test_the_header_tells_the_family(sd15: Path, sd2: Path, sdxl: Path, tmp_path: Path) -> None:
    three = inspect_file(write_single_file(sd2, tmp_path / "three.safetensors"))
    assert (three.family, three.in_channels, three.config) == (SD2, 4, CONFIGS / "sd2")
    one = inspect_file(write_single_file(sd15, tmp_path / "one.safetensors"))
    two = inspect_file(write_single_file(sdxl, tmp_path / "two.safetensors"))
    assert (one.family, one.in_channels, one.config) == (SD15, 4, CONFIGS / "sd15")
    assert (two.family, two.in_channels, two.config) == (SDXL, 4, CONFIGS / "sdxl")


def test_a_file_of_other_sizes_than_its_family_is_refused(sd15: Path, tmp_path: Path) -> None:
    path = write_single_file(sd15, tmp_path / "tiny.safetensors")
    with pytest.raises(BridgeError) as caught:
        load(ModelFile(path), "cpu")
    assert caught.value.code is Code.MODEL_CORRUPT
    assert "does not fit the Stable Diffusion 1.5 layout" in caught.value.message


def test_a_configuration_without_a_tokenizer_says_where_to_put_one(
    sd15: Path, own_sd15: Path, tmp_path: Path
) -> None:
    path = write_single_file(sd15, tmp_path / "tiny.safetensors")
    (own_sd15 / "tokenizer").rename(own_sd15 / "elsewhere")
    with pytest.raises(BridgeError) as caught:
        load(ModelFile(path, own_sd15), "cpu")
    assert caught.value.code is Code.MODEL_MISSING
    assert str(own_sd15 / "tokenizer") in caught.value.message


@pytest.mark.parametrize(
    ("marks", "metadata", "expected"),
    [
        ({}, {}, ("epsilon", None)),
        ({"v_pred": torch.tensor([])}, {}, ("v_prediction", None)),
        (
            {"v_pred": torch.tensor([]), "ztsnr": torch.tensor([])},
            {},
            ("v_prediction", True),
        ),
        ({}, {"modelspec.prediction_type": "v"}, ("v_prediction", None)),
        ({}, {"modelspec.prediction_type": "whatever"}, ("epsilon", None)),
    ],
)
def test_a_checkpoint_can_say_that_it_predicts_velocity(
    sdxl: Path,
    tmp_path: Path,
    marks: dict[str, torch.Tensor],
    metadata: dict[str, str],
    expected: tuple[str, bool | None],
) -> None:
    path = write_single_file(sdxl, tmp_path / "model.safetensors", extra=marks)
    save_file(load_file(path), path, metadata)
    config = inspect_file(path).scheduler_config
    assert (config["prediction_type"], config.get("rescale_betas_zero_snr")) == expected


@pytest.mark.parametrize(
    ("said", "preset", "expected", "native"),
    [
        (None, None, None, 768),
        ("epsilon", None, "epsilon", 512),
        ("v", None, "v_prediction", 768),
        ("v", "epsilon", "epsilon", 512),
        (None, "v_prediction", "v_prediction", 768),
    ],
)
def test_of_sd_2_a_preset_or_the_file_may_say_what_it_predicts(
    sd2: Path,
    tmp_path: Path,
    said: str | None,
    preset: str | None,
    expected: str | None,
    native: int,
) -> None:
    path = write_single_file(sd2, tmp_path / "model.safetensors")
    if said is not None:
        save_file(load_file(path), path, {"modelspec.prediction_type": said})
    model = inspect_file(path, prediction=preset)
    assert (model.scheduler_config.get("prediction_type"), model.native) == (expected, native)


def left_open(sd2: Path, copy: Path) -> Path:
    """A copy that leaves open what configs/sd2 leaves open."""
    shutil.copytree(sd2, copy)
    for name, key in (
        ("scheduler/scheduler_config.json", "prediction_type"),
        ("unet/config.json", "sample_size"),
    ):
        config = json.loads((copy / name).read_text())
        del config[key]
        (copy / name).write_text(json.dumps(config))
    return copy


def give_back_the_input(folder: Path) -> None:
    """Fits the last convolution of the UNet in `folder` to give back, of noise at the last timestep, the noise: that is what
    a UNet does that predicts noise."""
    unet = UNet2DConditionModel.from_pretrained(folder / "unet")
    seen: list[torch.Tensor] = []
    hook = unet.conv_act.register_forward_hook(lambda *call: seen.append(call[-1]))
    noise = torch.randn(1, 4, 32, 32, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        unet(noise, 999, torch.zeros(1, 77, unet.config.cross_attention_dim))
        columns = torch.nn.functional.unfold(seen[0], 3, padding=1)[0].T
        fitted = torch.linalg.lstsq(columns, noise[0].flatten(1).T).solution
        unet.conv_out.weight.copy_(fitted.T.reshape(unet.conv_out.weight.shape))
        unet.conv_out.bias.zero_()
    hook.remove()
    unet.save_pretrained(folder / "unet")


@pytest.mark.parametrize(
    ("predicts_noise", "expected", "native"), [(True, "epsilon", 512), (False, "v_prediction", 768)]
)
def test_of_sd_2_that_says_nothing_a_run_tells(
    sd2: Path, tmp_path: Path, predicts_noise: bool, expected: str, native: int
) -> None:
    config = left_open(sd2, tmp_path / "config")
    own = Path(shutil.copytree(sd2, tmp_path / "own"))
    if predicts_noise:
        give_back_the_input(own)
    path = write_single_file(own, tmp_path / "model.safetensors")
    model = load(ModelFile(path, config), "cpu")
    assert (model.scheduler_config["prediction_type"], model.resolution.native) == (
        expected,
        native,
    )
    told = load(ModelFile(path, config, "epsilon"), "cpu")
    assert (told.scheduler_config["prediction_type"], told.resolution.native) == ("epsilon", 512)


def test_the_prompts_of_sd_2_are_filled_up_as_it_was_trained(sd2: Path, tmp_path: Path) -> None:
    own = Path(shutil.copytree(sd2, tmp_path / "own"))
    shutil.rmtree(own / "tokenizer")
    text = CLIPTextModel.from_pretrained(own / "text_encoder")
    text.resize_token_embeddings(CLIP_VOCABULARY)
    text.save_pretrained(own / "text_encoder")
    path = write_single_file(own, tmp_path / "model.safetensors")
    assert load(ModelFile(path, own), "cpu").text[0].tokenizer.pad_token == "!"


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("lora_unet_down_blocks_0.lora_up.weight", "a LoRA"),
        ("conditioner.embedders.0.model.positional_embedding", "the SDXL refiner"),
        ("double_blocks.0.img_attn.qkv.weight", "Flux"),
        ("decoder.conv_in.weight", "no UNet in the original layout"),
    ],
)
def test_files_of_other_kinds_are_named(tmp_path: Path, name: str, why: str) -> None:
    path = tmp_path / "other.safetensors"
    save_file({name: torch.zeros(1)}, path)
    with pytest.raises(BridgeError, match=why) as caught:
        inspect_file(path)
    assert caught.value.code is Code.BAD_INPUT


@pytest.mark.parametrize(
    ("prefix", "why"),
    [("first_stage_model.", "no VAE"), ("cond_stage_model.", "no text encoder")],
)
def test_a_pruned_checkpoint_says_what_was_pruned(
    sd15: Path, tmp_path: Path, prefix: str, why: str
) -> None:
    path = write_single_file(sd15, tmp_path / "model.safetensors")
    kept = {n: t for n, t in load_file(path).items() if not n.startswith(prefix)}
    save_file(kept, path)
    with pytest.raises(BridgeError, match=why):
        inspect_file(path)


def test_a_folder_given_as_a_file_is_said_to_be_one(sd15: Path) -> None:
    with pytest.raises(BridgeError, match="is a folder"):
        inspect_file(sd15)


def test_a_unet_for_other_inputs_is_refused(own_sd15: Path, tmp_path: Path) -> None:
    path = write_single_file(own_sd15, tmp_path / "model.safetensors")
    tensors = load_file(path)
    tensors["model.diffusion_model.input_blocks.0.0.weight"] = torch.zeros(32, 8, 3, 3)
    save_file(tensors, path)
    with pytest.raises(BridgeError, match="takes 8 channels"):
        inspect_file(path)


def full_size(cls: Any, family: str, part: str) -> dict[str, torch.Tensor]:
    """The full-size network of the shipped configuration, shapes only."""
    with init_empty_weights():
        config = cls.load_config(str(CONFIGS / family), subfolder=part)
        network: torch.nn.Module = cls.from_config(config)
    return dict(network.state_dict())


def count(tensors: dict[str, torch.Tensor]) -> int:
    return sum(tensor.numel() for tensor in tensors.values())


def test_the_shipped_configurations_have_the_published_sizes() -> None:
    """Numbers of weights as the model cards, papers and logs give them: 860 M, 866 M and 2.6 B UNets, 84 M VAE."""
    assert count(full_size(UNet2DConditionModel, "sd15", "unet")) == 859_520_964
    assert count(full_size(UNet2DConditionModel, "sd2", "unet")) == 865_910_724
    assert count(full_size(UNet2DConditionModel, "sdxl", "unet")) == 2_567_463_684
    assert count(full_size(AutoencoderKL, "sd15", "vae")) == 83_653_863
    assert count(full_size(AutoencoderKL, "sd2", "vae")) == 83_653_863
    assert count(full_size(AutoencoderKL, "sdxl", "vae")) == 83_653_863


def test_the_tests_write_the_names_and_shapes_of_real_checkpoints() -> None:
    """Spot checks against what real files hold, so that the round trip is not merely our own idea."""
    sd15 = unet_names(full_size(UNet2DConditionModel, "sd15", "unet"))
    sd15 |= vae_names(full_size(AutoencoderKL, "sd15", "vae"))
    sdxl = unet_names(full_size(UNet2DConditionModel, "sdxl", "unet"))
    unet, vae = "model.diffusion_model.", "first_stage_model."
    real = {
        f"{unet}input_blocks.3.0.op.weight": (320, 320, 3, 3),
        f"{unet}input_blocks.4.1.transformer_blocks.0.attn2.to_k.weight": (640, 768),
        f"{unet}middle_block.1.proj_in.weight": (1280, 1280, 1, 1),
        f"{unet}output_blocks.2.1.conv.weight": (1280, 1280, 3, 3),
        f"{unet}output_blocks.8.2.conv.weight": (640, 640, 3, 3),
        f"{unet}output_blocks.11.0.skip_connection.weight": (320, 640, 1, 1),
        f"{unet}time_embed.0.weight": (1280, 320),
        f"{unet}out.2.weight": (4, 320, 3, 3),
        f"{vae}decoder.up.3.upsample.conv.weight": (512, 512, 3, 3),
        f"{vae}encoder.mid.attn_1.q.weight": (512, 512, 1, 1),
        f"{vae}encoder.down.1.block.0.nin_shortcut.weight": (256, 128, 1, 1),
        f"{vae}quant_conv.weight": (8, 8, 1, 1),
    }
    assert {name: tuple(sd15[name].shape) for name in real} == real
    sd2 = unet_names(full_size(UNet2DConditionModel, "sd2", "unet"))
    real = {
        f"{unet}input_blocks.4.1.proj_in.weight": (640, 640),
        f"{unet}middle_block.1.transformer_blocks.0.attn2.to_k.weight": (1280, 1024),
        f"{unet}output_blocks.11.1.transformer_blocks.0.norm1.bias": (320,),
    }
    assert {name: tuple(sd2[name].shape) for name in real} == real
    real = {
        f"{unet}label_emb.0.0.weight": (1280, 2816),
        f"{unet}input_blocks.8.1.transformer_blocks.9.attn2.to_k.weight": (1280, 2048),
        f"{unet}output_blocks.5.2.conv.weight": (640, 640, 3, 3),
        f"{unet}output_blocks.3.1.proj_in.weight": (640, 640),
    }
    assert {name: tuple(sdxl[name].shape) for name in real} == real


def test_the_text_encoder_of_sd_2_is_the_real_one_without_its_last_layer() -> None:
    """354,032,641 numbers with the last layer, the projection and the temperature, as OpenCLIP counts its ViT-H's text."""
    with init_empty_weights():
        network = CLIPTextModel(CLIPTextConfig.from_pretrained(str(CONFIGS / "sd2/text_encoder")))
    width = network.config.hidden_size
    layer = 12 * width**2 + 13 * width
    used = sum(weight.numel() for weight in network.parameters())
    assert used + layer + width**2 + 1 == 354_032_641


def test_the_second_text_encoder_is_the_real_one_in_size_and_names() -> None:
    folder = CONFIGS / "sdxl" / "text_encoder_2"
    with init_empty_weights():
        network = CLIPTextModelWithProjection(CLIPTextConfig.from_pretrained(str(folder)))
    state = {name: torch.zeros(1, device="meta") for name in network.state_dict()}
    assert sum(weight.numel() for weight in network.parameters()) == 694_659_840
    layers = {name.split(".")[3] for name in state if ".layers." in name}
    assert len(layers) == 32
    tiny = {name: torch.zeros(2, 2) for name in state}
    names = open_clip_names(tiny, "conditioner.embedders.1.model.")
    assert "conditioner.embedders.1.model.transformer.resblocks.31.attn.in_proj_weight" in names
    assert "conditioner.embedders.1.model.text_projection" in names

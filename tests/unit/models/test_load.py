"""One way in: every layout gives the same model, and every fault one sentence."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from diffusers import AutoencoderTiny
from safetensors.torch import load_file, save_file

from bridge.errors import BridgeError, Code
from bridge.models import hashing
from bridge.models import load as load_module
from bridge.models.families import SD2, SD15, SDXL
from bridge.models.load import load
from bridge.models.loaded import LoadedModel
from bridge.presets import EmbeddedModel, ModelFile, ModelFolder
from tests.single_file import write_single_file
from tests.tiny_models import make_tiny_sd2, make_tiny_sd15

UNET = "unet/diffusion_pytorch_model.safetensors"
TEXT = "text_encoder/model.safetensors"


def networks(model: LoadedModel) -> list[torch.nn.Module]:
    return [model.unet, model.vae, *(encoder.model for encoder in model.text)]


def assert_same_weights(one: LoadedModel, other: LoadedModel) -> None:
    for left, right in zip(networks(one), networks(other), strict=True):
        ours, theirs = left.state_dict(), right.state_dict()
        assert ours.keys() == theirs.keys()
        assert [name for name in ours if not torch.equal(ours[name], theirs[name])] == []


def test_a_folder_gives_its_own_weights_for_inference(sd15: Path) -> None:
    model = load(ModelFolder(sd15), "cpu")
    file = load_file(sd15 / UNET)
    assert all(torch.equal(file[n], w) for n, w in model.unet.state_dict().items())
    for network in networks(model):
        assert not network.training
        assert not any(weight.requires_grad for weight in network.parameters())
    assert (model.device, model.dtype) == (torch.device("cpu"), torch.float32)


def test_family_and_sides_come_from_the_model(sd15: Path, sd2: Path, sdxl: Path) -> None:
    assert load(ModelFolder(sd2), "cpu").family is SD2
    one, two = load(ModelFolder(sd15), "cpu"), load(ModelFolder(sdxl), "cpu")
    assert (one.family, one.resolution.native, len(one.text)) == (SD15, 64, 1)
    assert (two.family, two.resolution.native, len(two.text)) == (SDXL, 128, 2)
    assert two.text[1].tokenizer.pad_token == "!"


@pytest.mark.parametrize("family", ["sd15", "sd2", "sdxl"])
def test_a_single_file_is_the_same_model_as_its_folder(
    family: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    folder: Path = request.getfixturevalue(family)
    path = write_single_file(folder, tmp_path / "model.safetensors")
    one, other = load(ModelFolder(folder), "cpu"), load(ModelFile(path, folder), "cpu")
    assert_same_weights(one, other)
    assert one.family is other.family
    for key in ("beta_end", "prediction_type"):
        assert other.scheduler_config[key] == one.scheduler_config[key]
    tokens = [
        model.text[-1].tokenizer("a red boat", padding="max_length").input_ids
        for model in (one, other)
    ]
    assert tokens[0] == tokens[1]
    latents = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(1))
    pictures = [model.vae.decode(latents).sample for model in (one, other)]
    assert torch.equal(*pictures)


@pytest.mark.parametrize(
    ("make", "channels"), [(make_tiny_sd15, 9), (make_tiny_sd2, 9), (make_tiny_sd2, 5)]
)
def test_a_model_for_inpainting_or_with_depth_keeps_its_channels(
    make: Callable[..., Path], channels: int, tmp_path: Path
) -> None:
    folder = make(tmp_path / "own", in_channels=channels)
    path = write_single_file(folder, tmp_path / "own.safetensors")
    plain = make(tmp_path / "plain")
    one, other = load(ModelFolder(folder), "cpu"), load(ModelFile(path, plain), "cpu")
    assert one.unet.config.in_channels == other.unet.config.in_channels == channels
    assert_same_weights(one, other)


def test_sharded_weights_are_the_same_weights(sd15: Path, own_sd15: Path) -> None:
    path = own_sd15 / UNET
    tensors = load_file(path)
    names = sorted(tensors)
    halves = names[::2], names[1::2]
    weight_map = {}
    for number, half in enumerate(halves, start=1):
        shard = f"{path.stem}-{number:05}-of-00002.safetensors"
        save_file({n: tensors[n] for n in half}, path.with_name(shard), {"format": "pt"})
        weight_map |= dict.fromkeys(half, shard)
    index = {"metadata": {"total_size": path.stat().st_size}, "weight_map": weight_map}
    path.with_name(f"{path.name}.index.json").write_text(json.dumps(index))
    path.unlink()
    assert_same_weights(load(ModelFolder(sd15), "cpu"), load(ModelFolder(own_sd15), "cpu"))


def test_a_variant_is_read_where_there_is_one(own_sd15: Path) -> None:
    path = own_sd15 / UNET
    halves = {name: tensor.half() for name, tensor in load_file(path).items()}
    save_file(halves, path.with_name(f"{path.stem}.fp16.safetensors"), {"format": "pt"})
    path.unlink()
    model = load(ModelFolder(own_sd15, variant="fp16"), "cpu")
    weights = model.unet.state_dict()
    assert all(torch.equal(weights[name], half.float()) for name, half in halves.items())


def test_a_vae_with_the_old_attention_names_is_read(sd15: Path, own_sd15: Path) -> None:
    names = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}
    path = own_sd15 / "vae/diffusion_pytorch_model.safetensors"
    renamed = {}
    for name, tensor in load_file(path).items():
        for new, old in names.items():
            name = name.replace(f"attentions.0.{new}.", f"attentions.0.{old}.")
        renamed[name] = tensor
    save_file(renamed, path, {"format": "pt"})
    assert any("proj_attn" in name for name in renamed)
    assert_same_weights(load(ModelFolder(sd15), "cpu"), load(ModelFolder(own_sd15), "cpu"))


def test_half_precision_spares_only_a_vae_that_says_it_overflows(
    sd15: Path, sdxl: Path, tmp_path: Path
) -> None:
    half = torch.float16
    one, two = load(ModelFolder(sd15), "cpu", half), load(ModelFolder(sdxl), "cpu", half)
    assert (one.unet.dtype, one.vae.dtype, one.dtype) == (half, half, half)
    assert (two.unet.dtype, two.vae.dtype, two.dtype) == (half, torch.float32, half)
    mended = Path(shutil.copytree(sdxl, tmp_path / "mended"))
    config = mended / "vae/config.json"
    config.write_text(json.dumps({**json.loads(config.read_text()), "force_upcast": False}))
    assert load(ModelFolder(mended), "cpu", half).vae.dtype == half
    path = write_single_file(sdxl, tmp_path / "model.safetensors")
    assert load(ModelFile(path, sdxl), "cpu", half).vae.dtype == torch.float32


def test_the_hash_follows_the_weights_and_not_the_place(
    sd15: Path, own_sd15: Path, tmp_path: Path
) -> None:
    moved = Path(shutil.copytree(own_sd15, tmp_path / "moved"))
    first = load(ModelFolder(sd15), "cpu").sha256
    assert load(ModelFolder(moved), "cpu").sha256 == first
    tensors = load_file(moved / UNET)
    name = min(tensors)
    tensors[name] = tensors[name] + 1
    save_file(tensors, moved / UNET, {"format": "pt"})
    assert load(ModelFolder(moved), "cpu").sha256 != first


def test_progress_rises_from_start_to_end(sd15: Path) -> None:
    reports: list[tuple[float, str]] = []
    load(ModelFolder(sd15), "cpu", on_progress=lambda share, text: reports.append((share, text)))
    shares = [share for share, _ in reports]
    assert shares == sorted(shares)
    assert shares[0] < 0.2
    assert reports[-1] == (1.0, f"{sd15.name} is loaded.")


def test_progress_is_reported_as_often_as_a_bar_can_show(
    sd15: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hashing, "_CHUNK", 64)
    reports: list[float] = []
    load(ModelFolder(sd15), "cpu", on_progress=lambda share, _text: reports.append(share))
    assert 20 < len(reports) < 250
    assert reports[-1] == 1.0


def test_a_file_given_as_a_folder_is_said_to_be_one(sd15: Path, tmp_path: Path) -> None:
    with pytest.raises(BridgeError, match="is a file") as caught:
        load(ModelFolder(sd15 / UNET), "cpu")
    assert caught.value.code is Code.BAD_INPUT
    (tmp_path / "old.ckpt").write_bytes(b"whatever it holds")
    with pytest.raises(BridgeError) as caught:
        load(ModelFolder(tmp_path / "old.ckpt"), "cpu")
    assert caught.value.code is Code.MODEL_UNSAFE


def drop(path: Path) -> None:
    tensors = load_file(path)
    del tensors[max(tensors)]
    save_file(tensors, path, {"format": "pt"})


def spoil(value: float) -> Callable[[Path], None]:
    def change(path: Path) -> None:
        tensors = load_file(path)
        tensors[max(tensors)].view(-1)[0] = value
        save_file(tensors, path, {"format": "pt"})

    return change


def reshape(path: Path) -> None:
    tensors = load_file(path)
    name = max(tensors)
    tensors[name] = torch.zeros(3, *tensors[name].shape)
    save_file(tensors, path, {"format": "pt"})


@pytest.mark.parametrize("part", [UNET, TEXT])
@pytest.mark.parametrize(
    "damage",
    [drop, spoil(float("nan")), spoil(float("inf")), reshape],
    ids=["a weight is missing", "NaN", "infinite", "another shape"],
)
@pytest.mark.parametrize("layout", ["folder", "file"])
def test_damaged_weights_are_an_error_that_names_the_file(
    sd15: Path, own_sd15: Path, part: str, damage: Callable[[Path], None], layout: str
) -> None:
    damage(own_sd15 / part)
    source: ModelFolder | ModelFile = ModelFolder(own_sd15)
    culprit = own_sd15 / part
    if layout == "file":
        culprit = write_single_file(own_sd15, own_sd15 / "model.safetensors")
        source = ModelFile(culprit, sd15)
    with pytest.raises(BridgeError) as caught:
        load(source, "cpu")
    assert caught.value.code is Code.MODEL_CORRUPT
    assert str(culprit) in caught.value.message
    assert caught.value.hint


def test_a_weight_too_large_for_half_precision_is_refused(own_sd15: Path) -> None:
    spoil(1e6)(own_sd15 / UNET)
    load(ModelFolder(own_sd15), "cpu", torch.float32)
    with pytest.raises(BridgeError, match="infinite"):
        load(ModelFolder(own_sd15), "cpu", torch.float16)


@pytest.mark.parametrize(
    "gone", ["", "unet", "vae/config.json", UNET, "tokenizer", "scheduler/scheduler_config.json"]
)
def test_whatever_is_missing_is_named(own_sd15: Path, gone: str) -> None:
    path = own_sd15 / gone
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    with pytest.raises(BridgeError) as caught:
        load(ModelFolder(own_sd15), "cpu")
    assert caught.value.code is Code.MODEL_MISSING
    assert str(own_sd15) in caught.value.message
    assert gone.split("/")[0] in caught.value.message


@pytest.mark.parametrize(
    ("file", "key", "value"),
    [
        ("unet/config.json", "block_out_channels", "many"),
        ("unet/config.json", "block_out_channels", []),
        ("unet/config.json", "layers_per_block", -1),
        ("unet/config.json", "cross_attention_dim", 48),
        ("unet/config.json", "norm_num_groups", 0),
        ("vae/config.json", "act_fn", {"a": 1}),
        ("vae/config.json", "down_block_types", ["Nothing"]),
        ("text_encoder/config.json", "num_attention_heads", 0),
        ("text_encoder/config.json", "hidden_size", "x"),
        ("text_encoder/config.json", "vocab_size", 10**9),
        ("tokenizer/tokenizer.json", "model", 7),
    ],
)
def test_a_configuration_that_makes_no_sense_is_the_models_fault(
    own_sd15: Path, file: str, key: str, value: object
) -> None:
    path = own_sd15 / file
    path.write_text(json.dumps({**json.loads(path.read_text()), key: value}))
    with pytest.raises(BridgeError) as caught:
        load(ModelFolder(own_sd15), "cpu")
    assert caught.value.code is Code.MODEL_CORRUPT
    assert str(own_sd15 / file.split("/")[0]) in caught.value.message


def test_a_tokenizer_with_more_words_than_its_encoder_is_refused(own_sd15: Path) -> None:
    vocabulary = own_sd15 / "tokenizer" / "vocab.json"
    (own_sd15 / "tokenizer" / "tokenizer.json").unlink()
    known = json.loads(vocabulary.read_text())
    vocabulary.write_text(json.dumps({**known, "boat</w>": len(known)}))
    with pytest.raises(BridgeError, match="knows more words than its text encoder"):
        load(ModelFolder(own_sd15), "cpu")


def test_running_out_of_memory_says_so(sd15: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_args: object) -> None:
        raise RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory")

    monkeypatch.setattr(load_module, "load_folder", full)
    with pytest.raises(BridgeError) as caught:
        load(ModelFolder(sd15), "cpu")
    assert caught.value.code is Code.OUT_OF_MEMORY


def test_a_fault_of_our_own_is_not_called_a_lack_of_memory(
    sd15: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_args: object) -> None:
        raise RuntimeError("a mistake")

    monkeypatch.setattr(load_module, "load_folder", broken)
    with pytest.raises(RuntimeError, match="a mistake"):
        load(ModelFolder(sd15), "cpu")


def test_the_embedded_model_is_a_folder_like_any_other(
    sd15: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(load_module, "EMBEDDED_FOLDER", sd15)
    assert_same_weights(load(EmbeddedModel(), "cpu"), load(ModelFolder(sd15), "cpu"))
    monkeypatch.setattr(load_module, "EMBEDDED_FOLDER", tmp_path)
    with pytest.raises(BridgeError) as caught:
        load(EmbeddedModel(), "cpu")
    assert caught.value.code is Code.MODEL_MISSING


def _with_preview_decoder(folder: Path, latent_channels: int = 4) -> AutoencoderTiny:
    torch.manual_seed(11)
    tiny = AutoencoderTiny(
        encoder_block_out_channels=(8,) * 4,
        decoder_block_out_channels=(8,) * 3,
        num_decoder_blocks=(1, 1, 0),
        latent_channels=latent_channels,
    )
    tiny.save_pretrained(folder / "preview_decoder")
    return tiny


def test_a_preview_decoder_that_comes_with_a_model_shows_its_steps(own_sd15: Path) -> None:
    plain = load(ModelFolder(own_sd15), "cpu")
    tiny = _with_preview_decoder(own_sd15)
    model = load(ModelFolder(own_sd15), "cpu")
    latents = torch.randn(1, 4, 8, 6, generator=torch.Generator().manual_seed(1))
    shown = model.preview_decoder(latents)
    with torch.no_grad():
        decoded = tiny.decode(latents / tiny.config.scaling_factor).sample
    assert shown.shape == (1, 3, 32, 24)
    assert torch.allclose(shown, ((decoded + 1) / 2).clamp(0, 1), atol=1e-6)
    assert model.sha256 == plain.sha256, "what shows the steps does not change what is painted"


def test_a_preview_decoder_for_other_latents_is_refused_by_name(own_sd15: Path) -> None:
    _with_preview_decoder(own_sd15, latent_channels=16)
    with pytest.raises(BridgeError) as raised:
        load(ModelFolder(own_sd15), "cpu")
    assert raised.value.code is Code.MODEL_CORRUPT
    assert "preview_decoder" in str(raised.value)

"""The parts beside the denoiser: each learns, stops, goes on, and loads where such parts are loaded."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import AutoencoderTiny, ControlNetModel, StableDiffusionControlNetInpaintPipeline
from PIL import Image
from safetensors import safe_open
from torch import Tensor, nn
from transformers import DPTForDepthEstimation, DPTImageProcessorPil

from bridge.models.training import (
    DATA_VERSION,
    controlnet,
    decoder,
    depth,
    edits,
    few_steps,
    fidelity,
    loop,
    paintings,
    style,
    variants,
    word,
)
from bridge.models.training.decoder import train_decoder, train_preview
from bridge.models.training.depth import train_depth
from bridge.models.training.export import EMBEDDED, export
from bridge.models.training.finetune import TuneRun
from bridge.models.training.loop import PartRun, Plan
from bridge.models.training.sampler import Sampling, generate, load


@pytest.fixture(autouse=True)
def _few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paintings, "SET", 8)
    for module in (controlnet, decoder, depth, few_steps, style, word):
        monkeypatch.setattr(module, "BATCH", 2)


def _counts(path: Path) -> dict[str, float]:
    with safe_open(path, framework="pt") as file:
        counts: dict[str, float] = json.loads(file.metadata()["counts"])
        return counts


def _recorded(folder: Path, name: str) -> dict[str, object]:
    run: dict[str, object] = json.loads((folder / "provenance.json").read_text())["runs"][name]
    return run


def test_the_loop_learns_and_goes_on_where_it_stopped(tmp_path: Path) -> None:
    torch.manual_seed(0)
    net = nn.Linear(3, 1, bias=False)
    truth = torch.tensor([[1.0, -2.0, 0.5]])
    losses: list[float] = []

    def loss_of(rng: np.random.Generator) -> Tensor:
        points = torch.from_numpy(rng.normal(size=(8, 3))).float()
        loss = (net(points) - points @ truth.T).square().mean()
        losses.append(loss.item())
        return loss

    plan = Plan(tmp_path / "state.safetensors", 800, 8, 5e-2, warmup=8)
    loop.train(plan, {"net": net}, loss_of)
    assert np.mean(losses[-10:]) < 0.1 * np.mean(losses[:10])
    learned = net.weight.detach().clone()
    nn.init.zeros_(net.weight)
    loop.train(plan, {"net": net}, loss_of)
    assert torch.equal(net.weight, learned)
    counts = _counts(plan.state)
    assert (counts["images"], counts["steps"]) == (800, 100)
    assert counts["data_version"] == DATA_VERSION


def test_paintings_are_new_ones_after_some_calls() -> None:
    source = paintings.Paintings(8, calls=2)
    rng = np.random.default_rng(0)
    first, second, third = ({p.image.tobytes() for p in source.next(rng)} for _ in range(3))
    assert not first & third and not second & third
    batch = source.next(rng)
    assert paintings.pixels_of(batch).shape == (8, 3, 128, 128)
    assert 0 <= paintings.depths_of(batch).min() <= paintings.depths_of(batch).max() <= 1


def test_both_decoders_are_tiny_autoencoders_with_one_encoder(tmp_path: Path) -> None:
    train_decoder(PartRun(tmp_path, 4))
    folder = tmp_path / "model"
    export(tmp_path, folder, seed=3, note="a test")
    train_preview(TuneRun(tmp_path, 4, folder))
    export(tmp_path, folder, seed=3)
    vae, tiny = (
        AutoencoderTiny.from_pretrained(str(folder / name), torch_dtype=torch.float32)
        for name in ("vae", "preview_decoder")
    )
    pixels = torch.rand(1, 3, 32, 48) * 2 - 1
    with torch.inference_mode():
        latents = vae.encode(pixels).latents
        assert torch.equal(latents, tiny.encode(pixels).latents)
        assert vae.decode(latents).sample.shape == (1, 3, 32, 48)
        assert tiny.decode(latents).sample.shape == (1, 3, 16, 24)
    assert _recorded(folder, "preview")["images_seen"] == 4


def test_the_depth_estimator_loads_as_any_dpt_does(tmp_path: Path) -> None:
    train_depth(PartRun(tmp_path, 4))
    export(tmp_path, tmp_path / "model", seed=0)
    folder = str(tmp_path / "model" / "depth_estimator")
    model = DPTForDepthEstimation.from_pretrained(folder, dtype=torch.float32)
    processor = DPTImageProcessorPil.from_pretrained(folder)
    inputs = processor(Image.new("RGB", (90, 50), (255, 0, 0)), return_tensors="pt")
    assert inputs["pixel_values"][0, :, 0, 0].tolist() == pytest.approx([1, -1, -1])
    with torch.inference_mode():
        assert model(**inputs).predicted_depth.shape == (1, 128, 128)


def test_a_controlnet_changes_nothing_at_first_and_then_learns(tmp_path: Path) -> None:
    base = load(EMBEDDED)
    net = controlnet.build_controlnet(base.unet)
    latents, condition = torch.randn(1, 4, 8, 8), torch.rand(1, 3, 64, 64)
    with torch.inference_mode():
        down, middle = net(latents, 500, torch.randn(1, 77, 128), condition, return_dict=False)
    assert all(not residual.any() for residual in (*down, middle))

    controlnet.train_controlnet(TuneRun(tmp_path, 4, EMBEDDED))
    export(tmp_path, tmp_path / "model", seed=0)
    trained = ControlNetModel.from_pretrained(
        str(tmp_path / "model" / "controlnet_depth"), torch_dtype=torch.float32
    )
    with torch.inference_mode():
        _, middle = trained(latents, 500, torch.randn(1, 77, 128), condition, return_dict=False)
    assert middle.any()
    pipe = StableDiffusionControlNetInpaintPipeline(**base.components, controlnet=trained)
    pipe.set_progress_bar_config(disable=True)
    image = Image.new("RGB", (64, 64), (128, 128, 128))
    white = Image.new("L", image.size, 255)
    pictures = {
        "image": image,
        "mask_image": white,
        "control_image": image,
        "height": 64,
        "width": 64,
    }
    made = pipe("a red boat", **pictures, num_inference_steps=2, output_type="np").images
    assert made.shape == (1, 64, 64, 3)


@pytest.mark.parametrize(
    ("train", "name"),
    [(style.train_style, "woodcut"), (few_steps.train_few_steps, "few_steps")],
)
def test_a_lora_loads_and_changes_the_picture(
    tmp_path: Path, train: Callable[[TuneRun], None], name: str
) -> None:
    train(TuneRun(tmp_path, 4, EMBEDDED))
    export(tmp_path, tmp_path / "model", seed=0)
    pipe = load(EMBEDDED)
    small = Sampling(steps=2, width=64, height=64)
    plain = generate(pipe, ["a red boat"], [1], small)
    pipe.load_lora_weights(
        str(tmp_path / "model" / "loras"), weight_name=f"{name}.safetensors", adapter_name=name
    )
    pipe.set_adapters([name], [8.0])
    assert not np.array_equal(plain, generate(pipe, ["a red boat"], [1], small))


def test_a_word_loads_as_a_textual_inversion(tmp_path: Path) -> None:
    word.train_word(TuneRun(tmp_path, 4, EMBEDDED))
    export(tmp_path, tmp_path / "model", seed=0)
    pipe = load(EMBEDDED)
    before = pipe.text_encoder.get_input_embeddings().weight.detach().clone()
    pipe.load_textual_inversion(str(tmp_path / "model" / "embeddings" / "sunset-glow.safetensors"))
    after = pipe.text_encoder.get_input_embeddings().weight.detach()
    assert torch.equal(after[: len(before)], before)
    number = pipe.tokenizer.convert_tokens_to_ids(word.WORD)
    began = before[pipe.tokenizer(word.FROM).input_ids[1]]
    assert number >= len(before)
    assert not torch.equal(after[number], began)


def test_an_export_keeps_what_it_did_not_train(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    train_decoder(PartRun(tmp_path / "one", 4))
    export(tmp_path / "one", folder, seed=1, note="the first")
    before = (folder / "vae" / "diffusion_pytorch_model.safetensors").read_bytes()
    train_depth(PartRun(tmp_path / "two", 4))
    export(tmp_path / "two", folder, seed=2)
    assert (folder / "vae" / "diffusion_pytorch_model.safetensors").read_bytes() == before
    assert _recorded(folder, "decoder")["note"] == "the first"
    assert _recorded(folder, "depth")["seed"] == 2
    made = json.loads((folder / "provenance.json").read_text())
    assert len(made["sha256"]) == 2


def test_a_woodcut_has_three_tones_and_a_glow_is_warm() -> None:
    image = paintings.Paintings(1).next(np.random.default_rng(0))[0].image
    cut = style.woodcut(image)
    assert {tuple(c) for c in cut.reshape(-1, 3).tolist()} <= {
        tuple(t) for t in style.TONES.tolist()
    }
    white = word.glow(np.full((2, 2, 3), 255, dtype=np.uint8))[0, 0]
    assert white[0] > white[1] > white[2]


@pytest.mark.slow
def test_every_part_that_is_there_is_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "model"
    shutil.copytree(EMBEDDED, folder)
    train_depth(PartRun(tmp_path, 4))
    export(tmp_path, folder, seed=0)
    run = TuneRun(tmp_path, 4, folder)
    for tune in (train_preview, controlnet.train_controlnet, few_steps.train_few_steps):
        tune(run)
    export(tmp_path, folder, seed=0)
    pipe, quick = load(folder), Sampling(steps=1, width=64, height=64)
    monkeypatch.setattr(variants, "FEW", Sampling(steps=2, guidance=1, width=64, height=64))
    figures = [
        *fidelity.round_trip(pipe.vae, 12),
        *fidelity.preview(pipe.vae, folder, 2),
        *fidelity.depth_estimator(folder, 8),
        *variants.depth_control(pipe, folder, 1, quick),
        *edits.seams(folder, 1),
    ]
    assert len({figure.name for figure in figures}) == len(figures)
    assert all(figure.low <= figure.value <= figure.high for figure in figures)
    rates = variants.few_steps(folder, 2)
    assert {rate.of for rate in rates} == {2}
    assert all(rate.name.startswith("4 steps: ") for rate in rates)

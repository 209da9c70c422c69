"""LoRAs and textual inversions from a prompt to the picture and its facts."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
import torch

from bridge.engine.pipeline import Engine
from bridge.engine.types import Job, Painting, Snapshot
from bridge.errors import BridgeError, Code
from bridge.models.load import load
from bridge.models.loaded import LoadedModel
from bridge.presets import ModelFolder
from krita_plugin.krita_bridge.wire.geometry import Bounds, Extent
from krita_plugin.krita_bridge.wire.messages import PaintRequest, WeightsKind
from tests.fake_models import preset, tiny_folder
from tests.tiny_loras import kohya, random_updates, write
from tests.tiny_models import WIDTH

AREA = Snapshot(Extent(64, 64), Bounds(0, 0, 64, 64))


@pytest.fixture(params=["sd15", "sdxl"])
def model(request: pytest.FixtureRequest, tmp_path: Path) -> LoadedModel:
    return load(ModelFolder(tiny_folder(request.param)), "cpu", home=tmp_path)


def engine_of(model: LoadedModel, home: Path) -> Engine:
    presets = {"embedded": preset("embedded", steps=1)}
    return Engine(presets, device="cpu", home=home, load=lambda *_: model)


def paint(engine: Engine, prompt: str, snapshot: Snapshot = AREA, **request: object) -> Painting:
    job = Job(PaintRequest(prompt, seed=3, **request), snapshot)
    return engine.paint(job, on_step=lambda _: None, is_cancelled=lambda: False)


def test_a_lora_changes_its_picture_and_no_other(model: LoadedModel, tmp_path: Path) -> None:
    for part, prefix in ((model.unet, "lora_unet_"), (model.text[0].model, "lora_te_")):
        path = tmp_path / "loras" / f"{prefix}.safetensors"
        write(path, kohya(prefix, random_updates(part, lambda n: n.endswith(("to_q", "fc1")))))
        engine = engine_of(model, tmp_path)
        plain = paint(engine, "a boat")
        named = paint(engine, f"a boat <lora:{prefix}:0.7>")
        half = paint(engine, f"a boat <lora:{prefix}:0.35><lora:{prefix}:0.35>")
        assert np.array_equal(named.image, half.image)
        assert not np.array_equal(named.image, plain.image)
        assert np.array_equal(paint(engine, "a boat").image, plain.image)
        (used,) = named.facts.weights
        assert (used.kind, used.name, used.strength) == (WeightsKind.LORA, prefix, 0.7)
        assert used.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
        assert plain.facts.weights == ()


def test_a_negative_prompt_may_name_a_lora_too(model: LoadedModel, tmp_path: Path) -> None:
    updates = random_updates(model.unet, lambda n: n.endswith("to_q"))
    write(tmp_path / "loras" / "ink.safetensors", kohya("lora_unet_", updates))
    engine = engine_of(model, tmp_path)
    one = paint(engine, "a", negative_prompt="b <lora:ink:0.5>", guidance=3.0)
    other = paint(engine, "a <lora:ink:0.5>", negative_prompt="b", guidance=3.0)
    assert np.array_equal(one.image, other.image)


def test_a_hypernetwork_changes_its_picture_and_no_other(
    model: LoadedModel, tmp_path: Path
) -> None:
    width = model.unet.config.cross_attention_dim
    tensors = {
        f"{width}.{which}.linear.0.{name}": 0.3 * torch.randn(shape)
        for which in (0, 1)
        for name, shape in (("weight", (width, width)), ("bias", (width,)))
    }
    path = write(tmp_path / "hypernetworks" / "ink.safetensors", tensors)
    engine = engine_of(model, tmp_path)
    plain, named = paint(engine, "a boat"), paint(engine, "a boat <hypernet:ink:0.7>")
    assert not np.array_equal(named.image, plain.image)
    assert np.array_equal(paint(engine, "a boat").image, plain.image)
    (used,) = named.facts.weights
    assert (used.kind, used.name, used.strength) == (WeightsKind.HYPERNETWORK, "ink", 0.7)
    assert used.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_vae_that_is_chosen_makes_its_picture_and_no_other(
    model: LoadedModel, tmp_path: Path
) -> None:
    path = tmp_path / "vaes" / "Warm.safetensors"
    tensors = {name: weight.clone() for name, weight in model.vae.state_dict().items()}
    tensors["decoder.conv_out.bias"] += 0.3
    write(path, tensors)
    engine = engine_of(model, tmp_path)
    plain, chosen = paint(engine, "a boat"), paint(engine, "a boat", vae="warm")
    assert chosen.image[..., :3].mean() > plain.image[..., :3].mean() + 10
    assert np.array_equal(paint(engine, "a boat").image, plain.image)
    (used,) = chosen.facts.weights
    assert (used.kind, used.name, chosen.facts.vae) == (WeightsKind.VAE, "warm", "warm")
    assert used.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert (plain.facts.weights, plain.facts.vae) == ((), "")
    drafted = paint(engine, "a boat", vae="warm", draft=True)
    assert np.array_equal(drafted.image, chosen.image), "there is no tiny VAE to make it"


@pytest.mark.parametrize(
    ("name", "code"),
    [("cold", Code.MODEL_MISSING), ("../warm", Code.MODEL_MISSING), ("pickled", Code.MODEL_UNSAFE)],
)
def test_a_vae_that_cannot_be_had_ends_the_job_and_no_other(
    model: LoadedModel, tmp_path: Path, name: str, code: Code
) -> None:
    (tmp_path / "vaes").mkdir()
    (tmp_path / "vaes" / "pickled.pt").write_bytes(b"\x80\x02}q\x00.")
    write(tmp_path / "warm.safetensors", dict(model.vae.state_dict()))
    engine = engine_of(model, tmp_path)
    with pytest.raises(BridgeError) as caught:
        paint(engine, "a boat", vae=name)
    assert caught.value.code is code
    paint(engine, "a boat")


def test_a_missing_lora_ends_the_job_with_its_name(model: LoadedModel, tmp_path: Path) -> None:
    with pytest.raises(BridgeError, match="no LoRA “ink”") as caught:
        paint(engine_of(model, tmp_path), "a <lora:ink>")
    assert caught.value.code is Code.MODEL_MISSING


def test_a_textual_inversion_is_in_the_facts(model: LoadedModel, tmp_path: Path) -> None:
    keys = ("emb_params",) if len(model.text) == 1 else ("clip_l", "clip_g")
    path = tmp_path / "embeddings" / "Ink.safetensors"
    write(path, {key: torch.randn(2, WIDTH) for key in keys})
    engine = engine_of(model, tmp_path)
    named = paint(engine, "a boat, ink", negative_prompt="ink", guidance=2.0)
    (used,) = named.facts.weights
    assert (used.kind, used.name) == (WeightsKind.EMBEDDING, "Ink")
    assert used.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert paint(engine, "a boat, inks").facts.weights == ()


def test_the_facts_tell_what_was_painted_from(model: LoadedModel, tmp_path: Path) -> None:
    engine = engine_of(model, tmp_path)
    image = np.random.default_rng(0).integers(0, 256, (64, 64, 4), dtype=np.uint8)
    mask = np.full((64, 64), 255, np.uint8)
    snapshot = Snapshot(AREA.canvas, AREA.bounds, image, mask)
    facts = paint(engine, "a {red|red} boat # mine", snapshot, guidance_rescale=0.4).facts
    assert facts.prompt == "a {red|red} boat # mine" and facts.full_prompt == "a red boat"
    assert facts.image_sha256 == hashlib.sha256(image.tobytes()).hexdigest()
    assert facts.mask_sha256 == hashlib.sha256(mask.tobytes()).hexdigest()
    assert (facts.clip_skip, facts.guidance_rescale) == (1, 0.4)
    for name in ("torch ", "diffusers ", "transformers ", "cpu float32"):
        assert name in facts.software
    from_nothing = paint(engine, "a", negative_prompt="b").facts
    assert from_nothing.image_sha256 == from_nothing.mask_sha256 == ""
    assert from_nothing.full_negative_prompt == "b"

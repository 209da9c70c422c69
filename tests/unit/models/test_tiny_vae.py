"""A tiny VAE beside the model's own: both ways in a draft, for previews always, and never otherwise."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import AutoencoderTiny

from bridge.engine.pipeline import Engine
from bridge.engine.types import Job, Painting, Snapshot
from bridge.errors import BridgeError, Code
from bridge.models import hub
from bridge.models.load import load
from bridge.models.loaded import LoadedModel
from bridge.presets import HubModel, ModelFolder, read_preset
from krita_plugin.krita_bridge.wire.geometry import Bounds, Extent
from krita_plugin.krita_bridge.wire.messages import PaintRequest, WeightsKind
from tests.fake_models import preset, tiny_folder

AREA = Bounds(0, 0, 64, 64)


def make_tiny_vae(folder: Path, blocks: int = 4, latent_channels: int = 4) -> Path:
    torch.manual_seed(3)
    AutoencoderTiny(
        encoder_block_out_channels=(8,) * 4,
        decoder_block_out_channels=(8,) * blocks,
        num_decoder_blocks=(1,) * blocks,
        latent_channels=latent_channels,
    ).save_pretrained(folder)
    return folder


def loaded(tiny: Path) -> LoadedModel:
    return load(ModelFolder(tiny_folder("sd15"), tiny_vae=ModelFolder(tiny)), "cpu")


def paint(model: LoadedModel, draft: bool) -> Painting:
    image = np.random.default_rng(0).integers(0, 256, (64, 64, 4), dtype=np.uint8)
    request = PaintRequest("a lake", strength=0.5, steps=2, seed=3, draft=draft)
    engine = Engine({"embedded": preset("embedded")}, device="cpu", load=lambda *_: model)
    job = Job(request, Snapshot(Extent(64, 64), AREA, image))
    return engine.paint(job, on_step=lambda _: None, is_cancelled=lambda: False)


def test_a_draft_uses_the_tiny_vae_both_ways_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = loaded(make_tiny_vae(tmp_path / "taesd"))
    assert model.tiny_vae is not None
    used: list[str] = []
    for name, vae in (("full", model.vae), ("tiny", model.tiny_vae.network)):
        for way in ("encode", "decode"):
            original = getattr(vae, way)
            monkeypatch.setattr(
                vae,
                way,
                lambda *a, _n=name, _w=way, _o=original, **k: (
                    used.append(f"{_n} {_w}") or _o(*a, **k)
                ),
            )
    draft = paint(model, draft=True)
    assert used == ["tiny encode", "tiny decode"]
    assert draft.facts.draft
    (weights,) = draft.facts.weights
    assert (weights.kind, weights.name) == (WeightsKind.VAE, "taesd") and len(weights.sha256) == 64
    used.clear()
    whole = paint(model, draft=False)
    assert used == ["full encode", "full decode"] and not whole.facts.weights


def test_without_a_tiny_vae_a_draft_is_what_it_would_be_anyway(tmp_path: Path) -> None:
    model = load(ModelFolder(tiny_folder("sd15")), "cpu")
    draft, whole = paint(model, draft=True), paint(model, draft=False)
    assert draft.image.tobytes() == whole.image.tobytes() and not draft.facts.weights


def test_one_that_decodes_to_a_smaller_size_shows_previews_only(tmp_path: Path) -> None:
    model = loaded(make_tiny_vae(tmp_path / "half", blocks=3))
    assert model.draft is model
    assert model.preview_decoder(torch.zeros(1, 4, 8, 8)).shape == (1, 3, 32, 32)


def test_one_for_other_latents_is_refused_with_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(BridgeError, match="latents of another kind"):
        loaded(make_tiny_vae(tmp_path / "flux", latent_channels=16))


def test_a_preset_names_it_and_another_one_is_another_model(tmp_path: Path) -> None:
    text = """
label = "Mine"
native = 512
[model]
folder = "/m"
[sampling]
steps = 4
guidance = 1
scheduler = "lcm"
[tiny_vae]
folder = "taesd"
"""
    path = tmp_path / "mine.toml"
    path.write_text(text)
    source = read_preset(path).model
    assert source == ModelFolder(Path("/m"), tiny_vae=ModelFolder(tmp_path / "taesd"))
    assert source != replace(source, tiny_vae=None)
    path.write_text(text + 'file = "x"\n')
    with pytest.raises(BridgeError, match="tiny_vae"):
        read_preset(path)


def test_one_that_the_hub_does_not_give_is_done_without(monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(*_: object) -> Path:
        raise BridgeError(Code.MODEL_MISSING, "The hub cannot be reached.")

    monkeypatch.setattr(hub, "fetch_part", unreachable)
    source = ModelFolder(tiny_folder("sd15"), tiny_vae=HubModel(repository="a/tiny"))
    assert load(source, "cpu").tiny_vae is None


def test_a_folder_that_is_not_there_is_a_mistake_in_the_preset(tmp_path: Path) -> None:
    with pytest.raises(BridgeError) as raised:
        loaded(tmp_path / "nothing")
    assert raised.value.code is Code.MODEL_MISSING

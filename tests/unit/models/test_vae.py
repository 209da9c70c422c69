"""Another VAE in place of a model's own."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from diffusers import AutoencoderTiny
from safetensors.torch import load_file, save_file

from bridge.errors import BridgeError, Code
from bridge.models.hashing import HashCache
from bridge.models.library import Library
from bridge.models.load import load
from bridge.models.loaded import LoadedModel, SwappedVae
from bridge.models.vae import Vaes
from bridge.presets import EmbeddedModel, ModelFolder, ModelSource
from tests.single_file import vae_names
from tests.tiny_models import make_tiny_sd15
from tests.tiny_vaes import EMBEDDED_VAE, write_tinted

VAE = "vae/diffusion_pytorch_model.safetensors"


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The VAE's file of another model."""
    return make_tiny_sd15(tmp_path_factory.mktemp("other"), seed=7) / VAE


def in_layout(name: str, other: Path, folder: Path) -> Path:
    tensors = load_file(other)
    if name != "diffusers":
        prefix = "first_stage_model." if name == "original, with a prefix" else ""
        named = vae_names(tensors)
        tensors = {prefix + n.removeprefix("first_stage_model."): t for n, t in named.items()}
        tensors["loss.logvar"] = torch.zeros(1)
    path = folder / "swapped.safetensors"
    save_file({n: t.contiguous() for n, t in tensors.items()}, path)
    return path


def loaded(source: ModelSource, vae: Path) -> LoadedModel:
    return load(replace(source, vae=vae), "cpu")


@pytest.mark.parametrize("layout", ["diffusers", "original", "original, with a prefix"])
@pytest.mark.parametrize("family", ["sd15", "sdxl"])
def test_the_model_has_the_files_vae_and_says_so(
    family: str, layout: str, other: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    source = ModelFolder(request.getfixturevalue(family))
    path = in_layout(layout, other, tmp_path)
    own, swapped = load(source, "cpu"), loaded(source, path)
    expected = load_file(other)
    assert all(torch.equal(expected[n], w) for n, w in swapped.vae.state_dict().items())
    assert swapped.vae.config.scaling_factor == own.vae.config.scaling_factor
    assert own.swapped_vae is None and own.sha256 == swapped.sha256
    digest = HashCache(tmp_path).sha256(path, lambda _: None)
    assert swapped.swapped_vae == SwappedVae("swapped", digest)
    assert not swapped.vae.training


def test_what_is_no_vae_or_does_not_fit_says_so(sd15: Path, other: Path, tmp_path: Path) -> None:
    tensors = load_file(other)
    name = "decoder.up_blocks.0.resnets.0.conv1.weight"
    cases = {
        "holds no VAE": ({"weight": torch.zeros(1)}, Code.BAD_INPUT),
        "for models of another kind": ({**tensors, name: torch.zeros(3, 3)}, Code.BAD_INPUT),
        "for models of another kind than this Stable Diffusion 1.5": (
            load_file(EMBEDDED_VAE),
            Code.BAD_INPUT,
        ),
        "NaN": ({**tensors, name: torch.full_like(tensors[name], torch.nan)}, Code.MODEL_CORRUPT),
        "lacks": ({name: tensors[name]}, Code.MODEL_CORRUPT),
    }
    for sentence, (broken, code) in cases.items():
        path = tmp_path / "broken.safetensors"
        save_file(broken, path)
        with pytest.raises(BridgeError, match=sentence) as caught:
            loaded(ModelFolder(sd15), path)
        assert caught.value.code is code
    with pytest.raises(BridgeError) as caught:
        loaded(ModelFolder(sd15), tmp_path / "gone.safetensors")
    assert caught.value.code is Code.MODEL_MISSING


def test_a_small_vae_gives_way_to_one_of_its_kind(other: Path, tmp_path: Path) -> None:
    path = write_tinted(EMBEDDED_VAE, tmp_path / "warm.safetensors")
    assert isinstance(loaded(EmbeddedModel(), path).vae, AutoencoderTiny)
    with pytest.raises(BridgeError, match="for models of another kind"):
        loaded(EmbeddedModel(), other)


def test_a_vae_that_is_chosen_can_be_stopped_and_stays_in_memory(
    sd15: Path, other: Path, tmp_path: Path
) -> None:
    shutil.copy(other, tmp_path / "Other.safetensors")
    model = load(ModelFolder(sd15), "cpu")
    vaes = Vaes(model, Library(tmp_path, "VAE"), HashCache(tmp_path))
    chosen = vaes.into(model, "other")
    assert vaes.into(model, "OTHER").vae is chosen.vae
    latents = torch.zeros(1, 4, 2, 2)
    with chosen.brake.on(lambda: True), pytest.raises(BridgeError, match="cancelled"):
        chosen.vae.decode(latents)
    with torch.inference_mode():
        shutil.copy(sd15 / VAE, tmp_path / "Other.safetensors")
        again = vaes.into(model, "other")
        expected, found = (each.vae.decode(latents).sample for each in (model, again))
    assert torch.equal(expected, found), "the file has changed"

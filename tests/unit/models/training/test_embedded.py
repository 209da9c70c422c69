"""The weights that ship: whole, small, recorded, and loadable as any Stable Diffusion is."""

from __future__ import annotations

import hashlib
import json

import numpy as np
import pytest
import torch

from bridge.models.training import DATA_VERSION, judge
from bridge.models.training.dataset import HELD_OUT, to_tensor
from bridge.models.training.export import EMBEDDED, PARTS
from bridge.models.training.networks import Net
from bridge.models.training.painter import paint
from bridge.models.training.sampler import Sampling, generate, load, to_images


@pytest.fixture(scope="module")
def pipe() -> Net:
    return load(EMBEDDED)


def test_the_folder_is_small_and_holds_no_pickle() -> None:
    files = [path for path in EMBEDDED.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) <= 60_000_000
    assert {path.suffix for path in files} <= {".safetensors", ".json", ".txt", ".md", ".png"}


def test_provenance_names_these_very_weights() -> None:
    made = json.loads((EMBEDDED / "provenance.json").read_text())
    for path, digest in made["sha256"].items():
        assert hashlib.sha256((EMBEDDED / path).read_bytes()).hexdigest() == digest
    assert len(made["sha256"]) == len(list(EMBEDDED.rglob("*.safetensors")))
    assert {"denoiser", "decoder"} <= set(made["runs"]) <= set(PARTS)
    for run in made["runs"].values():
        assert 1 <= run["data_version"] <= DATA_VERSION
        assert run["images_seen"] > 0


def test_the_card_states_the_measured_rates() -> None:
    card = (EMBEDDED / "README.md").read_text()
    for rate in json.loads((EMBEDDED / "evaluation.json").read_text())["rates"]:
        assert f"| {rate['name']} | {rate['hits']} of {rate['of']} |" in card


def test_a_latent_is_a_small_picture_in_the_stock_vae(pipe: Net) -> None:
    assert type(pipe.vae).__name__ == "AutoencoderTiny"
    assert pipe.vae_scale_factor == 8
    assert pipe.vae.config.scaling_factor != 1


@torch.inference_mode()
def test_the_vae_gives_held_out_paintings_back(pipe: Net) -> None:
    images = np.stack([paint(HELD_OUT + seed, 128, 128).image for seed in range(8)])
    decoded = to_images(pipe.vae.decode(pipe.vae.encode(to_tensor(images)).latents).sample)
    assert 10 * np.log10(255**2 / np.square(decoded.astype(float) - images).mean()) > 24


@pytest.mark.slow
@pytest.mark.parametrize("side", [128, 192])
def test_a_thing_has_the_colour_asked_for(pipe: Net, side: int) -> None:
    colours = ("red", "yellow")
    prompts = ["a red boat on blue water", "a yellow house"]
    images = generate(pipe, prompts, [1, 2], Sampling(width=side, height=side))
    for image, colour in zip(images, colours, strict=True):
        assert judge.share(image, colour) > 0.04


@pytest.mark.slow
def test_inpainting_paints_the_asked_colour_inside_and_knows_what_is_outside(pipe: Net) -> None:
    start = np.full((2, 128, 128, 3), (120, 190, 240), dtype=np.uint8)
    start[:, 64:] = (70, 150, 60)
    mask = np.zeros((2, 128, 128), dtype=bool)
    mask[:, 32:104, 24:104] = True
    asked = (pipe, ["a red house"] * 2, [1, 2], Sampling())
    told, alone = generate(*asked, start, mask), generate(*asked)
    for image, unaware in zip(told, alone, strict=True):
        assert judge.share(image, "red", mask[0]) > 0.1
        off, by_chance = (
            np.median(np.abs(made.astype(float) - start[0])[~mask[0]]) for made in (image, unaware)
        )
        assert off < 32 and off < 0.5 * by_chance


def test_words_nobody_taught_it_do_no_harm(pipe: Net) -> None:
    prompts = ["", "qwxyz", "🎨 日本", "word " * 500]
    images = generate(pipe, prompts, [1] * 4, Sampling(steps=2, width=64, height=64))
    assert images.std((1, 2, 3)).min() > 0

"""The parts of the model before training: latents that are colours, a schedule that ends in noise."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from bridge.models.training.dataset import to_tensor
from bridge.models.training.networks import INPUTS, Net, build_scheduler, build_unet, build_vae
from bridge.models.training.painter import paint


@pytest.fixture(scope="module")
def vae() -> Net:
    return build_vae().eval()


@torch.inference_mode()
def test_latents_are_the_mean_colours_of_blocks(vae: Net) -> None:
    pixels = to_tensor(paint(2, 96, 64).image[None])
    latents = vae.encode(pixels).latents
    assert latents.shape == (1, 4, 8, 12)
    means = torch.nn.functional.avg_pool2d(pixels, 8)
    torch.testing.assert_close(latents[:, :3], means, atol=1e-5, rtol=0)


@torch.inference_mode()
def test_the_fourth_channel_is_detail_and_does_not_care_about_mirroring(vae: Net) -> None:
    flat = torch.full((1, 3, 32, 32), 0.3)
    striped = flat.clone()
    striped[..., ::2] = -0.3
    assert vae.encode(striped).latents[:, 3].mean() > vae.encode(flat).latents[:, 3].mean() + 0.3
    pixels = to_tensor(paint(5, 64, 64).image[None])
    mirrored = vae.encode(pixels.flip(-1)).latents.flip(-1)
    torch.testing.assert_close(mirrored, vae.encode(pixels).latents, atol=1e-5, rtol=0)


def test_latents_have_about_unit_variance(vae: Net) -> None:
    images = np.stack([paint(seed, 64, 64).image for seed in range(64)])
    with torch.inference_mode():
        latents = vae.encode(to_tensor(images)).latents * vae.config.scaling_factor
    assert 0.7 < latents[:, :3].std() < 1.4


def test_the_last_training_step_is_pure_noise() -> None:
    scheduler = build_scheduler()
    assert scheduler.alphas_cumprod[-1] == 0
    scheduler.set_timesteps(20)
    assert scheduler.timesteps[0] == 999


@torch.inference_mode()
def test_the_unet_takes_sides_in_multiples_of_32_px() -> None:
    unet = build_unet().eval()
    for height, width in ((4, 4), (16, 20), (32, 64)):
        given = torch.zeros(1, INPUTS, height, width)
        velocity = unet(given, torch.tensor(5), torch.zeros(1, 77, 128)).sample
        assert velocity.shape == (1, 4, height, width)

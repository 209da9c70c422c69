"""What the UNet is told of a picture with a hole."""

from __future__ import annotations

import numpy as np
import torch

from bridge.models.training.dataset import to_tensor
from bridge.models.training.holes import draw_holes, grey_latent, inputs_of, loss_weights
from bridge.models.training.networks import LATENT_FACTOR, build_vae
from bridge.models.training.painter import paint


@torch.inference_mode()
def test_holes_cut_in_latents_are_those_cut_in_the_picture() -> None:
    """As the engine and diffusers make them: mid grey in the hole, then encoded."""
    vae = build_vae()
    pixels = to_tensor(np.stack([paint(seed, 96, 64).image for seed in range(12)]))
    latents = vae.encode(pixels).latents * vae.config.scaling_factor
    holes = draw_holes(np.random.default_rng(0), latents)
    in_pixels = torch.nn.functional.interpolate(holes, scale_factor=LATENT_FACTOR)
    masked = vae.encode(pixels * (1 - in_pixels)).latents * vae.config.scaling_factor
    told = inputs_of(latents, holes, grey_latent(vae))
    assert torch.equal(told[:, :1], holes)
    torch.testing.assert_close(told[:, 1:], masked, atol=1e-5, rtol=0)


def test_some_holes_are_everything_the_rest_is_of_all_sizes_and_none_is_empty() -> None:
    holes = draw_holes(np.random.default_rng(1), torch.zeros(2000, 4, 16, 24))
    assert holes.shape == (2000, 1, 16, 24)
    assert set(holes.unique().tolist()) == {0.0, 1.0}
    shares = holes.mean((1, 2, 3))
    assert shares.min() > 0
    assert 0.35 < (shares == 1).float().mean() < 0.5
    part = shares[shares < 1]
    assert part.quantile(0.1) < 0.15 and part.quantile(0.9) > 0.6


def test_many_holes_are_a_selection_around_the_thing() -> None:
    things = torch.zeros(2000, 1, 16, 24)
    things[:, :, 4:9, 14:18] = 1
    rng = np.random.default_rng(2)
    holes = draw_holes(rng, torch.zeros(2000, 4, 16, 24), things)
    part = holes.mean((1, 2, 3)) < 1
    within = (holes * things).sum((1, 2, 3)) / things.sum((1, 2, 3))
    anywhere = draw_holes(rng, torch.zeros(2000, 4, 16, 24))
    chance = (anywhere * things).sum((1, 2, 3)) / things.sum((1, 2, 3))
    assert (within[part] > 0.85).float().mean() > 0.6
    assert (chance[anywhere.mean((1, 2, 3)) < 1] > 0.85).float().mean() < 0.5


def test_a_lesson_about_selections_has_all_its_holes_around_the_thing() -> None:
    things = torch.zeros(500, 1, 16, 24)
    things[:, :, 4:9, 14:18] = 1
    holes = draw_holes(np.random.default_rng(3), torch.zeros(500, 4, 16, 24), things, True)
    assert holes.shape == (500, 1, 16, 24) and holes.dtype == torch.float32
    within = (holes * things).sum((1, 2, 3)) / things.sum((1, 2, 3))
    assert within.min() > 0.9
    assert holes.mean((1, 2, 3)).max() < 0.6


def test_the_loss_is_about_the_hole() -> None:
    holes = torch.zeros(1, 1, 4, 4)
    holes[..., :2] = 1
    weights = loss_weights(holes)
    assert torch.isclose(weights.mean(), torch.tensor(1.0))
    assert weights[holes > 0].min() > 5 * weights[holes == 0].max()
    assert torch.equal(loss_weights(torch.ones_like(holes)), torch.ones_like(holes))

"""What a model does to the colours of what is kept is undone, whatever the share that is kept."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.engine.match import match
from bridge.engine.pipeline import Engine
from bridge.engine.types import Job, Snapshot
from krita_plugin.krita_bridge.wire.geometry import Bounds, Extent
from krita_plugin.krita_bridge.wire.messages import PaintRequest
from tests.fake_models import PixelVae, fake_model, preset
from tests.figures import found

SIDE = 64
LEVEL = 1 / 255


def random_picture(seed: int) -> torch.Tensor:
    return torch.rand(1, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(seed))


def kept(share: float, seed: int = 0) -> torch.Tensor:
    """Weights: 1 for this share of all pixels, at least two."""
    count = max(2, round(share * SIDE * SIDE))
    order = torch.randperm(SIDE * SIDE, generator=torch.Generator().manual_seed(seed))
    return (order < count).float().reshape(1, 1, SIDE, SIDE)


@pytest.mark.parametrize("share", [0.01, 0.1, 0.5, 0.9, 0.99])
def test_an_affine_shift_is_undone_exactly(
    share: float, record_property: Callable[[str, object], None]
) -> None:
    """Inside, where nothing is measured, too: a hundredth of a level at most."""
    generator = torch.Generator().manual_seed(5)
    worst = 0.0
    for seed in range(40):
        gain = 0.6 + torch.rand(1, 3, 1, 1, generator=generator)
        shift = 0.6 * torch.rand(1, 3, 1, 1, generator=generator) - 0.3
        painted, weights = random_picture(seed), kept(share, seed)
        source = torch.where(weights > 0, painted, random_picture(seed + 1))
        matched = match(painted * gain + shift, source, weights)
        worst = max(worst, float((matched - painted).abs().max()) / LEVEL)
    record_property("affine shift left, levels", worst)
    assert worst < 0.01


@settings(max_examples=30, deadline=None)
@given(st.floats(0.0005, 1), st.integers(0, 1000))
def test_where_nothing_shifted_nothing_changes(share: float, seed: int) -> None:
    painted = random_picture(seed)
    matched = match(painted, painted.clone(), kept(share, seed))
    found(
        "identity through colour matching, levels", float((matched - painted).abs().max()) / LEVEL
    )
    torch.testing.assert_close(matched, painted, rtol=0, atol=LEVEL / 1000)


def test_without_anything_kept_nothing_changes() -> None:
    painted = random_picture(0)
    weights = torch.zeros(1, 1, SIDE, SIDE)
    assert torch.equal(match(painted, random_picture(1), weights), painted)


def test_what_is_not_kept_says_nothing() -> None:
    painted, weights = random_picture(0), kept(0.5)
    sources = [torch.where(weights > 0, painted * 0.9, random_picture(seed)) for seed in (1, 2)]
    one, two = (match(painted, source, weights) for source in sources)
    torch.testing.assert_close(one, two, rtol=0, atol=1e-6)


@pytest.mark.parametrize("noise", [0.0, 1.0, 4.0])
def test_noise_on_a_flat_ground_does_not_change_the_contrast(noise: float) -> None:
    flat, weights = torch.full((1, 3, SIDE, SIDE), 0.5), kept(0.5)
    grain = (random_picture(0) - 0.5) * noise * LEVEL
    painted = torch.where(weights > 0, flat + 0.1 + grain, random_picture(1))
    matched = match(painted, flat, weights)
    torch.testing.assert_close(matched, painted - 0.1, rtol=0, atol=LEVEL)


class _TintingVae(PixelVae):
    """A decoder that shifts all colours."""

    def decode(self, latents: torch.Tensor, return_dict: bool) -> tuple[torch.Tensor]:
        return (super().decode(latents, return_dict)[0] * 0.8 + 0.1,)


@pytest.mark.parametrize("matches", [True, False])
def test_the_engine_undoes_it_with_a_selection(matches: bool) -> None:
    image = np.full((96, 96, 4), 255, np.uint8)
    image[..., :3] = np.random.default_rng(0).integers(40, 200, (96, 96, 3))
    mask = np.zeros((96, 96), np.uint8)
    mask[32:64, 32:64] = 255
    layers = []
    for vae in (PixelVae(), _TintingVae()):
        model = fake_model(lambda given, call: torch.tanh(given) / 3, vae=vae)
        engine = Engine(
            {"embedded": preset("embedded")}, device="cpu", load=lambda *_, made=model: made
        )
        request = PaintRequest("a", seed=1, strength=0.3, match_colors=matches)
        snapshot = Snapshot(Extent(96, 96), Bounds(0, 0, 96, 96), image, mask)
        painting = engine.paint(
            Job(request, snapshot), on_step=lambda _: None, is_cancelled=lambda: False
        )
        layers.append(painting.image.astype(int))
    inside = [layer[8:-8, 8:-8, :3] for layer in layers]
    # Values that a decoder clips are lost to it.
    unclipped = (inside[0] > 0) & (inside[0] < 255)
    worst = np.abs(inside[0] - inside[1])[unclipped].max()
    assert worst <= 1 if matches else worst > 10

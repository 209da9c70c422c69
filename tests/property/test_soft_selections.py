"""A selection's grey values are strengths, and hard selections stay hard."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.engine.mask import coverage, levels
from bridge.engine.pipeline import Engine
from bridge.engine.plan import Plan, make_plan
from bridge.engine.sample import Kept, noisy, sample
from bridge.engine.schedule import Schedule, first_steps, make_schedule, steps_run
from bridge.engine.schedulers import SCHEDULERS
from bridge.engine.types import Job, Painting, Snapshot
from bridge.models.loaded import Resolution
from krita_plugin.krita_bridge.wire.geometry import Bounds, Extent
from krita_plugin.krita_bridge.wire.messages import PaintRequest
from krita_plugin.krita_bridge.wire.modes import Blend, Mode
from tests.fake_models import SD_CONFIG, fake_model, preset
from tests.figures import found

STEPS = 10
SIDE = 96
BOUNDS = Bounds(40, 80, SIDE, SIDE)
SHAPE = (1, 4, 6, 6)


def picture(seed: int = 0) -> np.ndarray:
    image = np.random.default_rng(seed).integers(0, 256, (SIDE, SIDE, 4), dtype=np.uint8)
    image[..., 3] = 255
    return image


def feathered(width: int) -> np.ndarray:
    """Nothing on the left, all on the right, and a ramp of this width (px) between."""
    ramp = np.clip((np.arange(SIDE) - SIDE / 2) / width + 0.5, 0, 1) * 255
    return np.broadcast_to(np.rint(ramp).astype(np.uint8), (SIDE, SIDE)).copy()


def paint(mask: np.ndarray | None, channels: int = 192, **request: object) -> Painting:
    model = fake_model(lambda given, call: torch.tanh(given[:, :192]))
    model.unet.config.in_channels = channels
    engine = Engine({"embedded": preset("embedded")}, device="cpu", load=lambda *_: model)
    asked = PaintRequest(**{"prompt": "a", "seed": 5, "steps": STEPS, **request})
    snapshot = Snapshot(Extent(500, 500), BOUNDS, picture(), mask)
    return engine.paint(Job(asked, snapshot), on_step=lambda _: None, is_cancelled=lambda: False)


@pytest.mark.parametrize("scheduler", SCHEDULERS)
@pytest.mark.parametrize("level", [1, 77, 128, 254])
def test_a_constant_selection_is_image_to_image_at_that_strength(
    scheduler: str, level: int, record_property: Callable[[str, object], None]
) -> None:
    soft = paint(np.full((SIDE, SIDE), level, np.uint8), scheduler=scheduler)
    plain = paint(None, strength=level / 255, scheduler=scheduler)
    apart = np.abs(soft.image.astype(int) - plain.image).max()
    record_property("constant selection, levels", apart)
    assert apart == 0
    assert soft.facts.steps_run == plain.facts.steps_run == steps_run(STEPS, level / 255)


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 255), st.floats(0.05, 1))
def test_selection_and_strength_multiply(level: int, strength: float) -> None:
    soft = paint(np.full((SIDE, SIDE), level, np.uint8), strength=strength, mode=Mode.REFINE)
    plain = paint(None, strength=strength * (level / 255), mode=Mode.REFINE)
    assert np.array_equal(soft.image, plain.image)


def loop(schedule: Schedule, start: torch.Tensor, kept: Kept) -> torch.Tensor:
    """A model that mixes neighbours, so that what stands beside a latent matters."""

    def answer(given: torch.Tensor, index: int) -> torch.Tensor:
        return torch.tanh(given + given.roll(1, -1) - 0.3 * given.roll(1, -2))

    return sample(answer, schedule, start, lambda index: randn(90 + index), lambda *_: None, kept)


def randn(seed: int) -> torch.Tensor:
    return torch.randn(SHAPE, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_a_binary_map_is_inpainting(scheduler: str) -> None:
    """Written out here: after every step, what is kept gets its own noise of the level that follows."""
    schedule = make_schedule(scheduler, SD_CONFIG, STEPS, 7)
    inside = torch.zeros(1, 1, *SHAPE[-2:])
    inside[..., 2:5] = 1
    known, noise = randn(1), randn(2)
    start = noisy(known, noise, schedule.steps[0])
    free_from = first_steps(inside * 255, 0.7, STEPS, schedule.order)
    mine = loop(schedule, start, Kept(known, noise, free_from))
    expected = loop(schedule, start, _PutBack(known, noise, inside.double()))
    found("binary map, latents", float((mine - expected).abs().max()))
    assert torch.equal(mine, expected)


class _PutBack(Kept):
    def put_back(self, sample: torch.Tensor, steps: Sequence, index: int) -> torch.Tensor:
        last = index == len(steps)
        known = self.latents if last else noisy(self.latents, self.noise, steps[index])
        return known * (1 - self.free_from) + sample * self.free_from


@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_each_latent_gets_the_steps_it_asks_for(scheduler: str) -> None:
    """A model that answers with the number of its call leaves a trace in what was free, and in nothing else."""
    schedule = make_schedule(scheduler, SD_CONFIG, STEPS, STEPS)
    asked = torch.tensor([0, 1, 51, 128, 204, 255, 255, 0.0]).reshape(1, 1, 1, 8)
    free_from = first_steps(asked, 1.0, STEPS, schedule.order)
    runs = [steps_run(STEPS, level / 255) for level in asked.flatten().tolist()]
    assert free_from.flatten().tolist() == [(STEPS - run) * schedule.order for run in runs]
    seen: list[torch.Tensor] = []
    known, noise = torch.full((1, 1, 1, 8), 3.0), torch.zeros(1, 1, 1, 8)

    def answer(given: torch.Tensor, index: int) -> torch.Tensor:
        clean = torch.isclose(
            given, known * schedule.steps[index].signal * schedule.steps[index].input_scale
        )
        seen.append(clean.flatten())
        return torch.ones_like(given)

    start = noisy(known, noise, schedule.steps[0])
    kept = Kept(known, noise, free_from)
    result = sample(
        answer, schedule, start, lambda _: torch.ones(1, 1, 1, 8), lambda *_: None, kept
    )
    untouched = torch.stack(seen).sum(0)
    for latent, run in enumerate(runs):
        expected = min(free_from.flatten()[latent].item() + 1, len(schedule.steps))
        assert untouched[latent] == expected
        assert (result.flatten()[latent] == 3.0) == (run == 0)


def test_more_selected_is_never_less_changed() -> None:
    """Over a wide feather, the distance from the source grows with the selection."""
    mask = feathered(80)
    image = paint(mask, mode=Mode.REFINE, match_colors=False, blend=Blend.EXACT)
    box = image.bounds.relative_to(BOUNDS)
    source = picture()[box.y : box.bottom, box.x : box.right]
    alpha = image.image[..., 3:] / 255.0
    change = np.abs(alpha * (image.image[..., :3].astype(float) - source[..., :3]))
    by_band = [change[:, left : left + 16].mean() for left in range(0, box.width - 16, 16)]
    assert by_band[0] < 0.35 * by_band[-1]
    assert all(b > 0.8 * a for a, b in pairwise(by_band))


@pytest.mark.parametrize("channels", [192, 9])
def test_a_soft_selection_asks_for_as_many_steps_as_its_strongest_part(channels: int) -> None:
    mask = feathered(40) // 2
    assert paint(mask).facts.steps_run == steps_run(STEPS, mask.max() / 255)


@st.composite
def selections(draw: st.DrawFn) -> np.ndarray:
    generator = np.random.default_rng(draw(st.integers(0, 2**32)))
    height, width = draw(st.integers(1, 60)), draw(st.integers(1, 60))
    mask = generator.integers(0, 256, (height, width), dtype=np.uint8)
    mask[generator.random((height, width)) < draw(st.floats(0, 0.95))] = 0
    return mask


def plan_for(mask: np.ndarray, scale: float) -> Plan:
    bounds = Bounds(3, 5, mask.shape[1], mask.shape[0])
    area = max(1, round(mask.size * scale**2))
    return make_plan(bounds, bounds, Resolution(max(1, round(area**0.5)), area), 8)


def given_to(mask: np.ndarray, plan: Plan) -> np.ndarray:
    """The level of the latent in which each pixel's centre lies."""
    found = levels(mask, plan, 8)[0, 0].repeat_interleave(8, 0).repeat_interleave(8, 1).numpy()
    content, (height, width) = plan.content, mask.shape
    rows = content.y + (np.arange(height) + 0.5) * content.height / height
    columns = content.x + (np.arange(width) + 0.5) * content.width / width
    return found[rows.astype(int)][:, columns.astype(int)]


@settings(max_examples=100, deadline=None)
@given(selections(), st.sampled_from([0.4, 1.0, 2.5]))
def test_alpha_is_never_less_than_the_selection_and_zero_where_it_is(
    mask: np.ndarray, scale: float
) -> None:
    alpha = coverage(mask, plan_for(mask, scale), 8)
    assert np.array_equal(alpha == 0, mask == 0)
    assert (alpha >= mask).all()
    assert (alpha[mask == mask.max()] == 255).all() or mask.max() == 0


@settings(max_examples=100, deadline=None)
@given(selections(), st.sampled_from([0.4, 1.0, 2.5]))
def test_every_latent_gets_at_least_what_its_pixels_ask_for(mask: np.ndarray, scale: float) -> None:
    assert (given_to(mask, plan_for(mask, scale)) >= mask).all()


@settings(max_examples=100, deadline=None)
@given(selections(), st.sampled_from([0.4, 1.0, 2.5]))
def test_no_pixel_shows_more_than_it_asks_for(mask: np.ndarray, scale: float) -> None:
    """Painted at the strength of its latent, and shown at the alpha of the result."""
    plan = plan_for(mask, scale)
    shown = coverage(mask, plan, 8) / 255.0 * given_to(mask, plan)
    assert (shown <= mask + 0.5 + 1e-9).all()


def test_alpha_is_rounded() -> None:
    mask = np.array([[128, 254]], np.uint8)  # 128.504 of 255
    assert coverage(mask, plan_for(mask, 1.0), 8).tolist() == [[129, 255]]


@pytest.mark.parametrize("width", [1, 2, 4])
def test_a_smooth_edge_is_a_hard_selection(width: int) -> None:
    """The alpha is the selection itself, and all of it is painted at full strength."""
    mask = feathered(width)
    painting = paint(mask)
    box = painting.bounds.relative_to(BOUNDS)
    assert np.array_equal(painting.image[..., 3], mask[:, box.x : box.right])
    assert (given_to(mask, plan_for(mask, 1.0))[mask > 0] == 255).all()


def test_a_wide_feather_shows_what_is_painted_there() -> None:
    alpha = coverage(feathered(90), plan_for(feathered(90), 1.0), 8)
    row = alpha[SIDE // 2].astype(int)
    assert np.diff(row).min() >= -2  # the ramp itself is rounded to levels
    assert row[SIDE // 2] > 200 > 140 > feathered(90)[0, SIDE // 2]


def test_exact_shows_the_painted_up_to_the_edge_and_soft_goes_over() -> None:
    mask = np.zeros((SIDE, SIDE), np.uint8)
    mask[24:72, 24:72] = 255
    soft, exact = (paint(mask, blend=blend, match_colors=False).image for blend in Blend)
    source = picture()[24:72, 24:72]
    assert np.array_equal(soft[6:-6, 6:-6], exact[6:-6, 6:-6])
    edges = [layer[0, :, :3].astype(int) for layer in (soft, exact)]
    toward, whole = (np.abs(edge - source[0, :, :3]).mean() for edge in edges)
    assert toward < 0.3 * whole
    assert (exact[..., 3] == 255).all()

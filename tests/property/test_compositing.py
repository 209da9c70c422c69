"""Ten thousand ways to lay a result over a document: no byte outside the selection ever changes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
import pytest
import torch

from bridge.commands.pictures import lay_over
from bridge.engine.color import over_white, to_u8
from bridge.engine.composite import Compositor
from bridge.engine.plan import Plan, make_plan
from bridge.engine.resample import from_working, to_working
from bridge.engine.types import ImageU8, MaskU8
from bridge.models.loaded import Resolution
from bridge.pixels import tight_bounds
from krita_plugin.krita_bridge.wire.geometry import Bounds
from krita_plugin.krita_bridge.wire.modes import Blend

CASES = 10_000
Record = Callable[[str, object], None]
ANY_SIZE = Resolution(native=1, max_pixels=1 << 30)


@dataclass(frozen=True)
class Case:
    """A document with a selection, and the part of it that was captured."""

    document: ImageU8
    selection: MaskU8
    source: Bounds

    @property
    def crop(self) -> tuple[slice, slice]:
        box = self.source
        return slice(box.y, box.bottom), slice(box.x, box.right)


def selections(random: np.random.Generator, height: int, width: int) -> MaskU8:
    """A box (hard, or a ramp), an ellipse with smooth edges, stray pixels, noise, or everything."""
    mask = np.zeros((height, width), np.uint8)
    kind = random.integers(6)
    left, top = random.integers(width), random.integers(height)
    right, bottom = random.integers(left, width) + 1, random.integers(top, height) + 1
    if kind == 0:
        mask[top:bottom, left:right] = 255
    elif kind == 1:
        mask[top:bottom, left:right] = np.linspace(1, 255, right - left).astype(np.uint8)
    elif kind == 2:
        axes = int(random.integers(1, width + 1)), int(random.integers(1, height + 1))
        cv2.ellipse(mask, (int(left), int(top)), axes, 0, 0, 360, 255, -1, cv2.LINE_AA)
    elif kind == 3:
        mask[random.random(mask.shape) < 0.03] = random.integers(1, 256)
    elif kind == 4:
        mask[:] = random.integers(0, 256, mask.shape) * (random.random(mask.shape) < 0.5)
    else:
        mask[:] = random.integers(1, 256)
    if not mask.any():
        mask[top, left] = random.integers(1, 256)
    return mask


def case(random: np.random.Generator) -> Case:
    height, width = (int(side) for side in random.integers(1, 40, 2))
    document = random.integers(0, 256, (height, width, 4), dtype=np.uint8)
    document[random.random((height, width)) < random.choice([0, 0.5]), 3] = 0
    document[random.random((height, width)) < random.choice([0, 0.5, 1]), 3] = 255
    selection = selections(random, height, width)
    tight = tight_bounds(selection)
    left, top = random.integers(tight.x + 1), random.integers(tight.y + 1)
    right = random.integers(tight.right, width + 1)
    bottom = random.integers(tight.bottom, height + 1)
    return Case(document, selection, Bounds(*map(int, (left, top, right - left, bottom - top))))


def plan_of(found: Case, resolution: Resolution = ANY_SIZE) -> Plan:
    target = tight_bounds(found.selection)
    return make_plan(found.source, target, resolution, 8)


def test_ten_thousand_cases_change_no_byte_outside(record_property: Record) -> None:
    random, noise = np.random.default_rng(2026), torch.Generator().manual_seed(2026)
    outside = changed_outside = changed_inside = 0
    for number in range(CASES):
        found = case(random)
        scaled = Resolution(32, 40**2) if number % 4 == 0 else ANY_SIZE
        plan = plan_of(found, scaled)
        compositor = Compositor(
            plan,
            found.document[found.crop],
            found.selection[found.crop],
            8,
            Blend.SOFT if number % 2 else Blend.EXACT,
        )
        size = plan.working.height, plan.working.width
        after = found.document.copy()
        lay_over(compositor.layer(torch.rand(1, 3, *size, generator=noise)), plan.target, after)
        changed = (after != found.document).any(axis=-1)
        outside += int((found.selection == 0).sum())
        changed_outside += int(changed[found.selection == 0].sum())
        changed_inside += int(changed[found.selection > 0].sum())
    record_property("pixels outside compared", outside)
    record_property("pixels outside changed", changed_outside)
    assert changed_outside == 0
    assert outside > 1_000_000 and changed_inside > 1_000_000  # the cases are worth something


def test_the_picture_itself_comes_back_within_a_level(record_property: Record) -> None:
    """Into the model's picture and out again, unscaled: an identity for every crop, selection and alpha."""
    random = np.random.default_rng(7)
    worst = 0
    for _ in range(500):
        found = case(random)
        found.document[..., 3] = 255
        plan, image = plan_of(found), found.document[found.crop]
        compositor = Compositor(plan, image, found.selection[found.crop], 8)
        after = found.document.copy()
        lay_over(compositor.layer(to_working(over_white(image), plan)), plan.target, after)
        worst = max(worst, int(np.abs(after.astype(int) - found.document).max()))
    record_property("identity, levels", worst)
    assert worst <= 1


@pytest.mark.parametrize("side", [61, 128, 300])
@pytest.mark.parametrize("native", [64, 200, 512])
def test_a_checkerboard_keeps_its_place(side: int, native: int, record_property: Record) -> None:
    """Scaled to the model's size and back, the centroid of a checkerboard under a bell stays within 0.01 px."""
    bounds = Bounds(5, 3, side, side)
    plan = make_plan(bounds, bounds, Resolution(native, native**2), 8)
    y, x = np.mgrid[:side, :side]
    bell = np.exp(-((x - side / 2) ** 2 + (y - side / 2.2) ** 2) / (side / 6) ** 2)
    board = ((x // 8 + y // 8) % 2 * 0.6 + 0.4) * bell
    picture = torch.from_numpy(board).float().expand(1, 3, -1, -1)
    back = from_working(to_working(picture, plan), plan)[0, 0].double().numpy()
    moved = max(
        abs((place * back).sum() / back.sum() - (place * board).sum() / board.sum())
        for place in (x, y)
    )
    record_property("centroid, px", moved)
    assert moved < 0.01


def test_eight_bits_lose_nothing_by_rounding() -> None:
    levels = torch.arange(256, dtype=torch.float32).reshape(1, 1, 16, 16).expand(1, 3, -1, -1)
    assert np.array_equal(to_u8(levels / 255), levels.numpy())

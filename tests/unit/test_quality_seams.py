"""What is measured of a seam, on pictures whose seam is known."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from bridge.engine.types import ImageU8
from tests.quality.seams import (
    ARC,
    MASK,
    SELECTED,
    SIDE,
    Painted,
    border_gradient,
    calm,
    own_step,
    ring_shift,
    step_gained,
)

GREY = 100


def _with_step(levels: int, where: np.ndarray = SELECTED) -> ImageU8:
    """Grey, and lighter by so many levels `where`."""
    picture = np.full((SIDE, SIDE, 4), GREY, np.uint8)
    picture[where, :3] += levels
    return picture


def _painted_over(image: ImageU8) -> Painted:
    nothing = torch.zeros(1, 3, SIDE, SIDE)
    selected = torch.from_numpy(MASK / 255)[None, None]
    return Painted(image, nothing, nothing, selected, selected, keeps_content=False)


@pytest.mark.parametrize(
    ("before", "after", "shift", "gained"),
    [(0, 0, 0, 0), (0, 5, 5, 5), (20, 0, 20, 0), (20, 5, 15, 0), (5, 20, 15, 15)],
)
def test_a_step_that_is_gone_moves_the_rings_and_adds_nothing(
    before: int, after: int, shift: int, gained: int
) -> None:
    source, result = _painted_over(_with_step(before)), _with_step(after)
    assert own_step(source) == pytest.approx(before)
    assert ring_shift(source, result) == pytest.approx(shift)
    assert step_gained(source, result) == pytest.approx(gained)


def test_the_gradient_is_the_step_from_pixel_to_pixel_across_the_border() -> None:
    assert border_gradient(_with_step(0)) == 0
    assert border_gradient(_with_step(7)) == pytest.approx(7)
    within = _with_step(0)
    within[SIDE // 2, SIDE // 2, :3] = 255
    assert border_gradient(within) == 0


def test_a_border_is_calm_but_where_something_reaches_over_it() -> None:
    half = SELECTED & (ARC < 8)
    source = _painted_over(_with_step(20, half))
    quiet = calm(source)
    assert set(ARC[quiet].tolist()) == set(range(8, 16))
    assert ring_shift(source, _with_step(0), quiet) == pytest.approx(0)
    assert ring_shift(source, _with_step(0), ~quiet) == pytest.approx(20)

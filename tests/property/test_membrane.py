"""What the model shifts at a selection's border is taken back, and nothing else is."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.engine.membrane import KEPT_REACH, REACH, meet

SIDE = 96
LEVEL = 1 / 255
ALL_KNOWN = torch.ones(1, 1, SIDE, SIDE)


def random_picture(seed: int) -> torch.Tensor:
    return torch.rand(1, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(seed))


def disc(radius: float, x: float = SIDE / 2, y: float = SIDE / 2) -> torch.Tensor:
    rows, columns = np.mgrid[:SIDE, :SIDE]
    inside = np.hypot(columns + 0.5 - x, rows + 0.5 - y) <= radius
    return torch.from_numpy(inside.astype(np.float32))[None, None]


def distances(radius: float) -> torch.Tensor:
    rows, columns = np.mgrid[:SIDE, :SIDE]
    depth = radius - np.hypot(columns + 0.5 - SIDE / 2, rows + 0.5 - SIDE / 2)
    return torch.from_numpy(depth.astype(np.float32))


@pytest.mark.parametrize("keeps_content", [True, False])
@settings(max_examples=25, deadline=None)
@given(st.integers(0, 1000), st.floats(0.6, 60), st.integers(0, SIDE), st.integers(0, SIDE))
def test_only_what_is_selected_changes(
    keeps_content: bool, seed: int, radius: float, x: int, y: int
) -> None:
    selected = disc(radius, x, y)
    painted = random_picture(seed)
    met = meet(painted, random_picture(seed + 1), selected, ALL_KNOWN, keeps_content)
    assert torch.equal(met * (1 - selected), painted * (1 - selected))
    assert torch.isfinite(met).all()
    assert (met - painted).abs().max() <= 1 + 1e-6, "no more than the largest difference"


@pytest.mark.parametrize("keeps_content", [True, False])
@settings(max_examples=15, deadline=None)
@given(st.integers(0, 1000), st.floats(1, 60))
def test_where_nothing_shifted_nothing_changes(
    keeps_content: bool, seed: int, radius: float
) -> None:
    painted = random_picture(seed)
    met = meet(painted, painted.clone(), disc(radius), ALL_KNOWN, keeps_content)
    assert torch.equal(met, painted)


@pytest.mark.parametrize("keeps_content", [True, False])
def test_a_shift_is_gone_at_the_border_and_stays_further_inside(keeps_content: bool) -> None:
    radius, reach = 40.0, KEPT_REACH if keeps_content else REACH
    painted, shift = random_picture(3), torch.tensor([20.0, -30.0, 10.0]).reshape(1, 3, 1, 1)
    met = meet(painted, painted + shift * LEVEL, disc(radius), ALL_KNOWN, keeps_content)
    share = ((met - painted) / LEVEL / shift)[0]
    depth = distances(radius)
    torch.testing.assert_close(share, share[:1].expand_as(share), rtol=0, atol=1e-3)
    rings = [share[0, (depth >= at) & (depth < at + 1)].mean() for at in range(int(radius))]
    assert rings[0] > 0.99 and rings[reach // 2] == pytest.approx(0.5, abs=0.1)
    assert all(outer >= inner for outer, inner in pairwise(rings))
    assert share[0, depth > reach + 1].abs().max() < 1e-6


@pytest.mark.parametrize("width", range(1, 2 * REACH))
def test_what_is_narrow_keeps_its_colour_in_the_middle(width: int) -> None:
    """A red line across a white sheet stays red, however thin."""
    selected = torch.zeros_like(ALL_KNOWN)
    left = SIDE // 2 - width // 2
    selected[..., left : left + width] = 1
    met = meet(
        torch.zeros(1, 3, SIDE, SIDE), torch.ones(1, 3, SIDE, SIDE), selected, ALL_KNOWN, False
    )
    kept = 1 - met[0, 0, SIDE // 2, left : left + width]
    torch.testing.assert_close(kept, kept.flip(0), rtol=0, atol=0.05)
    assert kept[width // 2] > (0.45 if width < 3 else 0.85)
    assert kept[0] < 0.51


def test_a_thin_part_of_a_wide_selection_has_no_step_in_it() -> None:
    selected = disc(24, x=28)
    selected[..., SIDE // 2 - 3 : SIDE // 2 + 3, 28:90] = 1
    met = meet(
        torch.zeros(1, 3, SIDE, SIDE), torch.ones(1, 3, SIDE, SIDE), selected, ALL_KNOWN, False
    )
    along = met[0, 0, SIDE // 2 - 2, 56:86]
    assert along.diff().abs().max() < 0.1


def test_details_outside_leave_no_marks_inside() -> None:
    """Grain beyond the border is no shift of colours: what is added is smooth."""
    flat = torch.full((1, 3, SIDE, SIDE), 0.5)
    added = meet(flat, random_picture(4), disc(30), ALL_KNOWN, False)[0] - 0.5
    depth = distances(30)
    both = (depth[:, 1:] > 1) & (depth[:, :-1] > 1)
    assert added.diff(dim=-1)[:, both].abs().max() < 0.04
    assert added.abs().max() < 0.25


def test_new_content_does_not_depend_on_what_was_inside() -> None:
    painted, selected = random_picture(0), disc(30)
    pictures = [
        torch.where(selected > 0, random_picture(seed), random_picture(9)) for seed in (1, 2)
    ]
    one, two = (meet(painted, picture, selected, ALL_KNOWN, False) for picture in pictures)
    assert torch.equal(one, two)
    assert not torch.equal(*(meet(painted, each, selected, ALL_KNOWN, True) for each in pictures))


def test_what_is_not_known_says_nothing() -> None:
    painted, selected = random_picture(0), disc(30)
    assert torch.equal(
        meet(painted, random_picture(1), selected, torch.zeros_like(ALL_KNOWN), True), painted
    )
    left = torch.zeros_like(ALL_KNOWN)
    left[..., : SIDE // 2] = 1
    pictures = [torch.where(left > 0, random_picture(9), random_picture(seed)) for seed in (1, 2)]
    one, two = (meet(painted, picture, selected, left, False) for picture in pictures)
    assert torch.equal(one, two)


def test_what_resampling_has_mixed_says_nothing() -> None:
    """The pixels just beyond the border, when the picture was scaled: what was selected shows in them."""
    painted, selected = random_picture(0), disc(30)
    mixed = ((distances(30) <= 0) & (distances(30) > -2.5)).float()
    pictures = [torch.where(mixed > 0, random_picture(seed), random_picture(9)) for seed in (1, 2)]
    one, two = (meet(painted, each, selected, ALL_KNOWN, False, spread=3) for each in pictures)
    assert torch.equal(one, two)
    assert not torch.equal(*(meet(painted, each, selected, ALL_KNOWN, False) for each in pictures))
    assert not torch.equal(one, painted)


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_without_a_border_nothing_changes(value: float) -> None:
    painted = random_picture(0)
    selected = torch.full_like(ALL_KNOWN, value)
    assert torch.equal(meet(painted, random_picture(1), selected, ALL_KNOWN, True), painted)

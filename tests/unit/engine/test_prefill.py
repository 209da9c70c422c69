from __future__ import annotations

import pytest
import torch

from bridge.engine.prefill import fill


def hole(height: int, width: int, box: tuple[int, int, int, int]) -> torch.Tensor:
    made = torch.zeros(1, 1, height, width)
    top, left, bottom, right = box
    made[..., top:bottom, left:right] = 1
    return made


BOXES = [(10, 10, 30, 30), (0, 10, 30, 40), (0, 0, 64, 20), (0, 0, 63, 80), (0, 0, 63, 79)]


@pytest.mark.parametrize("box", BOXES)
def test_a_constant_stays_constant(box: tuple[int, int, int, int]) -> None:
    colour = torch.tensor([0.25, 0.5, 1.0]).reshape(1, 3, 1, 1).expand(1, 3, 64, 80)
    torch.testing.assert_close(fill(colour, hole(64, 80, box)), colour.clone())


@pytest.mark.parametrize("box", BOXES)
def test_what_surrounds_the_hole_stays_exactly(box: tuple[int, int, int, int]) -> None:
    picture = torch.rand(1, 3, 64, 80, generator=torch.Generator().manual_seed(0))
    hidden = hole(64, 80, box)
    filled = fill(picture, hidden)
    outside = hidden.expand_as(picture) == 0
    assert torch.equal(filled[outside], picture[outside])
    assert filled.min() >= 0 and filled.max() <= 1


def test_what_was_in_the_hole_does_not_matter() -> None:
    generator = torch.Generator().manual_seed(0)
    first, second = (torch.rand(1, 3, 64, 80, generator=generator) for _ in range(2))
    hidden = hole(64, 80, BOXES[0])
    second = torch.where(hidden > 0, second, first)
    assert torch.equal(fill(first, hidden), fill(second, hidden))


def test_between_two_colours_it_goes_over_smoothly() -> None:
    picture = torch.zeros(1, 3, 64, 64)
    picture[..., 32:] = 1
    row = fill(picture, hole(64, 64, (0, 12, 64, 52)))[0, 0, 32]
    steps = row.diff()
    assert steps.min() >= -0.02
    assert steps.abs().max() < 0.2
    assert row[32] == pytest.approx(0.5, abs=0.1)


def test_without_surroundings_it_is_grey() -> None:
    assert torch.equal(
        fill(torch.rand(1, 3, 8, 8), torch.ones(1, 1, 8, 8)), torch.full((1, 3, 8, 8), 0.5)
    )

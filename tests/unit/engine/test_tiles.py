from __future__ import annotations

import itertools

import pytest
import torch

from bridge.engine.tiles import make_layout

SIZES = [(16, 16), (5, 7), (16, 40), (33, 17), (100, 64), (17, 129)]


@pytest.mark.parametrize(("height", "width"), SIZES)
def test_the_tiles_cover_everything_and_fit(height: int, width: int) -> None:
    layout = make_layout(height, width, 16)
    covered = torch.zeros(1, 1, height, width)
    for tile in layout.tiles:
        part = tile.of(covered)
        assert part.shape[-2:] == (tile.height, tile.width) == (min(16, height), min(16, width))
        part += 1
    assert covered.min() >= 1


@pytest.mark.parametrize(("height", "width"), SIZES)
def test_neighbours_overlap_by_a_quarter_or_more(height: int, width: int) -> None:
    layout = make_layout(height, width, 16)
    for axis in ("top", "left"):
        starts = sorted({getattr(tile, axis) for tile in layout.tiles})
        assert all(after - before <= 12 for before, after in itertools.pairwise(starts))


@pytest.mark.parametrize(("height", "width"), SIZES)
@pytest.mark.parametrize("scale", [1, 4])
def test_tiles_that_agree_make_no_difference(height: int, width: int, scale: int) -> None:
    generator = torch.Generator().manual_seed(0)
    picture = torch.rand(1, 3, height * scale, width * scale, generator=generator)
    layout = make_layout(height, width, 16)
    torch.testing.assert_close(layout.mean(lambda tile: tile.of(picture, scale), 3, scale), picture)


def test_between_tiles_that_differ_it_goes_over_smoothly() -> None:
    layout = make_layout(16, 28, 16)
    values = {tile: float(index) for index, tile in enumerate(layout.tiles)}
    assert len(values) == 2
    row = layout.mean(lambda tile: torch.full((1, 1, 16, 16), values[tile]), 1)[0, 0, 0]
    assert row[0] == 0 and row[-1] == 1
    steps = row.diff()
    assert steps.min() >= 0
    assert steps.max() <= 1.01 / layout.overlap


def test_only_the_tiles_with_something_to_paint_are_done() -> None:
    layout = make_layout(40, 40, 16)
    wanted = torch.zeros(1, 1, 40, 40)
    wanted[..., 2:4, 30:35] = 7
    few = layout.touching(wanted)
    assert 0 < len(few.tiles) < len(layout.tiles)
    done = few.mean(lambda tile: torch.ones(1, 1, tile.height, tile.width), 1)
    assert (done[wanted > 0] == 1).all()

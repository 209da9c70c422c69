"""What is captured round a selection."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from krita_plugin.krita_bridge.wire.geometry import Bounds, Extent, Margins, context_bounds

sides = st.integers(1, 30_000)


@given(sides, sides, st.data())
def test_context_holds_the_selection_and_lies_on_the_canvas(
    width: int, height: int, data: st.DataObject
) -> None:
    x, y = data.draw(st.integers(0, width - 1)), data.draw(st.integers(0, height - 1))
    selection = Bounds(
        x, y, data.draw(st.integers(1, width - x)), data.draw(st.integers(1, height - y))
    )
    native = data.draw(st.sampled_from([128, 512, 1024]))
    canvas = Extent(width, height)
    context = context_bounds(selection, canvas, native)
    assert context.contains(selection)
    assert Bounds.of_canvas(canvas).contains(context)
    assert context.width >= min(native, width) and context.height >= min(native, height)


def test_cost_follows_the_selection_not_the_canvas() -> None:
    selection = Bounds(3000, 3000, 500, 400)
    small = context_bounds(selection, Extent(4096, 4096), 512)
    large = context_bounds(selection, Extent(20_000, 20_000), 512)
    assert small.extent == large.extent == Extent(750, 650)


def test_without_a_selection_it_is_the_whole_canvas() -> None:
    assert context_bounds(None, Extent(300, 200), 512) == Bounds(0, 0, 300, 200)


def test_a_selection_off_the_canvas_is_empty() -> None:
    assert context_bounds(Bounds(400, 0, 50, 50), Extent(300, 200), 512).is_empty


def test_a_selection_over_the_edge_counts_only_inside() -> None:
    context = context_bounds(Bounds(-50, -50, 100, 100), Extent(300, 200), 64)
    assert context == Bounds(0, 0, 114, 114)


def test_a_wider_margin_shows_more_of_the_surroundings() -> None:
    selection, canvas = Bounds(1000, 1000, 400, 200), Extent(4096, 4096)
    assert context_bounds(selection, canvas, 64) == Bounds(900, 900, 600, 400)
    assert context_bounds(selection, canvas, 64, 0.5) == Bounds(800, 800, 800, 600)


@pytest.mark.parametrize(
    ("margins", "new"),
    [
        (Margins(50, 0, 0, 0), Bounds(0, 0, 50, 200)),
        (Margins(0, 50, 0, 0), Bounds(0, 0, 300, 50)),
        (Margins(0, 0, 50, 0), Bounds(300, 0, 50, 200)),
        (Margins(0, 0, 0, 50), Bounds(0, 200, 300, 50)),
        (Margins(10, 0, 20, 0), Bounds(0, 0, 330, 200)),
        (Margins(10, 20, 0, 0), Bounds(0, 0, 310, 220)),
        (Margins(1, 2, 3, 4), Bounds(0, 0, 304, 206)),
        (Margins(0, 0, 0, 0), Bounds(300, 200, 0, 0)),
    ],
)
def test_what_is_new_on_a_grown_canvas(margins: Margins, new: Bounds) -> None:
    canvas = Extent(300, 200)
    assert margins.new(canvas) == new
    whole, kept = Bounds.of_canvas(margins.around(canvas)), margins.kept(canvas)
    assert whole.contains(kept) and kept.extent == canvas
    assert whole.contains(new)

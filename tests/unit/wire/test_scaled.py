from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from krita_plugin.krita_bridge.wire.geometry import Bounds, Extent
from krita_plugin.krita_bridge.wire.messages import MessageError, PaintRequest, Submit

FACTORS = st.floats(1, 8)


@given(st.integers(1, 5000), st.integers(1, 5000), FACTORS)
def test_a_canvas_grows_by_its_factor(width: int, height: int, factor: float) -> None:
    canvas = Extent(width, height)
    larger = canvas.scaled(factor)
    assert abs(larger.width - width * factor) <= 0.5
    assert abs(larger.height - height * factor) <= 0.5
    assert Bounds.of_canvas(canvas).scaled(canvas, larger) == Bounds.of_canvas(larger)


@given(st.integers(0, 900), st.integers(1, 100), FACTORS)
def test_a_part_is_what_lies_wholly_inside(x: int, width: int, factor: float) -> None:
    canvas = Extent(1000, 10)
    larger = canvas.scaled(factor)
    part = Bounds(x, 0, width, 10).scaled(canvas, larger)
    exact = larger.width / canvas.width
    assert 0 <= part.x - x * exact < 1 + 1e-6
    assert 0 <= (x + width) * exact - part.right < 1 + 1e-6


@pytest.mark.parametrize("factor", [0.5, 0.99, 8.01, float("nan"), float("inf")])
def test_factors_out_of_range_are_refused(factor: float) -> None:
    with pytest.raises(MessageError, match="upscale must be between 1 and 8"):
        PaintRequest("a", upscale=factor)


@pytest.mark.parametrize(("width", "height"), [(4096, 2049), (2, 8193)])
def test_a_result_that_is_too_large_is_refused_in_a_sentence(width: int, height: int) -> None:
    canvas = Extent(10_000, 10_000)
    with pytest.raises(MessageError, match="Upscaled, the area would be"):
        Submit("j", PaintRequest("a", upscale=4), canvas, Bounds(0, 0, width, height))
    Submit("j", PaintRequest("a", upscale=4), canvas, Bounds(0, 0, 2048, 2048))

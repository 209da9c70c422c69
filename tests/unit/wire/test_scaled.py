from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from krita_plugin.krita_bridge.parts import parts_of
from krita_plugin.krita_bridge.wire.geometry import Bounds, Extent
from krita_plugin.krita_bridge.wire.messages import (
    MessageError,
    PaintRequest,
    Submit,
    UpscalePart,
)

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


@pytest.mark.parametrize(
    ("whole", "target", "factor", "sentence"),
    [
        (Bounds(0, 0, 101, 50), Bounds(20, 20, 40, 40), 2, "does not lie in the area"),
        (Bounds(0, 0, 40, 40), Bounds(20, 20, 40, 40), 2, "does not lie in the area"),
        (Bounds(0, 0, 100, 50), Bounds(19, 20, 40, 40), 2, "has not been sent"),
        (Bounds(0, 0, 100, 50), Bounds(20, 20, 0, 40), 2, "has not been sent"),
        (Bounds(0, 0, 100, 50), Bounds(20, 20, 20, 20), 1, "Only what is upscaled"),
    ],
)
def test_a_part_lies_in_what_is_sent_and_that_in_the_whole(
    whole: Bounds, target: Bounds, factor: float, sentence: str
) -> None:
    canvas, sent = Extent(100, 50), Bounds(10, 10, 35, 40)
    with pytest.raises(MessageError, match=sentence):
        Submit(
            "j", PaintRequest("a", upscale=factor, part=UpscalePart(whole, target)), canvas, sent
        )


@given(
    st.integers(1, 3000),
    st.integers(1, 3000),
    st.integers(0, 50),
    FACTORS.filter(lambda factor: factor > 1),
    st.integers(8, 512),
    st.integers(64, 700),
)
def test_parts_cover_all_once_and_send_what_they_need(
    width: int, height: int, corner: int, factor: float, native: int, side: int
) -> None:
    canvas = Extent(width + corner + 3, height + corner)
    area = Bounds(corner, corner, width, height)
    larger = canvas.scaled(factor)
    whole = area.scaled(canvas, larger)
    covered = 0
    for sent, part in parts_of(canvas, area, factor, native, side):
        Submit("j", PaintRequest("a", upscale=factor, part=part), canvas, sent)
        target = part.target
        assert max(target.width, target.height) <= side
        assert whole.contains(target)
        covered += target.width * target.height
        around = Bounds(
            target.x - native,
            target.y - native,
            target.width + 2 * native,
            target.height + 2 * native,
        )
        assert sent.scaled(canvas, larger).contains(around.intersection(whole))
    assert covered == whole.width * whole.height

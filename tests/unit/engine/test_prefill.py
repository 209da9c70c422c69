from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from bridge.engine import prefill as prefills
from bridge.engine.prefill import prefill
from krita_plugin.krita_bridge.wire.modes import Prefill
from tests.figures import found

FILLING = [kind for kind in Prefill if kind is not Prefill.KEEP]
SMOOTH = [Prefill.SURROUNDINGS, Prefill.INPAINT]
BOXES = [(10, 10, 30, 30), (0, 10, 30, 40), (0, 0, 64, 20), (0, 0, 63, 80), (0, 0, 63, 79)]
LEVEL = 1 / 255


def hole(height: int, width: int, box: tuple[int, int, int, int]) -> torch.Tensor:
    made = torch.zeros(1, 1, height, width)
    top, left, bottom, right = box
    made[..., top:bottom, left:right] = 1
    return made


def random_picture(seed: int = 0, size: tuple[int, int] = (64, 80)) -> torch.Tensor:
    return torch.rand(1, 3, *size, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("kind", FILLING)
@pytest.mark.parametrize("box", BOXES)
def test_a_constant_stays_constant(
    kind: Prefill,
    box: tuple[int, int, int, int],
    record_property: Callable[[str, object], None],
) -> None:
    colour = torch.tensor([0.25, 0.5, 1.0]).reshape(1, 3, 1, 1).expand(1, 3, 64, 80)
    filled = prefill(kind, colour, hole(64, 80, box))
    record_property("constant prefill, levels", float((filled - colour).abs().max()) / LEVEL)
    torch.testing.assert_close(filled, colour.clone(), atol=LEVEL, rtol=0)


@pytest.mark.parametrize("kind", FILLING)
@pytest.mark.parametrize("box", BOXES)
def test_what_surrounds_the_hole_stays_exactly(
    kind: Prefill, box: tuple[int, int, int, int]
) -> None:
    picture, hidden = random_picture(), hole(64, 80, box)
    filled = prefill(kind, picture, hidden)
    outside = hidden.expand_as(picture) == 0
    assert torch.equal(filled[outside], picture[outside])
    assert filled.min() >= 0 and filled.max() <= 1


@pytest.mark.parametrize("kind", FILLING)
def test_what_was_in_the_hole_does_not_matter(kind: Prefill) -> None:
    first, second = random_picture(1), random_picture(2)
    hidden = hole(64, 80, BOXES[0])
    second = torch.where(hidden > 0, second, first)
    assert torch.equal(prefill(kind, first, hidden), prefill(kind, second, hidden))


@pytest.mark.parametrize("kind", SMOOTH)
def test_between_two_colours_it_goes_over_without_turning_back(kind: Prefill) -> None:
    picture = torch.zeros(1, 3, 64, 64)
    picture[..., 32:] = 1
    row = prefill(kind, picture, hole(64, 64, (0, 12, 64, 52)))[0, 0, 32]
    assert row.diff().min() >= -0.02
    assert row[13] < 0.2 and row[50] > 0.8


def test_the_surroundings_are_blurred() -> None:
    picture = torch.zeros(1, 3, 64, 64)
    picture[..., 32:] = 1
    row = prefill(Prefill.SURROUNDINGS, picture, hole(64, 64, (0, 12, 64, 52)))[0, 0, 32]
    assert row.diff().abs().max() < 0.2
    assert row[32] == pytest.approx(0.5, abs=0.1)


@pytest.mark.parametrize("turns", range(4))
def test_inpainting_carries_a_line_on_past_the_edge(turns: int) -> None:
    """A horizon goes on into the hole, on any side; a blur loses it."""
    horizon = torch.rot90((torch.arange(64) >= 32).float().expand(1, 3, 64, 64), turns, (-2, -1))
    hidden = torch.rot90(hole(64, 64, (44, 0, 64, 64)), turns, (-2, -1))
    near = torch.rot90(hole(64, 64, (44, 0, 52, 64)), turns, (-2, -1)).expand_as(horizon) > 0
    inpainted, blurred = (
        (prefill(kind, horizon, hidden) - horizon)[near].abs().mean()
        for kind in (Prefill.INPAINT, Prefill.SURROUNDINGS)
    )
    assert inpainted < 0.9 * blurred


@pytest.mark.parametrize("box", BOXES[1:3])
def test_a_ramp_along_the_edge_is_continued(box: tuple[int, int, int, int]) -> None:
    """Where it meets the edge; deeper inside it may flatten, but it never turns round."""
    rows = torch.linspace(0, 1, 64).reshape(1, 1, 64, 1).expand(1, 3, 64, 80)
    filled = prefill(Prefill.INPAINT, rows, hole(64, 80, box))
    beside = filled[..., box[3] - 1]
    found("ramp continued, levels", float((beside - rows[..., box[3] - 1]).abs().max()) / LEVEL)
    torch.testing.assert_close(beside, rows[..., box[3] - 1], atol=0.1, rtol=0)
    assert beside.diff(dim=-1).min() >= -2 * LEVEL


@pytest.mark.parametrize("kind", FILLING)
@pytest.mark.parametrize("borders", range(5))
def test_the_hole_may_touch_any_number_of_borders(kind: Prefill, borders: int) -> None:
    touched = [
        (slice(0, 9), ...),
        (slice(-9, None), ...),
        (..., slice(0, 9)),
        (..., slice(-9, None)),
    ]
    hidden = hole(40, 48, (18, 18, 22, 22))
    for rows in touched[:borders]:
        hidden[0, 0][rows] = 1
    picture = random_picture(size=(40, 48))
    filled = prefill(kind, picture, hidden)
    known = (picture * (1 - hidden)).amax()
    assert torch.isfinite(filled).all() and filled.max() <= known + LEVEL


@pytest.mark.parametrize("kind", FILLING)
def test_a_thousandth_of_the_picture_is_enough(kind: Prefill) -> None:
    picture = torch.tensor([0.2, 0.6, 0.4]).reshape(1, 3, 1, 1).expand(1, 3, 100, 100)
    hidden = torch.ones(1, 1, 100, 100)
    hidden[..., 90:95, 90:92] = 0
    filled = prefill(kind, picture, hidden)
    torch.testing.assert_close(filled, picture.clone(), atol=LEVEL, rtol=0)


@pytest.mark.parametrize("kind", FILLING)
def test_without_surroundings_it_is_grey(kind: Prefill) -> None:
    filled = prefill(kind, random_picture(), torch.ones(1, 1, 64, 80))
    assert torch.equal(filled, torch.full((1, 3, 64, 80), 0.5))


@pytest.mark.parametrize("kind", FILLING)
def test_nothing_is_taken_from_where_the_canvas_is_transparent(kind: Prefill) -> None:
    first, second = random_picture(1), random_picture(2)
    paint = 1 - hole(64, 80, (0, 40, 64, 80))
    hidden = hole(64, 80, (10, 20, 40, 60))
    second = torch.where(paint > 0, first, second)
    one, two = (prefill(kind, picture, hidden, paint) for picture in (first, second))
    assert torch.equal(one * hidden, two * hidden)


def test_a_large_hole_is_inpainted_at_a_fraction(monkeypatch: pytest.MonkeyPatch) -> None:
    picture = torch.linspace(0, 1, 80).expand(1, 3, 64, 80)
    hidden = hole(64, 80, (8, 8, 57, 73))
    exact = prefill(Prefill.INPAINT, picture, hidden)
    monkeypatch.setattr(prefills, "MOST_INPAINTED", 400)
    coarse = prefill(Prefill.INPAINT, picture, hidden)
    assert not torch.equal(coarse, exact)
    torch.testing.assert_close(coarse, exact, atol=0.15, rtol=0)


def test_kept_is_kept() -> None:
    picture = random_picture()
    assert torch.equal(prefill(Prefill.KEEP, picture, hole(64, 80, BOXES[0])), picture)

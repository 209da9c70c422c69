"""A look at a few rows and columns says what selection and canvas are like."""

from __future__ import annotations

import numpy as np
import pytest

from krita_plugin.krita_bridge.glance import LINES, glance
from krita_plugin.krita_bridge.wire.geometry import Bounds, Extent
from krita_plugin.krita_bridge.wire.modes import Situation

WIDTH, HEIGHT = 640, 480
CANVAS = Extent(WIDTH, HEIGHT)
WHITE, NOTHING = (255, 255, 255, 255), (0, 0, 0, 0)


class Canvas:
    """H x W x 4 BGRA that counts the bytes it is asked for."""

    def __init__(self, colour: tuple[int, ...]) -> None:
        self.pixels = np.empty((HEIGHT, WIDTH, 4), np.uint8)
        self.pixels[:] = colour
        self.read = 0

    def read_image(self, area: Bounds) -> bytes:
        assert Bounds.of_canvas(CANVAS).contains(area) and not area.is_empty
        self.read += area.width * area.height * 4
        return self.pixels[area.y : area.bottom, area.x : area.right].tobytes()


@pytest.mark.parametrize("paper", [WHITE, NOTHING])
@pytest.mark.parametrize("selection", [None, Bounds(10, 10, 100, 100)])
def test_paper_alone_is_blank(paper: tuple[int, ...], selection: Bounds | None) -> None:
    assert glance(Canvas(paper), CANVAS, selection) is Situation.BLANK


@pytest.mark.parametrize("paper", [WHITE, NOTHING])
@pytest.mark.parametrize("horizontal", [True, False])
@pytest.mark.parametrize("at", [0, 101, 302, 459])
def test_a_thin_stroke_is_seen(paper: tuple[int, ...], horizontal: bool, at: int) -> None:
    canvas = Canvas(paper)
    length = WIDTH // LINES + 1
    if horizontal:
        canvas.pixels[at, 200 : 200 + length] = (9, 9, 9, 255)
    else:
        canvas.pixels[200 : 200 + length, at] = (9, 9, 9, 255)
    assert glance(canvas, CANVAS, None) is Situation.WHOLE


@pytest.mark.parametrize(
    ("selection", "found"),
    [
        (Bounds(50, 50, 200, 200), Situation.INSIDE),
        (Bounds(0, 0, 320, 480), Situation.INSIDE),
        (Bounds(-20, 0, 320, 480), Situation.INSIDE),  # a slip over the edge of the canvas
        (Bounds(-100, 0, 320, 480), Situation.BEYOND),
        (Bounds(200, 100, 200, 200), Situation.BEYOND),  # over the edge of the paint
        (Bounds(400, 100, 200, 200), Situation.BEYOND),
        (Bounds(900, 900, 50, 50), Situation.BEYOND),
        (Bounds(100, 100, 0, 0), Situation.WHOLE),
        (Bounds(100, 100, 1, 1), Situation.INSIDE),
    ],
)
def test_where_a_selection_lies_on_a_half_painted_canvas(
    selection: Bounds, found: Situation
) -> None:
    canvas = Canvas(NOTHING)
    canvas.pixels[:, :320] = np.random.default_rng(0).integers(1, 256, (HEIGHT, 320, 4))
    assert glance(canvas, CANVAS, selection) is found


def test_a_painted_canvas_is_recognized_by_its_first_row() -> None:
    canvas = Canvas(WHITE)
    canvas.pixels[:] = np.random.default_rng(0).integers(0, 256, canvas.pixels.shape)
    glance(canvas, CANVAS, None)
    assert canvas.read == WIDTH * 4


def test_a_canvas_of_one_pixel() -> None:
    canvas = Canvas(WHITE)
    assert glance(canvas, Extent(1, 1), Bounds(0, 0, 1, 1)) is Situation.BLANK

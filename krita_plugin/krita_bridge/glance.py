"""A quick look at the canvas, to suggest a mode: a few rows and columns instead of every pixel.

Reading 32 rows and 32 columns of a canvas of 2048 x 2048 px takes 0.5 ms in Krita 5.1.5.
"""

from __future__ import annotations

from typing import Iterator, Optional, Protocol

from .wire.geometry import Bounds, Extent
from .wire.modes import Situation, situation

LINES = 32
"""A stroke that is longer than this part of the canvas crosses a line that is looked at."""


class Pixels(Protocol):
    """A document that can be read, see `capture.Pixels`."""

    def read_image(self, area: Bounds) -> bytes: ...


def glance(pixels: Pixels, canvas: Extent, selection: Optional[Bounds]) -> Situation:
    """`selection`: the bounding box of what is selected, None without a selection."""
    inside = selection is not None and not selection.is_empty
    blank = _is_blank(pixels, Bounds.of_canvas(canvas))
    share = _unpainted(pixels, canvas, selection) if inside and selection and not blank else 0.0
    return situation(inside, blank, share)


def _is_blank(pixels: Pixels, area: Bounds) -> bool:
    """Whether all that is looked at has one colour."""
    first = b""
    for line in _lines(area):
        found = pixels.read_image(line)
        first = first or found[:4]
        if found != first * (len(found) // 4):
            return False
    return True


def _unpainted(pixels: Pixels, canvas: Extent, selection: Bounds) -> float:
    """Share of the selection's box that is transparent or off the canvas, 0 to 1."""
    on_canvas = selection.intersection(Bounds.of_canvas(canvas))
    if on_canvas.is_empty:
        return 1.0
    seen = empty = 0
    for line in _lines(on_canvas):
        alpha = pixels.read_image(line)[3::4]
        seen += len(alpha)
        empty += alpha.count(0)
    area = selection.width * selection.height
    painted = on_canvas.width * on_canvas.height * (1.0 - empty / seen)
    return 1.0 - painted / area


def _lines(area: Bounds) -> Iterator[Bounds]:
    rows, columns = min(LINES, area.height), min(LINES, area.width)
    for n in range(rows):
        yield Bounds(area.x, area.y + (2 * n + 1) * area.height // (2 * rows), area.width, 1)
    for n in range(columns):
        yield Bounds(area.x + (2 * n + 1) * area.width // (2 * columns), area.y, 1, area.height)

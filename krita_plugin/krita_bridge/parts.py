"""An upscaling that is too large for one job, cut into parts. Knows no Krita and no Qt.

Each part is sent with what its tiles reach into beyond it, so the bridge makes of each what it would make of the whole there.
"""

from __future__ import annotations

from typing import List, Tuple

from .wire import limits
from .wire.geometry import Bounds, Extent
from .wire.messages import UpscalePart

PART_SIDE = 4096
"""Longest side of what one job makes, px: its result takes 64 MiB."""

ONE_JOB_PIXELS = limits.MAX_PIXELS
"""A picture of no more than so many pixels is made by one job."""

MOST_PIXELS = 4 * limits.MAX_PIXELS
"""16384 x 16384: what the docker makes at most. Such a picture takes 1 GiB of Krita's memory until it is opened, and more then."""

_REACH = 4
"""Pixels of the source beyond an enlarged one that it is made from: Lanczos-3 takes three each way."""


def parts_of(
    canvas: Extent, area: Bounds, factor: float, native: int, side: int
) -> List[Tuple[Bounds, UpscalePart]]:
    """Row by row: what of the canvas to send, and the part that is made of it, `side` x `side` px at most.

    `area`: what of `canvas` is upscaled; `native`: the side of the model's tiles, px. Parts do not overlap, and cover all.
    """
    larger = canvas.scaled(factor)
    whole = area.scaled(canvas, larger)
    found = []
    for top, bottom in _spans(whole.y, whole.bottom, side):
        for left, right in _spans(whole.x, whole.right, side):
            target = Bounds(left, top, right - left, bottom - top)
            x, end_x = _sent(target.x, target.right, native, canvas.width, larger.width)
            y, end_y = _sent(target.y, target.bottom, native, canvas.height, larger.height)
            sent = Bounds(x, y, end_x - x, end_y - y).intersection(area)
            found.append((sent, UpscalePart(area, target)))
    return found


def _spans(start: int, end: int, side: int) -> List[Tuple[int, int]]:
    """From `start` to `end` in steps of about the same length, `side` at most."""
    length, count = end - start, -(-(end - start) // side)
    return [(start + length * n // count, start + length * (n + 1) // count) for n in range(count)]


def _sent(start: int, end: int, native: int, before: int, after: int) -> Tuple[int, int]:
    """Along one axis, in px of the canvas that is `before` px long: all that tiles take from that reach between `start` and
    `end` of the larger one, `after` px long."""
    first, last = start - native, end + native
    return first * before // after - _REACH, -(-last * before // after) + _REACH

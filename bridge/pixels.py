"""What the command line, the worker and the engine all do with arrays of pixels: no torch."""

from __future__ import annotations

import math
from collections.abc import Sequence

import cv2
import numpy as np

from bridge.engine.types import ImageU8, MaskU8
from krita_plugin.krita_bridge.wire.geometry import Bounds


def swap_red_and_blue(image: ImageU8) -> ImageU8:
    """RGBA to BGRA or back: H x W x 4 uint8, always a new contiguous array."""
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_RGBA2BGRA), np.uint8)


def tight_bounds(mask: MaskU8) -> Bounds:
    """The smallest rectangle round all pixels above 0, relative to the mask; empty when there are none."""
    rows, columns = (np.flatnonzero(mask.max(axis=axis)) for axis in (1, 0))
    if not len(rows):
        return Bounds(0, 0, 0, 0)
    top, left = int(rows[0]), int(columns[0])
    return Bounds(left, top, int(columns[-1]) + 1 - left, int(rows[-1]) + 1 - top)


def starts(length: int, side: int, overlap: int) -> Sequence[int]:
    """Where parts of `side` px that cover `length` begin, spread evenly; neighbours overlap by `overlap` at least."""
    if length <= side:
        return (0,)
    count = math.ceil((length - overlap) / (side - overlap))
    return [round(index * (length - side) / (count - 1)) for index in range(count)]

"""Plain enlarging: Lanczos-3 (Duchon, Lanczos filtering in one and two dimensions, 1979) by Pillow, in float.

In sRGB values, as Krita and Pillow do; colours are premultiplied by alpha, so nothing that is transparent bleeds into
what is not. Done in strips: beside the picture and the result it takes the memory of a strip.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from bridge.engine.types import ImageU8, MaskU8
from krita_plugin.krita_bridge.wire.geometry import Extent

Box = tuple[float, float, float, float]
"""Left, top, right, bottom: a part of a picture in its own px, with fractions."""

_STRIP = 256
"""Rows of the result that are made at a time."""

_REACH = 4
"""Rows of the source beyond a strip that its pixels may take from: Lanczos-3 takes three each way."""


def enlarge(image: ImageU8, box: Box, extent: Extent) -> ImageU8:
    """The part `box` of an RGBA picture (straight alpha), as large as `extent`, which is no smaller."""
    made: ImageU8 = np.empty((extent.height, extent.width, 4), np.uint8)
    for rows, source, part in _strips(image, box, extent):
        alpha = source[..., 3].astype(np.float32)
        opaque = int(source[..., 3].min(initial=255)) == 255
        shown = np.full((rows.stop - rows.start, extent.width), 255, np.float32)
        if not opaque:
            shown = _resized(alpha, part, extent.width, rows, Image.Resampling.LANCZOS)
        made[rows, :, 3] = np.rint(np.clip(shown, 0, 255))
        for channel in range(3):
            colour = source[..., channel].astype(np.float32)
            if not opaque:
                colour *= alpha / 255
            colour = _resized(colour, part, extent.width, rows, Image.Resampling.LANCZOS)
            if not opaque:
                # By the alpha as it overshoots, for so does the colour. Where it is rounded to 0 there is no colour.
                visible = made[rows, :, 3] > 0
                colour = np.where(visible, colour * 255 / np.maximum(shown, 0.5), 0)
            made[rows, :, channel] = np.rint(np.clip(colour, 0, 255))
    return made


def enlarge_mask(mask: MaskU8, box: Box, extent: Extent) -> MaskU8:
    """The same for a selection, bilinear: it does not overshoot, so what is far from a selection stays at 0."""
    made: MaskU8 = np.empty((extent.height, extent.width), np.uint8)
    for rows, source, part in _strips(mask, box, extent):
        values = source.astype(np.float32)
        resized = _resized(values, part, extent.width, rows, Image.Resampling.BILINEAR)
        made[rows] = np.rint(np.clip(resized, 0, 255))
    return made


def _strips(
    pixels: NDArray[np.uint8], box: Box, extent: Extent
) -> Iterator[tuple[slice, NDArray[np.uint8], Box]]:
    """Rows of the result, the source rows that they need, and the box among these. Pillow keeps boxes in float32:
    the fewer rows, the smaller the error."""
    left, top, right, bottom = box
    step = (bottom - top) / extent.height
    for start in range(0, extent.height, _STRIP):
        end = min(start + _STRIP, extent.height)
        upper, lower = top + start * step, top + end * step
        first = max(0, math.floor(upper) - _REACH)
        last = min(len(pixels), math.ceil(lower) + _REACH)
        # The last strip's end may lie a rounding error below the picture.
        part = (left, upper - first, right, min(lower - first, last - first))
        yield slice(start, end), pixels[first:last], part


def _resized(
    plane: NDArray[np.float32], box: Box, width: int, rows: slice, how: Image.Resampling
) -> NDArray[np.float32]:
    size = (width, rows.stop - rows.start)
    return np.asarray(Image.fromarray(plane).resize(size, how, box=box), np.float32)

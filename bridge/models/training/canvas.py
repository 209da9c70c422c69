"""A canvas that records, for every stroke, its colour, its depth and the thing it belongs to."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from bridge.models.training.colours import Rgb

SUPERSAMPLING = 2

Point = tuple[float, float]


class Canvas:
    """Draws in pixels of the finished picture; supersampled inside.

    Depth is 0 (farthest) to 255 (nearest). ``thing`` is a number from 1; 0 is background.
    """

    def __init__(self, width: int, height: int) -> None:
        size = (width * SUPERSAMPLING, height * SUPERSAMPLING)
        self.width = width
        self.height = height
        self.thing = 0
        self.depth = 0
        self._colour = Image.new("RGB", size)
        self._depth = Image.new("L", size)
        self._thing = Image.new("L", size)
        self._pens = (
            ImageDraw.Draw(self._colour),
            ImageDraw.Draw(self._depth),
            ImageDraw.Draw(self._thing),
        )

    def polygon(self, points: Sequence[Point], rgb: Rgb) -> None:
        scaled = [(x * SUPERSAMPLING, y * SUPERSAMPLING) for x, y in points]
        colour, depth, thing = self._pens
        colour.polygon(scaled, fill=rgb)
        depth.polygon(scaled, fill=self.depth)
        thing.polygon(scaled, fill=self.thing)

    def ellipse(self, cx: float, cy: float, rx: float, ry: float, rgb: Rgb) -> None:
        box = tuple(v * SUPERSAMPLING for v in (cx - rx, cy - ry, cx + rx, cy + ry))
        colour, depth, thing = self._pens
        colour.ellipse(box, fill=rgb)
        depth.ellipse(box, fill=self.depth)
        thing.ellipse(box, fill=self.thing)

    def rectangle(self, x0: float, y0: float, x1: float, y1: float, rgb: Rgb) -> None:
        self.polygon([(x0, y0), (x1, y0), (x1, y1), (x0, y1)], rgb)

    def gradient(self, y0: float, y1: float, top: Rgb, bottom: Rgb, far: int, near: int) -> None:
        """A full-width band from row y0 to y1: colour and depth run linearly from top to bottom."""
        first, last = round(y0 * SUPERSAMPLING), round(y1 * SUPERSAMPLING)
        if last <= first:
            return
        ramp = np.linspace(0, 1, last - first)[:, None, None]
        rows = np.array(top) + (np.array(bottom) - np.array(top)) * ramp
        wide = self._colour.width
        band = np.broadcast_to(rows, (last - first, wide, 3)).round().astype(np.uint8)
        self._colour.paste(Image.fromarray(np.ascontiguousarray(band)), (0, first))
        depths = (far + (near - far) * ramp[..., 0]).round().astype(np.uint8)
        band = np.ascontiguousarray(np.broadcast_to(depths, (last - first, wide)))
        self._depth.paste(Image.fromarray(band), (0, first))
        self._thing.paste(self.thing, (0, first, wide, last))

    def image(self) -> NDArray[np.uint8]:
        """H x W x 3 uint8, sRGB."""
        return np.asarray(self._colour.reduce(SUPERSAMPLING))

    def depth_map(self) -> NDArray[np.uint8]:
        """H x W uint8, 0 farthest, 255 nearest."""
        return np.asarray(self._depth)[::SUPERSAMPLING, ::SUPERSAMPLING]

    def forget_things(self) -> None:
        """What was drawn so far stays, and belongs to the background."""
        self._thing.paste(0, (0, 0, *self._thing.size))

    def mask_of(self, thing: int) -> NDArray[np.uint8]:
        """H x W uint8: 255 where the thing is visible, grey on its edge, 0 elsewhere."""
        visible = (np.asarray(self._thing) == thing).astype(np.uint8) * 255
        return np.asarray(Image.fromarray(visible).reduce(SUPERSAMPLING))

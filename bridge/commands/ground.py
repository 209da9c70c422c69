"""What a picture is painted on: a canvas, what is on it and what of it is selected."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from bridge.pixels import tight_bounds
from krita_plugin.krita_bridge.wire.geometry import Bounds, Extent, Margins, context_bounds
from krita_plugin.krita_bridge.wire.modes import MEANINGS, Mode, Situation, situation

if TYPE_CHECKING:
    from bridge.engine.types import ImageU8, MaskU8


@dataclass(frozen=True)
class Ground:
    """`pixels` H x W x 4 RGBA and `mask` H x W uint8, 255 selected, of the size of `canvas`, or None.

    `opaque_kind`: what is painted on it goes into a file without transparency where there is none.
    """

    canvas: Extent
    pixels: ImageU8 | None = None
    mask: MaskU8 | None = None
    opaque_kind: bool = True

    def situation(self) -> Situation:
        """What the docker would see at a glance, from every pixel."""
        if self.pixels is None or bool((self.pixels == self.pixels[0, 0]).all()):
            return situation(self.mask is not None, True, 1.0)
        if self.mask is None:
            return situation(False, False, 0.0)
        selected = self.mask > 0
        unpainted = np.count_nonzero(self.pixels[..., 3][selected] == 0)
        return situation(True, False, unpainted / np.count_nonzero(selected))

    def context(self, native: int, mode: Mode) -> Bounds:
        """The part that the job sees: only that is sent."""
        if self.pixels is None:
            return Bounds.of_canvas(self.canvas)
        selection = None if self.mask is None else tight_bounds(self.mask)
        return context_bounds(selection, self.canvas, native, MEANINGS[mode].margin)

    def grown(self, margins: Margins) -> Ground:
        """The same picture on a larger canvas, with all that is new selected, and nothing else."""
        sides = ((margins.top, margins.bottom), (margins.left, margins.right))
        assert self.pixels is not None  # without a picture there is nothing to grow
        pixels = np.pad(self.pixels, (*sides, (0, 0)))
        mask = np.pad(np.zeros(self.pixels.shape[:2], np.uint8), sides, constant_values=255)
        return Ground(margins.around(self.canvas), pixels, mask, self.opaque_kind)

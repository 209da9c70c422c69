"""Where the model paints: how a captured part of the canvas maps to the picture the model works on.

Pure integer geometry, no pixels. Three spaces: the document (canvas px), the working picture (px at
the model's scale, sides in the model's multiples) and the latents (`latent_scale` working px each).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

from bridge.models.loaded import Resolution
from krita_plugin.krita_bridge.wire.geometry import Bounds, Extent

NEAR_NATIVE = 0.8
"""Captures of at least this share of the native area are not scaled up: resampling would cost more
sharpness than the model gains."""

LEAST_LATENTS = 8
"""Least side of the latents: a UNet halves them three times."""


@dataclass(frozen=True)
class Plan:
    """The exact mapping between document and working picture.

    `source`: the captured part, and `target`: the tight box round the selection, both document px.
    `working`: size of the working picture. `content`: where in it the (scaled) capture lies; the
    rest is padding. `latent_origin`: canvas position of the first latent, in latents.
    """

    source: Bounds
    target: Bounds
    working: Extent
    content: Bounds
    latent_origin: tuple[int, int]

    @cached_property
    def is_plain(self) -> bool:
        """Whether the working picture is the target, pixel for pixel."""
        return self.source == self.target and self.source.extent == self.working

    @property
    def is_scaled(self) -> bool:
        return self.content.extent != self.source.extent


def make_plan(
    source: Bounds,
    target: Bounds,
    resolution: Resolution,
    latent_scale: int,
    share: float = 1.0,
) -> Plan:
    """Choose the working size for a capture.

    A capture of less than (nearly) the native area is scaled up to it, one of more than `max_pixels`
    is scaled down to that; in between a document pixel is a working pixel. The aspect is kept to
    half a working pixel. The picture is padded, never stretched, to whole multiples, and its origin lies on
    the canvas's own grid of latents: at scale 1 a latent covers the same document pixels whatever
    the capture. `share`: of the size chosen so, each way.
    """
    scale = share * _scale(source.width * source.height, resolution)
    x, width, origin_x = _axis(source.x, source.width, scale, resolution.multiple, latent_scale)
    y, height, origin_y = _axis(source.y, source.height, scale, resolution.multiple, latent_scale)
    content = Bounds(x, y, _scaled(source.width, scale), _scaled(source.height, scale))
    return Plan(source, target, Extent(width, height), content, (origin_x, origin_y))


def _scale(pixels: int, resolution: Resolution) -> float:
    if pixels > resolution.max_pixels:
        return math.sqrt(resolution.max_pixels / pixels)
    if pixels < NEAR_NATIVE * resolution.native**2:
        return resolution.native / math.sqrt(pixels)
    return 1.0


def _scaled(length: int, scale: float) -> int:
    return max(1, round(length * scale))


def _axis(
    start: int, length: int, scale: float, multiple: int, latent_scale: int
) -> tuple[int, int, int]:
    """Offset of the content, length of the working picture, and the first latent, along one axis."""
    origin, offset = divmod(round(start * scale), latent_scale)
    least = max(offset + _scaled(length, scale), LEAST_LATENTS * latent_scale)
    return offset, math.ceil(least / multiple) * multiple, origin

"""What goes into the engine and what comes out of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from krita_plugin.krita_bridge.wire.geometry import Bounds, Extent
from krita_plugin.krita_bridge.wire.messages import PaintRequest, ResultFacts

ImageU8 = NDArray[np.uint8]
"""H x W x 4 uint8, RGBA, straight alpha, sRGB."""

MaskU8 = NDArray[np.uint8]
"""H x W uint8: 255 selected, 0 untouched, between: so much less strength."""


@dataclass(frozen=True)
class Snapshot:
    """The captured part of the canvas.

    `image` (RGBA) and `mask` have the size of `bounds`. `image` None: text-to-image. `mask` None: all of
    `bounds` is painted. `controls` (RGBA, of the size of `bounds`): the pictures that came with the request's
    controls, by their number. `references` (RGBA, each of a size of its own): one for each of the request's.
    """

    canvas: Extent
    bounds: Bounds
    image: ImageU8 | None = None
    mask: MaskU8 | None = None
    controls: Mapping[int, ImageU8] = field(default_factory=dict)
    references: tuple[ImageU8, ...] = ()


@dataclass(frozen=True)
class Job:
    """One call of the engine."""

    request: PaintRequest
    snapshot: Snapshot
    previews: bool = True


@dataclass(frozen=True)
class StepReport:
    """`step` of `steps` is done, 1-based.

    `preview()` makes the picture so far as a Painting-like (image, bounds) at document resolution,
    transparent where not selected; it costs time only when it is called, and only during the report.
    """

    step: int
    steps: int
    preview: Callable[[], tuple[ImageU8, Bounds]]


@dataclass(frozen=True)
class Painting:
    """The result layer: `image` (RGBA) of the size of `bounds`, transparent where not selected. `maps` are those of the
    controls that are to be kept, by their number: RGBA, opaque, of the size of the snapshot's bounds."""

    image: ImageU8
    bounds: Bounds
    facts: ResultFacts
    maps: Mapping[int, ImageU8] = field(default_factory=dict)


OnStep = Callable[[StepReport], None]
IsCancelled = Callable[[], bool]

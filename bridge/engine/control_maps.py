"""The maps that ControlNets read: worked out from a picture, or taken from what the painter drew.

Edges and lines come from OpenCV, with nothing to fetch and nothing to learn; depth, normals, poses and segments from networks
(docs/decisions/0008-control-maps.md).
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from bridge.engine.color import on_paper
from bridge.engine.control_drawing import RgbU8
from bridge.engine.types import ImageU8, Snapshot
from bridge.errors import BridgeError, Code
from krita_plugin.krita_bridge.wire.control import Control, ControlKind, ControlSource

_KEPT = 8
"""Maps kept in memory."""

_GROUND = {ControlKind.NORMAL: (128, 128, 255), ControlKind.TILE: (255, 255, 255)}
"""What stands where a map has nothing: facing the viewer, paper; black for the other kinds (far, nobody, no class)."""

_CANNY_LOW, _CANNY_HIGH = 100, 200
"""Thresholds of the gradient's magnitude, as the published ControlNets' own examples have them."""


@dataclass(frozen=True, eq=False)
class Detector:
    """Makes the maps of one kind with a network: `draw` makes one of a picture, of its size. `sha256`: the network's."""

    draw: Callable[[RgbU8], RgbU8]
    sha256: str


class ControlMaps:
    """Makes maps, and remembers the last ones by the hash of the picture that they were made from."""

    def __init__(self) -> None:
        self._made: OrderedDict[tuple[ControlKind, str, int, str], ImageU8] = OrderedDict()

    def of(
        self,
        number: int,
        control: Control,
        snapshot: Snapshot,
        most_pixels: int,
        detector: Callable[[ControlKind], Detector],
    ) -> ImageU8:
        """The map of control `number` of a request: RGBA, opaque, of the size of the snapshot's bounds.

        It is worked out at the document's resolution, or at `most_pixels` where that is less. `detector` is asked
        for kinds that need a network. Raises BridgeError: BAD_INPUT where there is nothing to work it out from, and what
        `detector` raises.
        """
        if control.source is ControlSource.MAP:
            return _opaque(drawn(control.kind, _brought(number, control, snapshot)))
        if control.source is ControlSource.PICTURE:
            picture = _brought(number, control, snapshot)
        elif snapshot.image is not None:
            picture = snapshot.image
        else:
            raise BridgeError(
                Code.BAD_INPUT,
                f"There is no picture that the {control.kind.value} could be taken from.",
                "Give a picture or the map itself with the control, or turn it off.",
            )
        shown = on_paper(picture)
        if control.kind is ControlKind.TILE:
            return _opaque(shown)
        network = detector(control.kind) if control.kind in BY_NETWORK else None
        sha256 = hashlib.sha256(repr(shown.shape).encode() + shown.tobytes()).hexdigest()
        key = (control.kind, sha256, most_pixels, "" if network is None else network.sha256)
        if key not in self._made:
            self._made[key] = _opaque(_extracted(control.kind, shown, most_pixels, network))
        self._made.move_to_end(key)
        while len(self._made) > _KEPT:
            self._made.popitem(last=False)
        return self._made[key]


def _brought(number: int, control: Control, snapshot: Snapshot) -> ImageU8:
    """The picture that came with a control. Raises BridgeError (BAD_INPUT) when it is not there or does not fit."""
    picture = snapshot.controls.get(number)
    size = snapshot.bounds.extent
    if picture is None or picture.shape != (size.height, size.width, 4):
        raise BridgeError(
            Code.BAD_INPUT,
            f"The {control.kind.value} control has no picture of {size.width} x {size.height} px.",
            "Give one of the area's size.",
        )
    return picture


def _extracted(
    kind: ControlKind, picture: RgbU8, most_pixels: int, network: Detector | None
) -> RgbU8:
    height, width = picture.shape[:2]
    scale = min(1.0, (most_pixels / (height * width)) ** 0.5)
    smaller = (max(1, round(width * scale)), max(1, round(height * scale)))
    if scale < 1:
        picture = np.asarray(cv2.resize(picture, smaller, interpolation=cv2.INTER_AREA), np.uint8)
    if network is not None:
        map_ = network.draw(picture)
    else:
        map_ = np.repeat(LINES[kind](picture)[..., None], 3, axis=2)
    if scale < 1:
        # Between the colours of two classes lie those of others.
        way = cv2.INTER_NEAREST if kind is ControlKind.SEGMENTATION else cv2.INTER_LINEAR
        map_ = np.asarray(cv2.resize(map_, (width, height), interpolation=way), np.uint8)
    return map_


def canny(picture: RgbU8) -> NDArray[np.uint8]:
    """Edges one pixel wide, 255 on 0 (Canny, A computational approach to edge detection, 1986)."""
    return np.asarray(cv2.Canny(picture, _CANNY_LOW, _CANNY_HIGH), np.uint8)


def softedge(picture: RgbU8) -> NDArray[np.uint8]:
    """How steeply the picture changes at a scale of two pixels: the length of its gradient over all three colours
    (Di Zenzo, A note on the gradient of a multi-image, 1986), 255 for the steepest of its edges."""
    smooth = cv2.GaussianBlur(picture.astype(np.float32), (0, 0), 2.0)
    across, down = (cv2.Sobel(smooth, cv2.CV_32F, dx, 1 - dx, ksize=3) for dx in (1, 0))
    return _spread(np.sqrt((across**2 + down**2).sum(axis=2)), 64.0)


def lineart(picture: RgbU8) -> NDArray[np.uint8]:
    """What is darker than its surroundings, as ink is: 255 for the darkest strokes. The difference of two Gaussians
    (Marr & Hildreth, Theory of edge detection, 1980), its dark side alone."""
    grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY).astype(np.float32)
    around, here = cv2.GaussianBlur(grey, (0, 0), 6.0), cv2.GaussianBlur(grey, (0, 0), 0.7)
    return _spread(np.maximum(around - here, 0), 16.0)


def scribble(picture: RgbU8) -> NDArray[np.uint8]:
    """The main outlines as rough strokes three pixels wide, 255 on 0."""
    smooth = cv2.GaussianBlur(picture, (0, 0), 3.0)
    outlines = cv2.Canny(smooth, _CANNY_LOW / 4, _CANNY_HIGH / 4)
    return np.asarray(cv2.dilate(outlines, np.ones((3, 3), np.uint8)), np.uint8)


LINES: Mapping[ControlKind, Callable[[RgbU8], NDArray[np.uint8]]] = {
    ControlKind.CANNY: canny,
    ControlKind.SOFTEDGE: softedge,
    ControlKind.LINEART: lineart,
    ControlKind.SCRIBBLE: scribble,
}
"""Kinds whose ControlNets were trained on bright lines on black, and what finds the lines."""

BY_NETWORK = frozenset(ControlKind) - LINES.keys() - {ControlKind.TILE}
"""Kinds whose maps a network works out."""


def drawn(kind: ControlKind, image: ImageU8) -> RgbU8:
    """A map that was drawn (RGBA): on the ground that its kind has where nothing is drawn.

    Lines may be drawn as people draw them, dark on light or on nothing: they become bright lines on black.
    """
    alpha = image[..., 3:].astype(np.float32) / 255
    colours = image[..., :3].astype(np.float32)
    if kind not in LINES:
        ground = np.array(_GROUND.get(kind, (0, 0, 0)), np.float32)
        return np.asarray(np.rint(colours * alpha + ground * (1 - alpha)), np.uint8)
    total = float(alpha.sum())
    if not total:
        return np.zeros_like(image[..., :3])
    is_light = float((colours * alpha).sum()) / (3 * total) > 127.5
    # Strokes on nothing are all that is there; on a ground of their own they are the least of it.
    on_nothing = total < alpha.size / 2
    lines = colours if is_light == on_nothing else 255 - colours
    return np.asarray(np.rint(lines * alpha), np.uint8)


def _spread(values: NDArray[np.float32], least: float) -> NDArray[np.uint8]:
    """To 0 to 255, so that one in a hundred is at the top; `least` keeps the grain of a flat picture from being
    blown up into edges."""
    top = max(float(np.percentile(values, 99)), least)
    return np.asarray(np.rint(np.clip(values / top, 0, 1) * 255), np.uint8)


def _opaque(picture: RgbU8) -> ImageU8:
    return np.dstack([picture, np.full(picture.shape[:2], 255, np.uint8)])

"""What networks saw in a picture, drawn as the map that ControlNets were trained on."""

from __future__ import annotations

from collections.abc import Mapping
from math import ceil

import cv2
import numpy as np
from numpy.typing import NDArray

from bridge.engine.ade20k import PALETTE

RgbU8 = NDArray[np.uint8]
"""H x W x 3 uint8, sRGB."""

_RELIEF = 0.5
"""From the farthest to the nearest of a picture, in its shorter sides: a ball that fills it comes out as a ball."""

_GRAIN = 1 / 256
"""Standard deviation of the blur, in shorter sides, that takes the grain from depth which was enlarged to the picture's size."""

_CERTAIN = 0.3
"""Least score of a joint that is drawn."""

_STROKE, _DRAWN_AT = 4, 512
"""Radius of a joint, and half of a limb's width, px, in maps whose shorter side has so many."""

_DARKER = 0.6
"""A limb's colour, of the full one."""

_COCO = (0, None, 6, 8, 10, 5, 7, 9, 12, 14, 16, 11, 13, 15, 2, 1, 4, 3)
"""OpenPose's joints: nose, neck, right shoulder, elbow and wrist, the left ones, right hip, knee and ankle, the left ones, right
eye, left eye, right ear, left ear. By their numbers among COCO's, which has no neck."""

_NECK, _SHOULDERS = 1, (2, 5)

_LIMBS = (
    *((1, 2), (1, 5), (2, 3), (3, 4), (5, 6), (6, 7), (1, 8), (8, 9), (9, 10), (1, 11)),
    *((11, 12), (12, 13), (1, 0), (0, 14), (14, 16), (0, 15), (15, 17)),
)
"""Pairs of OpenPose's joints, in the order in which they are drawn."""

_COLOURS = np.frombuffer(
    bytes.fromhex(
        "ff0000 ff5500 ffaa00 ffff00 aaff00 55ff00 00ff00 00ff55 00ffaa"
        "00ffff 00aaff 0055ff 0000ff 5500ff aa00ff ff00ff ff00aa ff0055"
    ),
    np.uint8,
).reshape(-1, 3)
"""Of the joints, and darker of the limbs, by their numbers."""


def grey(depth: NDArray[np.float32]) -> RgbU8:
    """H x W float32, 0 to 1 (far to near), as it is: black to white."""
    level = np.rint(np.clip(depth, 0, 1) * 255).astype(np.uint8)
    return np.repeat(level[..., None], 3, axis=2)


def normals(depth: NDArray[np.float32]) -> RgbU8:
    """Surface normals of H x W float32, 0 to 1 (far to near): which way each place faces. What faces left is red, what faces up
    green, what faces the viewer blue: (255, 128, 128), (128, 255, 128) and (128, 128, 255); right and down have 0.

    That is how ControlNet 1.1's normal model was trained (lllyasviel, control_v11p_sd15_normalbae: "blue is front, red is left,
    green is top"). The normals are those of the depth's gradient, by Sobel's operator, as the annotator of 1.0 had them
    (MiDaS). That one scaled them by the estimator's own units; here the relief is `_RELIEF`, since depth has no scale.
    """
    relief = depth * np.float32(_RELIEF * min(depth.shape))
    blur = _GRAIN * min(depth.shape)
    reach = 1 + ceil(4 * blur)
    # A slope goes on beyond the border.
    wider = np.pad(relief, reach, mode="reflect", reflect_type="odd")
    smooth, inside = cv2.GaussianBlur(wider, (0, 0), blur), slice(reach, -reach)
    left, up = (
        cv2.Sobel(smooth, cv2.CV_32F, dx, 1 - dx, ksize=3, scale=1 / 8)[inside, inside]
        for dx in (1, 0)
    )
    facing = np.dstack([left, up, np.ones(depth.shape)])
    facing = facing / np.linalg.norm(facing, axis=2, keepdims=True)
    return np.asarray(np.rint(facing * 127.5 + 127.5), np.uint8)


def segments(classes: NDArray[np.uint8]) -> RgbU8:
    """H x W numbers of ADE20K's classes, 0 to 149, in their colours."""
    return PALETTE[classes]


def skeletons(people: NDArray[np.float32], height: int, width: int) -> RgbU8:
    """People as OpenPose draws them, one over the other, on black: 18 joints and 17 limbs, those that are certain.

    `people`: N x 17 x 3, of each COCO's joints (x and y in pixels, score). The neck, which COCO lacks, is in the middle between the
    shoulders. Colours, order and shapes are those of the annotator of ControlNet 1.1 (lllyasviel, from Cao et al., OpenPose, 2017),
    strokes as wide in the picture as there at 512 px.
    """
    canvas = np.zeros((height, width, 3), np.uint8)
    radius = max(1, round(_STROKE * min(height, width) / _DRAWN_AT))
    for person in people:
        joints = _openpose(person)
        for number, (start, end) in enumerate(_LIMBS):
            if start in joints and end in joints:
                _draw_limb(canvas, joints[start], joints[end], radius, _COLOURS[number] * _DARKER)
        for number, place in joints.items():
            x, y = np.rint(place).astype(int).tolist()
            cv2.circle(canvas, (x, y), radius, _COLOURS[number].tolist(), thickness=-1)
    return canvas


def _openpose(person: NDArray[np.float32]) -> Mapping[int, NDArray[np.floating]]:
    """The places (x, y) of the joints that are certain, by their numbers."""
    found: dict[int, NDArray[np.floating]] = {
        number: person[coco, :2]
        for number, coco in enumerate(_COCO)
        if coco is not None and person[coco, 2] >= _CERTAIN
    }
    right, left = (found.get(number) for number in _SHOULDERS)
    if right is not None and left is not None:
        found[_NECK] = (right + left) / 2
    return dict(sorted(found.items()))


def _draw_limb(
    canvas: RgbU8,
    start: NDArray[np.floating],
    end: NDArray[np.floating],
    radius: int,
    colour: NDArray[np.floating],
) -> None:
    """An ellipse from joint to joint."""
    x, y = np.rint((start + end) / 2).astype(int).tolist()
    across, down = (end - start).tolist()
    length, angle = float(np.hypot(across, down)), float(np.degrees(np.arctan2(down, across)))
    outline = cv2.ellipse2Poly((x, y), (round(length / 2), radius), round(angle), 0, 360, 1)
    cv2.fillConvexPoly(canvas, np.asarray(outline, np.int32), colour.astype(int).tolist())

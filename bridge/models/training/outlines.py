"""The judge of things: which of the painter's things has this outline?

An outline is compared with many drawings of each thing by overlap (Jaccard 1912). Nothing is
trained, so the judge shares no mistakes with the generator.
"""

from __future__ import annotations

from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from bridge.models.training import things
from bridge.models.training.canvas import Canvas
from bridge.models.training.judge import foreground, without_specks
from bridge.models.training.things import Frame, Thing

NAMES = (
    "boat", "house", "tree", "flower", "apple", "pear", "bowl", "bottle", "vase", "cup",
    "circle", "square", "triangle", "star",
)  # fmt: skip
"""Things that can be told apart by their outline; a sun can be a circle, a cloud anything."""

LIKE = 0.7
"""Overlap from which an outline counts as that of a thing."""

_SIDE = 40
_DRAWINGS = 24
_PIXELS = 160


def silhouette(mask: NDArray[np.bool_]) -> NDArray[np.bool_] | None:
    """40 x 40: the set pixels, scaled so that their longer side fills the square, centred.

    Holes are filled: a window in the colour of the backdrop is still inside the house. None when
    nothing is set.
    """
    mask = _without_holes(mask)
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    if not len(rows):
        return None
    part = mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    scale = _SIDE / max(part.shape)
    size = [max(1, round(side * scale)) for side in part.shape]
    grey = Image.fromarray(part.astype(np.uint8) * 255)
    small = np.asarray(grey.resize((size[1], size[0]), Image.Resampling.BOX)) >= 128
    out = np.zeros((_SIDE, _SIDE), dtype=bool)
    y, x = ((_SIDE - side) // 2 for side in size)
    out[y : y + size[0], x : x + size[1]] = small
    return out


def _without_holes(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    filled = np.zeros(mask.shape, dtype=np.uint8)
    edges, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(filled, edges, -1, 1, cv2.FILLED)
    return filled.astype(bool)


@cache
def _drawings(name: str) -> NDArray[np.bool_]:
    """Silhouettes of a thing as the painter varies it, n x 40 x 40."""
    thing = next(each for each in things.ALL if each.noun == name)
    found = [silhouette(_drawn(thing, seed)) for seed in range(_DRAWINGS)]
    return np.unique(np.stack([each for each in found if each is not None]), axis=0)


def _drawn(thing: Thing, seed: int) -> NDArray[np.bool_]:
    canvas = Canvas(_PIXELS, _PIXELS)
    canvas.thing = 1
    frame = Frame(canvas, _PIXELS / 2, _PIXELS * 0.78, _PIXELS * 0.56)
    thing.draw(frame, (200, 40, 40), np.random.default_rng(seed))
    return canvas.mask_of(1) >= 128


def likeness(mask: NDArray[np.bool_]) -> dict[str, float]:
    """For each of ``NAMES`` the best overlap, 0..1, of the mask (H x W) with a drawing of it."""
    seen = silhouette(mask)
    if seen is None:
        return dict.fromkeys(NAMES, 0.0)
    scores = {}
    for name in NAMES:
        known = _drawings(name)
        scores[name] = float(((known & seen).sum((1, 2)) / (known | seen).sum((1, 2))).max())
    return scores


def thing_of(image: NDArray[np.uint8]) -> str | None:
    """The thing before the plain background of a picture (H x W x 3 uint8 sRGB).

    None when there is hardly any foreground (< 2 %) or it is like none of ``NAMES``.
    """
    mask = foreground(image)
    if mask.mean() < 0.02:
        return None
    scores = likeness(without_specks(mask))
    best = max(scores, key=lambda name: scores[name])
    return best if scores[best] >= LIKE else None

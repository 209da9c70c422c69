"""An independent judge: measures colour and shape in pixels, knows nothing of the generator."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from bridge.models.training.colours import NAMED

NAMES = tuple(NAMED)
_RING = 0.06
_APART = 22.0
"""CIELAB distance from which a pixel is no longer background."""


def to_lab(image: NDArray[np.uint8]) -> NDArray[np.float64]:
    """... x 3 uint8 sRGB -> ... x 3 CIELAB (D65)."""
    srgb = image.astype(np.float64) / 255
    linear = np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)
    to_xyz = np.array(
        [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
    )
    xyz = linear @ to_xyz.T / np.array([0.9505, 1.0, 1.089])
    f = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    l_star = 116 * f[..., 1] - 16
    return np.stack([l_star, 500 * (f[..., 0] - f[..., 1]), 200 * (f[..., 1] - f[..., 2])], -1)


_ANCHORS = to_lab(np.array([NAMED[name] for name in NAMES], dtype=np.uint8))


def colour_names(image: NDArray[np.uint8]) -> NDArray[np.intp]:
    """H x W: the index in ``NAMES`` of the nearest named colour, lightness counting half."""
    weights = np.array([0.5, 1.0, 1.0])
    apart = (to_lab(image)[..., None, :] - _ANCHORS) * weights
    nearest: NDArray[np.intp] = np.square(apart).sum(-1).argmin(-1)
    return nearest


def share(image: NDArray[np.uint8], colour: str, region: NDArray[np.bool_] | None = None) -> float:
    """Share of the region's pixels (default: all) whose nearest named colour is ``colour``."""
    hits = colour_names(image) == NAMES.index(colour)
    return float((hits if region is None else hits[region]).mean())


def majority(image: NDArray[np.uint8], region: NDArray[np.bool_]) -> str:
    """The commonest named colour of the region (H x W), which must not be empty."""
    counts = np.bincount(colour_names(image)[region], minlength=len(NAMES))
    return NAMES[int(counts.argmax())]


def _ring(image: NDArray[np.uint8]) -> NDArray[np.bool_]:
    height, width = image.shape[:2]
    edge = max(2, round(min(height, width) * _RING))
    ring = np.ones((height, width), dtype=bool)
    ring[edge:-edge, edge:-edge] = False
    return ring


def background_colour(image: NDArray[np.uint8]) -> str:
    """The commonest named colour along the picture's edge."""
    return majority(image, _ring(image))


def foreground(image: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Pixels that clearly differ from the median colour of the picture's edge."""
    lab = to_lab(image)
    backdrop = np.median(lab[_ring(image)], axis=0)
    apart: NDArray[np.bool_] = np.square(lab - backdrop).sum(-1) > _APART**2
    return apart


def object_colour(image: NDArray[np.uint8]) -> str | None:
    """The commonest named colour of the foreground; None when there is hardly any (< 2 %)."""
    region = foreground(image)
    return majority(image, region) if region.mean() >= 0.02 else None


def _template(shape: str, turn: float = 0.0) -> NDArray[np.bool_]:
    """32 x 32: the shape as its bounding box shows it."""
    side = 128
    y, x = np.mgrid[0:side, 0:side] / (side / 2) - 1
    if shape == "circle":
        full = x * x + y * y <= 1
    elif shape == "square":
        full = np.ones((side, side), dtype=bool)
    elif shape == "triangle":
        full = np.abs(x) <= (y + 1) / 2
    else:
        angle = (np.arctan2(x, -y) + turn) % (2 * np.pi / 5)
        fold = np.minimum(angle, 2 * np.pi / 5 - angle)
        radius = np.hypot(x, y)
        inner, step = 0.42, np.pi / 5
        limit = (
            inner * np.sin(step) / (inner * np.sin(step - fold) + np.sin(fold))
        )  # the straight edge from an outer to an inner corner
        full = radius <= limit
    return _boxed(full)


def _boxed(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    y = np.linspace(rows[0], rows[-1], 32).round().astype(int)
    x = np.linspace(columns[0], columns[-1], 32).round().astype(int)
    boxed: NDArray[np.bool_] = mask[np.ix_(y, x)]
    return boxed


_TEMPLATES = {
    "circle": [_template("circle")],
    "square": [_template("square")],
    "triangle": [_template("triangle")],
    "star": [_template("star", turn) for turn in (-0.2, -0.1, 0.0, 0.1, 0.2)],
}


def shape_of(image: NDArray[np.uint8]) -> str | None:
    """Which of circle, square, triangle and star the foreground is most like (overlap of boxes).

    None when there is hardly any foreground or the best overlap is below 0.7.
    """
    region = foreground(image)
    if region.mean() < 0.02:
        return None
    seen = _boxed(without_specks(region))
    best, name = max(
        (float((seen & t).sum() / (seen | t).sum()), shape)
        for shape, templates in _TEMPLATES.items()
        for t in templates
    )
    return name if best >= 0.7 else None


def without_specks(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Keeps pixels with at least 15 of 25 neighbours set, unless nothing would be left."""
    padded = np.pad(mask, 2).astype(np.int32)
    windows = np.lib.stride_tricks.sliding_window_view(padded, (5, 5))
    solid = mask & (windows.sum((2, 3)) >= 15)
    return solid if solid.any() else mask


def interval(hits: int, of: int) -> tuple[float, float]:
    """Wilson's 95 % interval for a rate."""
    z, p = 1.96, hits / of
    middle = (p + z * z / (2 * of)) / (1 + z * z / of)
    half = z / (1 + z * z / of) * math.sqrt(p * (1 - p) / of + z * z / (4 * of * of))
    return max(0.0, middle - half), min(1.0, middle + half)

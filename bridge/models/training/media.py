"""What a painting is painted with: the finished picture seen through watercolour, oil or a pen."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Pixels = NDArray[np.float32]
"""H x W x 3 float32 sRGB, 0..255."""

MEDIUM_SHARE = 0.08
"""Share of the paintings that are not in plain flat colour."""

PAPER = np.array([250, 248, 242], dtype=np.float32)


def in_medium(rng: np.random.Generator, image: NDArray[np.uint8]) -> tuple[str, NDArray[np.uint8]]:
    """A medium by chance, named as in ``captions.MEDIA``, and the picture in it."""
    name = str(rng.choice(list(_MEDIA)))
    return name, paint_with(rng, name, image)


def paint_with(
    rng: np.random.Generator, medium: str, image: NDArray[np.uint8]
) -> NDArray[np.uint8]:
    """``image`` (H x W x 3 uint8) in the medium of that name."""
    painted = _MEDIA[medium](rng, image.astype(np.float32))
    return painted.round().clip(0, 255).astype(np.uint8)


def _watercolour(rng: np.random.Generator, image: Pixels) -> Pixels:
    """Thin paint: the paper shines through, unevenly, and pigment gathers at the edges."""
    thin = 0.34 + 0.09 * _blotches(rng, image.shape[:2], 16)
    washed = image + (PAPER - image) * thin[..., None].clip(0.12, 0.7)
    rimmed: Pixels = washed * (1 - 0.25 * _edges(image))[..., None]
    return rimmed


def _oil(rng: np.random.Generator, image: Pixels) -> Pixels:
    """Thick paint: every pixel comes from a dab some pixels away, and the dabs catch the light."""
    height, width = image.shape[:2]
    reach = min(height, width) / 90
    rows, columns = np.indices((height, width))
    dy, dx = (reach * _blotches(rng, (height, width), 5) for _ in range(2))
    y = (rows + dy).round().astype(int).clip(0, height - 1)
    x = (columns + dx).round().astype(int).clip(0, width - 1)
    moved: Pixels = image[y, x]
    return moved * (1 + 0.06 * _blotches(rng, (height, width), 4))[..., None]


def _line_drawing(rng: np.random.Generator, image: Pixels) -> Pixels:
    """Dark outlines on paper, with a breath of the colours inside."""
    tinted = PAPER + (image - PAPER) * 0.3
    ink = _edges(image)[..., None]
    drawn: Pixels = tinted * (1 - ink) + np.float32(40) * ink
    return drawn


def _edges(image: Pixels) -> NDArray[np.float32]:
    """H x W in 0..1: where neighbouring pixels differ by more than a shade."""
    change = np.zeros(image.shape[:2], dtype=np.float32)
    down = np.abs(np.diff(image, axis=0)).max(-1)
    across = np.abs(np.diff(image, axis=1)).max(-1)
    change[1:] = down
    change[:, 1:] = np.maximum(change[:, 1:], across)
    change[:-1] = np.maximum(change[:-1], down)
    return ((change - 10) / 30).clip(0, 1)


def _blotches(rng: np.random.Generator, shape: tuple[int, int], pixels: int) -> NDArray[np.float32]:
    """H x W of mean 0 and about unit spread, smooth over ``pixels``."""
    height, width = shape
    cells = rng.normal(0, 1, (max(2, height // pixels), max(2, width // pixels)))
    small = Image.fromarray(cells.astype(np.float32))
    return np.asarray(small.resize((width, height), Image.Resampling.BICUBIC))


_MEDIA: dict[str, Callable[[np.random.Generator, Pixels], Pixels]] = {
    "watercolour": _watercolour,
    "oil": _oil,
    "line drawing": _line_drawing,
}

"""The procedural painter: one seed gives one painting, its captions, its mask and its depth."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from bridge.models.training.canvas import Canvas
from bridge.models.training.captions import Scene, describe
from bridge.models.training.media import MEDIUM_SHARE, in_medium
from bridge.models.training.scenes import KINDS, MAIN, Kinds


@dataclass(frozen=True)
class Painting:
    """``image`` H x W x 3 uint8 sRGB; ``mask`` H x W uint8, 255 on the main thing (all 0 if none);
    ``depth`` H x W uint8, 255 nearest; ``captions`` several ways to ask for it."""

    image: NDArray[np.uint8]
    mask: NDArray[np.uint8]
    depth: NDArray[np.uint8]
    captions: tuple[str, ...]
    scene: Scene


def paint(seed: int, width: int, height: int, captions: int = 1, kinds: Kinds = KINDS) -> Painting:
    """Deterministic in all its arguments. Sides in pixels, at least 32."""
    rng = np.random.default_rng(seed)
    canvas = Canvas(width, height)
    draw, _ = kinds[int(rng.choice(len(kinds), p=[share for _, share in kinds]))]
    scene = draw(canvas, rng)
    image = canvas.image()
    if rng.random() < MEDIUM_SHARE:
        medium, image = in_medium(rng, image)
        scene = replace(scene, medium=medium)
    return Painting(
        image=_mottle(rng, image),
        mask=canvas.mask_of(MAIN),
        depth=canvas.depth_map(),
        captions=tuple(describe(rng, scene) for _ in range(captions)),
        scene=scene,
    )


def _mottle(rng: np.random.Generator, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Uneven paint: lightness varies softly by a few per cent, as on a hand-mixed wash."""
    height, width = image.shape[:2]
    cells = rng.normal(128, 34, (max(2, height // 16), max(2, width // 16)))
    wash = Image.fromarray(cells.clip(0, 255).astype(np.uint8))
    wash = wash.resize((width, height), Image.Resampling.BICUBIC)
    change = (np.asarray(wash, dtype=np.float32) - 128) * 0.12
    return (image + change[..., None]).round().clip(0, 255).astype(np.uint8)

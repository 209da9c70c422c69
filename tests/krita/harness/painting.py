"""A small landscape to test and to photograph: layers of flat paint, then real brush strokes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from .document import Document
    from .session import Krita

SKY_TOP, SKY_LOW = (92, 142, 196), (246, 219, 184)
FAR_HILLS, NEAR_HILLS = (126, 141, 168), (74, 110, 96)
WATER_FAR, WATER_NEAR = (196, 204, 205), (58, 106, 138)
MEADOW = (104, 134, 66)
HORIZON = 0.52  # of the height


def _ramp(top: tuple[int, ...], low: tuple[int, ...], rows: int, width: int) -> np.ndarray:
    """rows x width x 4 uint8 RGBA, opaque, from one colour down to the other."""
    share = np.linspace(0.0, 1.0, rows)[:, None]
    colours = np.asarray(top) * (1 - share) + np.asarray(low) * share
    opaque = np.concatenate([colours, np.full((rows, 1), 255.0)], axis=1)
    return np.repeat(np.rint(opaque)[:, None, :], width, axis=1).astype(np.uint8)


def _ridge(width: int, seed: int, roughness: float) -> np.ndarray:
    """A skyline: heights from -1 to 1, a sum of ever finer waves."""
    x = np.linspace(0.0, 2.0 * np.pi, width)
    phases = np.random.default_rng(seed).uniform(0.0, 2.0 * np.pi, 6)
    waves = [np.sin(x * 2.0**n * 0.7 + phase) * roughness**n for n, phase in enumerate(phases)]
    return np.sum(waves, axis=0) / sum(roughness**n for n in range(6))


def _below(line: np.ndarray, height: int, colour: tuple[int, ...]) -> np.ndarray:
    """height x width x 4 uint8 RGBA: colour below the line, softened by a pixel, nothing above."""
    rows = np.arange(height)[:, None]
    alpha = np.clip(rows - line[None, :] + 0.5, 0.0, 1.0)
    pixels = np.empty((height, line.size, 4), np.uint8)
    pixels[..., :3] = colour
    pixels[..., 3] = np.rint(alpha * 255)
    return pixels


def paint_landscape(krita: Krita, width: int = 768, height: int = 768) -> Document:
    """A lake between hills: layers Sky, Hills, Lake and Meadow, finished with strokes on the last."""
    document = krita.new_document(width, height, name="landscape")
    horizon = round(HORIZON * height)
    document.change_layer("Background", name="Sky")
    document.set_layer_pixels("Sky", _ramp(SKY_TOP, SKY_LOW, height, width))

    far = _below(horizon - height * (0.11 + 0.06 * _ridge(width, 3, 0.55)), height, FAR_HILLS)
    near = _below(horizon - height * (0.035 + 0.035 * _ridge(width, 11, 0.5)), height, NEAR_HILLS)
    hills = far.copy()
    share = near[..., 3:] / 255.0  # the near ridge's soft edge lies on the opaque far hills
    hills[..., :3] = np.rint(near[..., :3] * share + far[..., :3] * (1 - share))
    hills[..., 3] = np.maximum(near[..., 3], far[..., 3])
    document.add_layer("Hills")
    document.set_layer_pixels("Hills", hills)

    document.add_layer("Lake")
    document.set_layer_pixels(
        "Lake", _ramp(WATER_FAR, WATER_NEAR, height - horizon, width), 0, horizon
    )

    shore = height * (0.83 + 0.045 * _ridge(width, 5, 0.45))
    document.add_layer("Meadow")
    document.set_layer_pixels("Meadow", _below(shore, height, MEADOW))

    document.activate_layer("Meadow")
    _strokes(krita, document, width, height)
    return document


def _strokes(krita: Krita, document: Document, width: int, height: int) -> None:
    """Clouds, glints on the water, a tree and grass, by hand."""

    def at(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
        return [(x * width, y * height) for x, y in points]

    def stroke(
        size: float,
        rgb: tuple[int, int, int],
        points: list[tuple[float, float]],
        brush: str = "b) Basic-5",
    ) -> None:
        krita.agent.call("set_brush", brush, size * width, list(rgb))
        document.draw_stroke(at(points))

    document.activate_layer("Sky")
    stroke(0.12, (252, 244, 232), [(0.12, 0.16), (0.26, 0.14), (0.38, 0.17)], "b) Airbrush Soft")
    stroke(0.09, (252, 244, 232), [(0.20, 0.12), (0.31, 0.11)], "b) Airbrush Soft")
    document.activate_layer("Lake")
    for x, y, length in ((0.18, 0.58, 0.14), (0.55, 0.62, 0.2), (0.3, 0.69, 0.22)):
        stroke(0.007, (222, 228, 224), [(x, y), (x + length, y)])
    document.activate_layer("Meadow")
    stroke(0.022, (84, 62, 48), [(0.86, 0.9), (0.855, 0.78), (0.865, 0.64)])
    for x, y, size in ((0.86, 0.56, 0.15), (0.81, 0.63, 0.11), (0.91, 0.63, 0.11)):
        stroke(size, (58, 92, 54), [(x - 0.015, y), (x + 0.015, y + 0.01)])
    stroke(0.06, (92, 130, 66), [(0.84, 0.53), (0.87, 0.52)])
    for x in (0.08, 0.15, 0.24, 0.37, 0.52, 0.63, 0.72):
        stroke(0.006, (70, 102, 44), [(x, 0.97), (x + 0.012, 0.91)])

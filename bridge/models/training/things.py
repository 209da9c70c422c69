"""The things the painter can draw. Each is drawn into a frame: its foot's centre and its size.

A frame maps unit coordinates (x from -0.5 to 0.5, y from 0 at the foot to 1 at the top) to the
canvas, so every thing is a few polygons that look the same at any size.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from bridge.models.training.canvas import Canvas
from bridge.models.training.colours import NAMED, Rgb, mix, shade


@dataclass(frozen=True)
class Frame:
    """Where a thing stands. ``x``, ``foot`` and ``size`` (its height) are in pixels."""

    canvas: Canvas
    x: float
    foot: float
    size: float

    def polygon(self, points: list[tuple[float, float]], rgb: Rgb) -> None:
        placed = [(self.x + px * self.size, self.foot - py * self.size) for px, py in points]
        self.canvas.polygon(placed, rgb)

    def ellipse(self, cx: float, cy: float, rx: float, ry: float, rgb: Rgb) -> None:
        s = self.size
        self.canvas.ellipse(self.x + cx * s, self.foot - cy * s, rx * s, ry * s, rgb)

    def box(self, x0: float, y0: float, x1: float, y1: float, rgb: Rgb) -> None:
        self.polygon([(x0, y0), (x1, y0), (x1, y1), (x0, y1)], rgb)


Draw = Callable[[Frame, Rgb, np.random.Generator], None]


@dataclass(frozen=True)
class Thing:
    """A drawable noun. ``natural``: the colours it has when nobody names one (any, if empty);
    ``width``: how wide it is, in its own heights."""

    noun: str
    draw: Draw
    natural: tuple[str, ...] = ()
    plural: str = ""
    width: float = 1.2


def _circle(f: Frame, rgb: Rgb, rng: np.random.Generator) -> None:
    f.ellipse(0, 0.5, 0.5, 0.5, rgb)


def _square(f: Frame, rgb: Rgb, rng: np.random.Generator) -> None:
    f.box(-0.45, 0.05, 0.45, 0.95, rgb)


def _triangle(f: Frame, rgb: Rgb, rng: np.random.Generator) -> None:
    f.polygon([(-0.55, 0.03), (0.55, 0.03), (0, 0.97)], rgb)


def _star(f: Frame, rgb: Rgb, rng: np.random.Generator) -> None:
    turn = rng.uniform(-0.2, 0.2)
    radii = np.where(np.arange(10) % 2 == 0, 0.55, 0.23)
    angles = np.arange(10) * np.pi / 5 + turn
    f.polygon(
        [
            (float(r * np.sin(a)), float(0.48 + r * np.cos(a)))
            for r, a in zip(radii, angles, strict=True)
        ],
        rgb,
    )


def _boat(f: Frame, rgb: Rgb, rng: np.random.Generator) -> None:
    sail = rgb if rng.random() < 0.7 else mix(NAMED["white"], rgb, 0.08)
    f.box(-0.03, 0.25, 0.03, 0.98, shade(NAMED["brown"], 0.8))
    f.polygon([(0.05, 0.34), (0.44, 0.36), (0.05, 0.95)], sail)
    f.polygon([(-0.05, 0.34), (-0.34, 0.36), (-0.05, 0.86)], shade(sail, 0.88))
    f.polygon([(-0.55, 0.29), (0.55, 0.29), (0.38, 0.02), (-0.38, 0.02)], rgb)
    f.polygon([(-0.46, 0.12), (0.46, 0.12), (0.38, 0.02), (-0.38, 0.02)], shade(rgb, 0.75))


def _house(f: Frame, rgb: Rgb, rng: np.random.Generator) -> None:
    roof = shade(rgb, 0.55) if rng.random() < 0.6 else shade(NAMED["brown"], 0.8)
    f.box(-0.42, 0, 0.42, 0.58, rgb)
    f.polygon([(-0.54, 0.56), (0.54, 0.56), (0.0, 1.0)], roof)
    glass = (250, 232, 150) if rng.random() < 0.5 else (70, 80, 100)
    f.box(-0.31, 0.28, -0.15, 0.45, glass)
    f.box(0.15, 0.28, 0.31, 0.45, glass)
    f.box(-0.08, 0, 0.08, 0.34, shade(roof, 0.8))


def _tree(f: Frame, rgb: Rgb, rng: np.random.Generator) -> None:
    f.box(-0.08, 0, 0.08, 0.45, shade(NAMED["brown"], 0.85))
    if rng.random() < 0.4:
        for low, wide in ((0.2, 0.42), (0.42, 0.34), (0.63, 0.25)):
            f.polygon([(-wide, low), (wide, low), (0, low + 0.38)], shade(rgb, 0.8 + low / 2.5))
        return
    f.ellipse(0, 0.65, 0.4, 0.34, rgb)
    f.ellipse(0.17, 0.54, 0.2, 0.18, shade(rgb, 0.8))
    f.ellipse(-0.12, 0.76, 0.16, 0.14, shade(rgb, 1.12))


def _flower(f: Frame, rgb: Rgb, rng: np.random.Generator) -> None:
    stem = NAMED["green"]
    f.box(-0.045, 0, 0.045, 0.62, stem)
    f.polygon([(0, 0.08), (0.28, 0.38), (0.26, 0.12)], stem)
    f.polygon([(0, 0.02), (-0.28, 0.32), (-0.26, 0.06)], stem)
    turn = rng.uniform(0, 1)
    for petal in range(6):
        a = (petal + turn) * np.pi / 3
        f.ellipse(float(0.21 * np.sin(a)), float(0.68 + 0.21 * np.cos(a)), 0.125, 0.125, rgb)
    heart = NAMED["yellow"] if rgb[0] < 220 or rgb[1] < 190 else NAMED["brown"]
    f.ellipse(0, 0.68, 0.12, 0.12, heart)


def _sun(f: Frame, rgb: Rgb, rng: np.random.Generator) -> None:
    rays = rng.random() < 0.5
    for ray in range(10 if rays else 0):
        a = ray * np.pi / 5
        left, right = a - 0.16, a + 0.16
        f.polygon(
            [
                (float(0.34 * np.sin(left)), float(0.5 + 0.34 * np.cos(left))),
                (float(0.34 * np.sin(right)), float(0.5 + 0.34 * np.cos(right))),
                (float(0.56 * np.sin(a)), float(0.5 + 0.56 * np.cos(a))),
            ],
            rgb,
        )
    radius = 0.32 if rays else 0.5
    f.ellipse(0, 0.5, radius, radius, rgb)


def _moon(f: Frame, rgb: Rgb, rng: np.random.Generator) -> None:
    f.ellipse(0, 0.5, 0.5, 0.5, rgb)
    f.ellipse(-0.15, 0.6, 0.12, 0.12, shade(rgb, 0.86))
    f.ellipse(0.16, 0.36, 0.15, 0.15, shade(rgb, 0.88))


def _cloud(f: Frame, rgb: Rgb, rng: np.random.Generator) -> None:
    f.ellipse(-0.42, 0.3, 0.34, 0.24, shade(rgb, 0.94))
    f.ellipse(0.42, 0.32, 0.36, 0.26, shade(rgb, 0.94))
    f.ellipse(0, 0.5, 0.44, 0.4, rgb)
    f.ellipse(0, 0.22, 0.6, 0.2, shade(rgb, 0.9))


def _mountain(f: Frame, rgb: Rgb, rng: np.random.Generator) -> None:
    lean = rng.uniform(-0.15, 0.15)
    f.polygon([(-0.85, 0), (0.85, 0), (lean, 1)], rgb)
    f.polygon([(0.85, 0), (lean + 0.12, 0), (lean, 1)], shade(rgb, 0.8))
    if rng.random() < 0.5:
        snow = [(lean, 1.0), (lean + 0.24, 0.72), (lean + 0.05, 0.78), (lean - 0.24, 0.72)]
        f.polygon(snow, (250, 250, 252))


def _apple(f: Frame, rgb: Rgb, rng: np.random.Generator) -> None:
    f.polygon([(-0.03, 0.78), (0.03, 1.02), (0.12, 1.0), (0.04, 0.76)], shade(NAMED["brown"], 0.8))
    f.ellipse(-0.17, 0.43, 0.3, 0.42, rgb)
    f.ellipse(0.17, 0.43, 0.3, 0.42, shade(rgb, 0.88))
    f.ellipse(-0.02, 0.4, 0.3, 0.39, rgb)
    f.ellipse(0.24, 0.91, 0.19, 0.09, NAMED["green"])
    f.ellipse(-0.2, 0.6, 0.07, 0.1, shade(rgb, 1.4))


def _pear(f: Frame, rgb: Rgb, rng: np.random.Generator) -> None:
    f.box(-0.025, 0.86, 0.025, 1.02, shade(NAMED["brown"], 0.8))
    f.ellipse(0, 0.31, 0.33, 0.31, rgb)
    f.polygon([(-0.29, 0.42), (0.29, 0.42), (0.13, 0.78), (-0.13, 0.78)], rgb)
    f.ellipse(0, 0.76, 0.145, 0.14, rgb)
    f.ellipse(-0.14, 0.36, 0.07, 0.11, shade(rgb, 1.4))


def _lemon(f: Frame, rgb: Rgb, rng: np.random.Generator) -> None:
    f.polygon([(-0.66, 0.4), (-0.4, 0.56), (-0.4, 0.24)], rgb)
    f.polygon([(0.66, 0.4), (0.4, 0.56), (0.4, 0.24)], shade(rgb, 0.9))
    f.ellipse(0, 0.4, 0.52, 0.38, rgb)
    f.ellipse(-0.14, 0.52, 0.14, 0.08, shade(rgb, 1.4))


def _bowl(f: Frame, rgb: Rgb, rng: np.random.Generator) -> None:
    f.box(-0.2, 0, 0.2, 0.1, shade(rgb, 0.75))
    angles = np.linspace(np.pi, 2 * np.pi, 14)
    f.polygon([(float(0.62 * np.cos(a)), float(0.64 + 0.58 * np.sin(a))) for a in angles], rgb)
    f.ellipse(0, 0.64, 0.62, 0.11, shade(rgb, 0.7))


def _bottle(f: Frame, rgb: Rgb, rng: np.random.Generator) -> None:
    f.box(-0.19, 0.0, 0.19, 0.58, rgb)
    f.polygon([(-0.19, 0.57), (0.19, 0.57), (0.075, 0.74), (-0.075, 0.74)], rgb)
    f.box(-0.075, 0.72, 0.075, 0.94, rgb)
    f.box(-0.09, 0.92, 0.09, 1.0, shade(rgb, 0.6))
    f.box(-0.14, 0.08, -0.08, 0.54, shade(rgb, 1.35))


def _vase(f: Frame, rgb: Rgb, rng: np.random.Generator) -> None:
    f.polygon([(-0.16, 0), (0.16, 0), (0.32, 0.4), (-0.32, 0.4)], rgb)
    f.ellipse(0, 0.44, 0.34, 0.28, rgb)
    f.polygon([(-0.22, 0.62), (0.22, 0.62), (0.1, 0.8), (-0.1, 0.8)], rgb)
    f.polygon([(-0.1, 0.78), (0.1, 0.78), (0.28, 0.99), (-0.28, 0.99)], shade(rgb, 0.85))
    f.ellipse(-0.16, 0.46, 0.06, 0.14, shade(rgb, 1.4))


def _cup(f: Frame, rgb: Rgb, rng: np.random.Generator) -> None:
    f.ellipse(0.42, 0.48, 0.24, 0.26, rgb)
    f.ellipse(0.42, 0.48, 0.13, 0.15, shade(rgb, 0.45))
    f.polygon([(-0.34, 0), (0.34, 0), (0.44, 0.88), (-0.44, 0.88)], rgb)
    f.ellipse(0, 0.88, 0.44, 0.1, shade(rgb, 0.65))


SHAPES = (
    Thing("circle", _circle, plural="circles"),
    Thing("square", _square, plural="squares"),
    Thing("triangle", _triangle, plural="triangles"),
    Thing("star", _star, plural="stars"),
)
ON_LAND = (
    Thing("house", _house, plural="houses"),
    Thing("tree", _tree, ("green",), "trees", 0.9),
    Thing("flower", _flower, plural="flowers"),
)
ON_WATER = (Thing("boat", _boat, plural="boats"),)
ON_TABLE = (
    Thing("apple", _apple, ("red", "green", "yellow"), "apples"),
    Thing("pear", _pear, ("green", "yellow"), "pears"),
    Thing("lemon", _lemon, ("yellow",), "lemons", 1.4),
    Thing("bowl", _bowl, plural="bowls"),
    Thing("bottle", _bottle, plural="bottles"),
    Thing("vase", _vase, plural="vases"),
    Thing("cup", _cup, plural="cups"),
)
SUN = Thing("sun", _sun, ("yellow", "orange"))
MOON = Thing("moon", _moon, ("white",))
CLOUD = Thing("cloud", _cloud, ("white", "grey"), "clouds", 1.6)
MOUNTAIN = Thing("mountain", _mountain, ("grey", "purple", "blue", "brown"), "mountains", 1.8)
IN_SKY = (SUN, MOON, CLOUD)
ALL = (*SHAPES, *ON_LAND, *ON_WATER, *ON_TABLE, SUN, MOON, CLOUD, MOUNTAIN)

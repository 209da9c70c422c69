"""What the judge of things learns from: things as a clumsy hand would paint them, and no things.

A thing is the painter's drawing of it, bent, turned, stretched, smeared and set before one colour or a
painting. No thing is whatever has an outline like none of the drawings: blobs, a part of one thing on a
part of another, things bent beyond recognition; and things that nobody asks for.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from bridge.models.training import outlines, things
from bridge.models.training.canvas import Canvas
from bridge.models.training.colours import NAMED, Rgb, pick, shade
from bridge.models.training.outlines import NAMES
from bridge.models.training.painter import paint
from bridge.models.training.scenes import expanse, landscape
from bridge.models.training.things import Frame

SIDE = 64
NOTHING = "nothing"
LABELS = (*NAMES, NOTHING)

NOTHINGS = ("empty", "blob", "hybrid", "bent", "odd")
"""Kinds of no thing: a backdrop alone, a blot, two things in one, a thing bent too much, another thing."""

CLEAR_OF = 0.75
"""No blot, hybrid or bent thing overlaps with any drawing of a thing by as much as this."""

_KIND_SHARES = (0.1, 0.25, 0.3, 0.25, 0.1)
_ODD = ("lemon", "cloud")
_SHEET = 96
_FULL = 128
_THINGS = {thing.noun: thing for thing in things.ALL}

Pixels = NDArray[np.float32]
"""H x W x 3 sRGB 0..255; with a fourth channel premultiplied, and that how opaque it is, 0..1."""


@dataclass(frozen=True)
class Look:
    """How much a drawing is changed.

    ``bend``: standard deviation of its parts' displacement, in its own sizes, from and to; ``smear``: blur
    of paint and edge in pixels of ``SIDE``, up to; ``stretch``: standard deviation of the logarithm of its
    width and height; ``turn``: standard deviation in degrees; ``scenes``: share of pictures that stand
    before a part of a painting, the rest before one colour.
    """

    bend: tuple[float, float] = (0.0, 0.045)
    smear: float = 1.8
    stretch: float = 0.1
    turn: float = 6.0
    scenes: float = 0.4


_BENT = Look(bend=(0.16, 0.3), stretch=0.3, turn=25.0)
"""So that nobody knows what it was."""


class Examples:
    """Pictures of 64 px of one thing or none. Deterministic in the seed and the generators given."""

    def __init__(self, seed: int, backdrops: int = 256) -> None:
        """``seed``: of the first of so many paintings that serve as backdrops."""
        seeds = range(seed, seed + backdrops)
        scenery, empty = ((landscape, 0.7), (expanse, 0.3)), ((expanse, 1.0),)
        self._paintings = [paint(s, _FULL, _FULL, kinds=scenery).image for s in seeds]
        self._empty = [paint(s, _FULL, _FULL, kinds=empty).image for s in seeds[: backdrops // 4]]

    def draw(self, rng: np.random.Generator, label: str, look: Look = Look()) -> NDArray[np.uint8]:
        """SIDE x SIDE x 3 sRGB: one of ``LABELS``."""
        if label == NOTHING:
            return self.draw_nothing(rng, str(rng.choice(NOTHINGS, p=_KIND_SHARES)), look)
        backdrop = self._backdrop(rng, look, self._paintings)
        cutout = _cutout(rng, label, _colour_before(rng, backdrop))
        return _finished(rng, _over(rng, _placed(rng, cutout, look), backdrop, look))

    def draw_nothing(
        self, rng: np.random.Generator, kind: str, look: Look = Look()
    ) -> NDArray[np.uint8]:
        """SIDE x SIDE x 3 sRGB: one of ``NOTHINGS``."""
        if kind == "empty":
            return _finished(rng, self._backdrop(rng, look, self._empty))
        backdrop = self._backdrop(rng, look, self._paintings)
        clear = False
        while not clear:
            cutout = _no_thing(rng, kind, _colour_before(rng, backdrop), look)
            likeness = outlines.likeness(cutout[..., 3] >= 0.5)
            clear = kind == "odd" or max(likeness.values()) < CLEAR_OF
        return _finished(rng, _over(rng, cutout, backdrop, look))

    def _backdrop(
        self, rng: np.random.Generator, look: Look, paintings: list[NDArray[np.uint8]]
    ) -> Pixels:
        if rng.random() >= look.scenes:
            fall = np.linspace(1, rng.uniform(0.9, 1.02), SIDE, dtype=np.float32)
            colour = np.array(pick(rng).rgb, dtype=np.float32)
            return np.tile(fall[:, None, None] * colour, (1, SIDE, 1))
        whole = paintings[int(rng.integers(len(paintings)))]
        side = int(rng.integers(48, 113))
        y, x = rng.integers(0, _FULL + 1 - side, 2)
        part = whole[y : y + side, x : x + side].astype(np.float32)
        return np.asarray(cv2.resize(part, (SIDE, SIDE), interpolation=cv2.INTER_AREA))


def _no_thing(rng: np.random.Generator, kind: str, rgb: Rgb, look: Look) -> Pixels:
    """SIDE x SIDE x 4: of one of ``NOTHINGS`` but "empty"."""
    if kind == "blob":
        return _placed(rng, _blob(rng, rgb), look)
    if kind == "hybrid":
        return _placed(rng, _hybrid(rng, rgb), look)
    if kind == "bent":
        return _placed(rng, _cutout(rng, str(rng.choice(NAMES)), rgb), _BENT)
    return _placed(rng, _cutout(rng, str(rng.choice(_ODD)), rgb), look)


def _colour_before(rng: np.random.Generator, backdrop: Pixels) -> Rgb:
    """A colour of the painter's that differs from the mean of the backdrop."""
    ground = cv2.mean(backdrop)[:3]
    while True:
        rgb = pick(rng).rgb
        if np.abs(np.subtract(rgb, ground)).max() > 50:
            return rgb


def _cutout(rng: np.random.Generator, noun: str, rgb: Rgb) -> Pixels:
    """SHEET x SHEET x 4: a drawing of the thing, its longer side from edge to edge, centred."""
    side = _SHEET * 3 // 2
    canvas = Canvas(side, side)
    canvas.thing = 1
    _THINGS[noun].draw(Frame(canvas, side / 2, side * 0.8, side * 0.56), rgb, rng)
    mask = canvas.mask_of(1)
    x, y, width, height = cv2.boundingRect(mask)
    part = np.dstack([canvas.image(), mask])[y : y + height, x : x + width].astype(np.float32)
    scale = _SHEET / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    sheet = np.zeros((_SHEET, _SHEET, 4), dtype=np.float32)
    left, top = ((_SHEET - length) // 2 for length in size)
    sheet[top : top + size[1], left : left + size[0]] = cv2.resize(part, size)
    sheet[..., 3] /= 255
    return sheet


def _hybrid(rng: np.random.Generator, rgb: Rgb) -> Pixels:
    """The top (or the left) of one thing and the rest of another."""
    one, other = (_cutout(rng, str(n), rgb) for n in rng.choice(NAMES, 2, replace=False))
    cut = int(_SHEET * rng.uniform(0.35, 0.65))
    if rng.random() < 0.5:
        one[cut:] = other[cut:]
    else:
        one[:, cut:] = other[:, cut:]
    return one


def _blob(rng: np.random.Generator, rgb: Rgb) -> Pixels:
    """A closed curve whose radius is a sum of random waves, with blots in shades and other colours."""
    angle = np.linspace(0, 2 * np.pi, 90, endpoint=False)
    waves = np.arange(1, 5)  # five would be a star
    heights = rng.normal(0, rng.uniform(0.15, 0.45), 4) / np.sqrt(waves)
    phases = rng.uniform(0, 2 * np.pi, 4)
    radius = np.exp(heights @ np.cos(np.outer(waves, angle) + phases[:, None]))
    curve = np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=-1)
    low, high = curve.min(0), curve.max(0)
    points = (curve - (low + high) / 2) / (high - low).max() * _SHEET + _SHEET / 2
    sheet = np.zeros((_SHEET, _SHEET, 4), dtype=np.float32)
    cv2.fillPoly(sheet, [points.round().astype(np.int32)], (*rgb, 1.0))
    blots = sheet.copy()
    for _ in range(int(rng.integers(0, 4))):
        shaded = shade(rgb, rng.uniform(0.6, 1.2))
        colour = shaded if rng.random() < 0.5 else NAMED[str(rng.choice(list(NAMED)))]
        cv2.circle(blots, rng.integers(0, _SHEET, 2).tolist(), int(rng.integers(6, 24)), colour, -1)
    sheet[..., :3] = blots[..., :3] * sheet[..., 3:]
    return sheet


def _placed(rng: np.random.Generator, cutout: Pixels, look: Look) -> Pixels:
    """SIDE x SIDE x 4: the cutout about the middle, its longer side half of the picture to nearly all
    of it, perhaps mirrored."""
    size = SIDE * rng.uniform(0.45, 0.95)
    room = max(2.0, (SIDE - size) / 2)
    middle = SIDE / 2 + np.clip(rng.normal(0, 0.4, 2), -1, 1) * room
    cells = int(rng.integers(3, 7))
    field = rng.normal(0, rng.uniform(*look.bend) * size, (cells, cells, 2)).astype(np.float32)
    moved = cv2.resize(field, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC)
    y, x = np.mgrid[:SIDE, :SIDE]
    x, y = x + moved[..., 0] - middle[0], y + moved[..., 1] - middle[1]
    angle = np.deg2rad(rng.normal(0, look.turn))
    wide, high = _SHEET / size * np.exp(rng.normal(0, look.stretch, 2))
    wide *= rng.choice([-1, 1])
    u = (np.cos(angle) * x + np.sin(angle) * y) * wide + _SHEET / 2
    v = (np.cos(angle) * y - np.sin(angle) * x) * high + _SHEET / 2
    return np.asarray(
        cv2.remap(cutout, u.astype(np.float32), v.astype(np.float32), cv2.INTER_LINEAR)
    )


def _over(rng: np.random.Generator, cutout: Pixels, backdrop: Pixels, look: Look) -> Pixels:
    """The cutout over the backdrop, its paint smeared, its edge rounded and soft."""
    smear = rng.uniform(0, look.smear)
    if smear < 0.3:
        return cutout[..., :3] + (1 - cutout[..., 3:]) * backdrop
    soft = np.asarray(cv2.GaussianBlur(cutout, (0, 0), smear), np.float32)
    opaque = soft[..., 3:]
    colour = soft[..., :3] / np.maximum(opaque, 1e-3)
    edge = ((opaque - 0.5) * rng.uniform(1.0, 4.0) + 0.5).clip(0, 1)
    return np.asarray(edge * colour + (1 - edge) * backdrop, np.float32)


def _finished(rng: np.random.Generator, picture: Pixels) -> NDArray[np.uint8]:
    """Uneven light and colour, a little blur, and grain."""
    cells = int(rng.integers(4, 12))
    wash = rng.normal(0, rng.uniform(0, 7), (cells, cells, 3)).astype(np.float32)
    lit = np.add(picture, cv2.resize(wash, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC))
    blur = rng.uniform(0.3, 0.9) if rng.random() < 0.5 else 0.0
    soft = cv2.GaussianBlur(lit, (0, 0), blur) if blur else lit
    grain = rng.normal(0, rng.uniform(0, 4), picture.shape)
    return (soft + grain).round().clip(0, 255).astype(np.uint8)

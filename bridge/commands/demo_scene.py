"""The demo's painting, made by arithmetic: a bay at dusk with room for a boat, and a lasso selection on its water."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

if TYPE_CHECKING:
    from bridge.engine.types import ImageU8, MaskU8

WIDTH, HEIGHT = 768, 512
HORIZON = 250
_Field = NDArray[np.floating]


def paint_bay() -> ImageU8:
    """H x W x 4 uint8 RGBA, opaque: sky, sun, clouds, hills, water with the sun's path, a shore."""
    rng = np.random.default_rng(20)
    rows = np.linspace(0, 1, HEIGHT, dtype=np.float32)[:, None]
    columns = np.linspace(0, 1, WIDTH, dtype=np.float32)[None, :]
    picture = _sky(rng, rows, columns)
    for base, height, colour in (
        (0.47, 0.15, (126, 112, 150)),
        (0.485, 0.09, (88, 88, 128)),
        (0.492, 0.05, (58, 70, 100)),
    ):
        ridge = base - height * _noise_line(rng, WIDTH)
        inside = np.clip((rows - ridge[None, :]) * HEIGHT, 0, 1) * (rows * HEIGHT < HORIZON)
        picture = _mix(picture, colour, inside)
    picture = _water(picture, rng, rows, columns)
    picture = _shore(picture, rng, rows)
    # Strokes rather than gradients: a coarse grain along the brush, as paint on canvas has.
    grain = _noise(rng, 60, 8) + 0.6 * _noise(rng, 150, 30)
    picture += 9 * (grain - grain.mean())[..., None]
    opaque = np.full((HEIGHT, WIDTH, 1), 255, np.float32)
    rounded = np.rint(np.concatenate([picture, opaque], axis=-1))
    return np.asarray(rounded.clip(0, 255), np.uint8)


def lasso() -> MaskU8:
    """H x W uint8: a hand-drawn, slightly feathered loop on the water."""
    turns = np.linspace(0, 2 * np.pi, 60, endpoint=False)
    wobble = 1 + 0.07 * np.sin(3 * turns + 1) + 0.05 * np.sin(5 * turns)
    points = [
        (float(285 + 112 * w * np.cos(t)), float(318 + 92 * w * np.sin(t)))
        for t, w in zip(turns, wobble, strict=True)
    ]
    drawn = Image.new("L", (WIDTH, HEIGHT))
    ImageDraw.Draw(drawn).polygon(points, fill=255)
    return np.asarray(drawn.filter(ImageFilter.GaussianBlur(2)))


def _sky(rng: np.random.Generator, rows: _Field, columns: _Field) -> _Field:
    stops = np.array([0, 0.22, 0.4, 0.5, 1.0])
    colours = np.array(
        [(70, 110, 176), (140, 160, 205), (244, 186, 150), (255, 214, 150), (255, 214, 150)]
    )
    down = np.stack([np.interp(rows[:, 0], stops, colours[:, i]) for i in range(3)], axis=-1)
    picture = np.repeat(down[:, None].astype(np.float32), WIDTH, axis=1)
    distance = np.hypot((columns - 0.72) * WIDTH / HEIGHT, rows - 0.35)
    picture = _mix(picture, (255, 240, 200), 0.8 * np.exp(-((distance / 0.16) ** 2)))
    picture = _mix(picture, (255, 250, 232), np.clip((0.045 - distance) * HEIGHT, 0, 1))
    clouds = _noise(rng, 14, 6) * 0.6 + _noise(rng, 34, 16) * 0.4
    cover = np.clip((clouds - 0.54) * 4, 0, 0.7) * np.clip(1.6 - rows * 3.6, 0, 1)
    return _mix(picture, (255, 222, 214), cover)


def _water(picture: _Field, rng: np.random.Generator, rows: _Field, columns: _Field) -> _Field:
    depth = np.clip((rows * HEIGHT - HORIZON) / (HEIGHT - HORIZON), 0, 1)
    blue = np.stack(
        [np.interp(depth, [0, 0.25, 1], [c0, c1, c2]) for c0, c1, c2 in
         ((150, 92, 28), (166, 138, 84), (196, 172, 128))],
        axis=-1,
    )  # fmt: skip
    waves = _noise(rng, 90, 10) * 0.6 + _noise(rng, 40, 5) * 0.4
    water: _Field = np.broadcast_to(blue, picture.shape) + 46 * (waves - 0.5)[..., None]
    spread = 0.03 + 0.16 * depth
    path = np.exp(-(((columns - 0.72) / spread) ** 2)) * np.clip((waves - 0.44) * 7, 0, 1)
    water = _mix(water, (255, 226, 170), 0.85 * path)
    below = (rows * HEIGHT >= HORIZON).astype(np.float32)
    return _mix(picture, water, np.broadcast_to(below, picture.shape[:2]))


def _shore(picture: _Field, rng: np.random.Generator, rows: _Field) -> _Field:
    edge = (
        0.93
        - 0.1 * np.linspace(1, -0.6, WIDTH, dtype=np.float32) ** 3
        + 0.02 * _noise_line(rng, WIDTH)
    )
    foam = np.clip(1 - np.abs(rows - edge[None, :] + 0.008) * 90, 0, 1)
    sand = np.clip((rows - edge[None, :]) * HEIGHT / 2, 0, 1)
    picture = _mix(picture, (250, 246, 236), 0.8 * foam)
    return _mix(picture, (222, 190, 142), sand)


def _mix(picture: _Field, colour: object, amount: _Field) -> _Field:
    weight = amount[..., None].astype(np.float32)
    return picture * (1 - weight) + np.asarray(colour, np.float32) * weight


def _noise(rng: np.random.Generator, down: int, across: int) -> _Field:
    """Smooth noise 0 to 1 over the picture with about so many bumps each way."""
    coarse = Image.fromarray(rng.random((down + 1, across + 1), np.float32))
    return np.asarray(coarse.resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC)).clip(0, 1)


def _noise_line(rng: np.random.Generator, length: int) -> _Field:
    total = np.zeros(length, np.float32)
    for bumps, weight in ((4, 0.6), (11, 0.27), (40, 0.13)):
        points = rng.random(bumps + 1)
        places = np.linspace(0, bumps, length)
        low = places.astype(int).clip(0, bumps - 1)
        ease = (1 - np.cos((places - low) * np.pi)) / 2
        total += weight * (points[low] * (1 - ease) + points[low + 1] * ease).astype(np.float32)
    return total

"""Composition: what stands where. Each function draws one kind of scene and says what it shows."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from bridge.models.training import things
from bridge.models.training.canvas import Canvas
from bridge.models.training.captions import Mention, Scene
from bridge.models.training.colours import Paint, Rgb, mix, pick, shade
from bridge.models.training.things import Frame, Thing

MAIN = 1
OTHER = 2

SKIES: dict[str, tuple[Rgb, Rgb]] = {
    "": ((110, 170, 232), (190, 220, 244)),
    "at noon": ((92, 158, 235), (180, 216, 246)),
    "in the morning": ((170, 190, 230), (250, 214, 190)),
    "at sunset": ((112, 84, 150), (250, 150, 80)),
    "at night": ((14, 18, 44), (44, 52, 96)),
}
GROUNDS: dict[str, Rgb] = {
    "grass": (96, 160, 70),
    "ground": (150, 120, 80),
    "sand": (228, 204, 146),
    "snow": (238, 242, 250),
}


def paint_for(rng: np.random.Generator, thing: Thing, natural: float = 0.35) -> Paint:
    """A colour for the thing: a natural one, sometimes unnamed, or any named one."""
    if thing.natural and rng.random() < natural:
        paint = pick(rng, thing.natural)
        return Paint(paint.rgb) if rng.random() < 0.6 else paint
    return pick(rng)


def _side(canvas: Canvas, x: float) -> str:
    if x < canvas.width * 0.4:
        return "left"
    return "right" if x > canvas.width * 0.6 else ""


def _within(length: float, share: float, extent: float) -> float:
    """A share of ``length`` as the middle of what is ``extent`` long, moved so that all of it can be seen."""
    return float(np.clip(share * length, extent / 2, length - extent / 2))


def _place(
    canvas: Canvas,
    rng: np.random.Generator,
    thing: Thing,
    x: float,
    foot: float,
    size: float,
    natural: float = 0.35,
) -> Mention:
    paint = paint_for(rng, thing, natural)
    thing.draw(Frame(canvas, x, foot, size), paint.rgb, rng)
    return Mention(thing.noun, paint.words, _side(canvas, x))


def _sky(canvas: Canvas, rng: np.random.Generator, until: float) -> tuple[Mention, str]:
    if rng.random() < 0.6:
        paint = pick(rng)
        canvas.gradient(0, until, shade(paint.rgb, 0.95), shade(paint.rgb, 1.12), 0, 0)
        return Mention("sky", paint.words), ""
    time = str(rng.choice(list(SKIES), p=[0.4, 0.12, 0.14, 0.18, 0.16]))
    top, low = SKIES[time]
    canvas.gradient(0, until, top, low, 0, 0)
    return Mention("sky", "blue" if time in ("", "at noon") else ""), time


def _land(canvas: Canvas, rng: np.random.Generator, top: float, time: str) -> Mention:
    if rng.random() < 0.65:
        paint = pick(rng)
        noun = str(rng.choice(["ground", "ground", "field", "hill"]))
        rgb, words = paint.rgb, paint.words
    else:
        noun = str(rng.choice(list(GROUNDS)))
        rgb, words = GROUNDS[noun], "green" if noun == "grass" and rng.random() < 0.5 else ""
        if time == "at night":
            rgb = mix(rgb, (20, 26, 60), 0.6)
    canvas.gradient(top, canvas.height, shade(rgb, 1.08), shade(rgb, 0.9), 90, 230)
    return Mention(noun, words)


def _water(canvas: Canvas, rng: np.random.Generator, top: float, time: str) -> Mention:
    paint = pick(rng) if rng.random() < 0.4 else pick(rng, ("blue", "teal"))
    rgb = paint.rgb
    if time == "at night" and not paint.words:
        rgb = mix(rgb, (10, 14, 40), 0.5)
    canvas.gradient(top, canvas.height, shade(rgb, 1.15), shade(rgb, 0.88), 90, 230)
    span = canvas.height - top
    canvas.depth = 160
    for _ in range(int(rng.integers(5, 12))):
        y = top + span * rng.uniform(0.05, 0.97)
        x, half = rng.uniform(0, canvas.width), canvas.width * rng.uniform(0.05, 0.16)
        canvas.ellipse(x, y, half, max(1.0, span * 0.012), shade(rgb, rng.choice([1.25, 0.8])))
    noun = str(rng.choice(["water", "water", "lake", "sea"]))
    return Mention(noun, paint.words if rng.random() < 0.8 else "")


def _ridge(canvas: Canvas, rng: np.random.Generator, horizon: float) -> Mention:
    """A row of mountains in one colour."""
    paint = paint_for(rng, things.MOUNTAIN)
    canvas.depth = 50
    for _ in range(int(rng.integers(2, 5))):
        x, size = rng.uniform(0, canvas.width), horizon * rng.uniform(0.3, 0.75)
        things.MOUNTAIN.draw(Frame(canvas, x, horizon, size), paint.rgb, rng)
    return Mention("mountains", paint.words)


def landscape(canvas: Canvas, rng: np.random.Generator) -> Scene:
    """Sky over land or water, with up to three things; sometimes one of them large and close."""
    unit = min(canvas.width, canvas.height)
    close = rng.random() < 0.45
    horizon = canvas.height * rng.uniform(0.35, 0.72)
    sky, time = _sky(canvas, rng, horizon + 1)
    mentions: list[Mention] = []
    if rng.random() < 0.45:
        canvas.depth = 5
        body = things.MOON if time == "at night" else things.SUN
        at = rng.uniform(0.12, 0.88) * canvas.width
        size = unit * rng.uniform(0.12, 0.28)
        mentions.append(_place(canvas, rng, body, at, horizon * 0.25 + size * 0.5, size, 0.6))
    if rng.random() < 0.35:
        canvas.depth = 12
        paint = paint_for(rng, things.CLOUD, 0.85)
        for _ in range(int(rng.integers(1, 3))):
            x, y = rng.uniform(0.1, 0.9) * canvas.width, horizon * rng.uniform(0.2, 0.6)
            things.CLOUD.draw(Frame(canvas, x, y, unit * rng.uniform(0.1, 0.2)), paint.rgb, rng)
        mentions.append(Mention("clouds", paint.words))
    if rng.random() < 0.4:
        mentions.append(_ridge(canvas, rng, horizon))
    wet = rng.random() < 0.45
    setting = (_water if wet else _land)(canvas, rng, horizon, time)
    kinds = things.ON_WATER if wet else things.ON_LAND
    count = int(rng.choice([0, 1, 2, 3], p=[0.1, 0.45, 0.3, 0.15])) if not close else 1
    spots = rng.permutation(3)[:count].astype(np.float64)
    if count == 1:
        spots = rng.uniform(0, 2, 1)
    feet = np.sort(rng.uniform(0.1, 0.75, count))
    near: list[Mention] = []
    for order, (spot, foot) in enumerate(zip(spots, feet, strict=True)):
        canvas.thing = MAIN if order == count - 1 else OTHER
        canvas.depth = int(90 + 140 * foot)
        thing = kinds[int(rng.integers(len(kinds)))]
        x = canvas.width * (0.2 + 0.3 * spot + rng.uniform(-0.06, 0.06))
        size = unit * (rng.uniform(0.5, 0.85) if close else rng.uniform(0.28, 0.45))
        y = horizon + (canvas.height - horizon) * foot
        near.append(_place(canvas, rng, thing, x, max(y, size * 0.9), size))
    return Scene((*reversed(near), *reversed(mentions)), (setting, sky), time)


def portrait(canvas: Canvas, rng: np.random.Generator) -> Scene:
    """One thing that fills much of the picture, before one plain colour or sky and ground."""
    unit = min(canvas.width, canvas.height)
    thing = things.ALL[int(rng.integers(len(things.ALL)))]
    size = min(unit * rng.uniform(0.5, 0.95), canvas.width / thing.width)
    x = _within(canvas.width, rng.normal(0.5, 0.14), size * thing.width)
    middle = _within(canvas.height, rng.normal(0.5, 0.1), size)
    setting: tuple[Mention, ...]
    time = ""
    if thing in things.IN_SKY or thing in things.SHAPES or rng.random() < 0.5:
        if thing in things.IN_SKY:
            sky, time = _sky(canvas, rng, canvas.height)
            setting = (sky,)
            size *= 0.7 if thing is not things.CLOUD else 0.45
        else:
            paint = pick(rng)
            canvas.gradient(0, canvas.height, paint.rgb, shade(paint.rgb, 0.94), 20, 20)
            setting = (Mention("background", paint.words),)
    else:
        horizon = canvas.height * rng.uniform(0.2, 0.8)
        sky, time = _sky(canvas, rng, horizon + 1)
        floor = _water if thing in things.ON_WATER else _land
        setting = (floor(canvas, rng, horizon, time), sky)
    canvas.thing, canvas.depth = MAIN, 200
    main = _place(canvas, rng, thing, x, middle + size / 2, size, 0.2)
    return Scene((main,), setting, time)


def _apart(canvas: Canvas, rng: np.random.Generator, kinds: Sequence[Thing]) -> Scene:
    """One or two of ``kinds`` on one colour. The left one is mostly said first: where the order told
    nothing, a pair without places got the mean of both colours twice."""
    unit = min(canvas.width, canvas.height)
    paint = pick(rng)
    canvas.gradient(0, canvas.height, paint.rgb, shade(paint.rgb, 0.94), 20, 20)
    count = int(rng.choice([1, 2], p=[0.6, 0.4]))
    centres = [rng.uniform(0.2, 0.8)] if count == 1 else [0.25, 0.75]
    first = count - 1 if rng.random() < 0.15 else 0
    said: list[Mention] = []
    for order, centre in enumerate(centres):
        canvas.thing, canvas.depth = MAIN if order == first else OTHER, 200
        thing = kinds[int(rng.integers(len(kinds)))]
        size = unit * (rng.uniform(0.45, 0.9) if count == 1 else rng.uniform(0.28, 0.46))
        size = min(size, 0.92 * canvas.width / count / thing.width)
        x = _within(canvas.width, centre, size * thing.width)
        y = _within(canvas.height, rng.uniform(0.4, 0.6), size) + size / 2
        said.append(_place(canvas, rng, thing, x, y, size))
    if first:
        said.reverse()
    return Scene(tuple(said), (Mention("background", paint.words),))


def shapes(canvas: Canvas, rng: np.random.Generator) -> Scene:
    """One or two plain shapes on one colour."""
    return _apart(canvas, rng, things.SHAPES)


def specimens(canvas: Canvas, rng: np.random.Generator) -> Scene:
    """One or two things of any kind on one colour."""
    return _apart(canvas, rng, things.ALL)


def still_life(canvas: Canvas, rng: np.random.Generator) -> Scene:
    """One to three things on a table before a wall."""
    unit = min(canvas.width, canvas.height)
    edge = canvas.height * rng.uniform(0.4, 0.65)
    wall, table = pick(rng), pick(rng)
    canvas.gradient(0, edge + 1, shade(wall.rgb, 1.05), shade(wall.rgb, 0.95), 10, 10)
    canvas.gradient(edge, canvas.height, shade(table.rgb, 1.05), shade(table.rgb, 0.9), 90, 230)
    count = int(rng.choice([1, 2, 3], p=[0.4, 0.4, 0.2]))
    spots = np.linspace(0.22, 0.78, count) if count > 1 else rng.uniform(0.3, 0.7, 1)
    said: list[Mention] = []
    for order, spot in enumerate(rng.permutation(spots)):
        canvas.thing, canvas.depth = OTHER if order else MAIN, 180
        thing = things.ON_TABLE[int(rng.integers(len(things.ON_TABLE)))]
        size = unit * (rng.uniform(0.5, 0.8) if count == 1 else rng.uniform(0.32, 0.45))
        foot = edge + (canvas.height - edge) * rng.uniform(0.3, 0.75)
        x, s = canvas.width * float(spot), float(size)
        shadow = mix(table.rgb, (20, 20, 30), 0.35)
        canvas.ellipse(x + s * 0.12, foot, s * 0.42, s * 0.07, shadow)
        said.append(_place(canvas, rng, thing, x, max(float(foot), s), s))
    return Scene(tuple(said), (Mention("table", table.words), Mention("wall", wall.words)))


def expanse(canvas: Canvas, rng: np.random.Generator) -> Scene:
    """Nothing but sky, land, water or one colour: what fills a selection of background."""
    kind = int(rng.integers(4))
    if kind == 0:
        sky, time = _sky(canvas, rng, canvas.height)
        return Scene((), (sky,), time)
    if kind == 3:
        paint = pick(rng)
        canvas.gradient(0, canvas.height, paint.rgb, shade(paint.rgb, 0.94), 20, 20)
        return Scene((), (Mention("background", paint.words),))
    return Scene((), ((_land if kind == 1 else _water)(canvas, rng, 0, ""),))


def group(canvas: Canvas, rng: np.random.Generator) -> Scene:
    """One to three of the same thing in the same colour, side by side, before one plain colour."""
    unit = min(canvas.width, canvas.height)
    ground = pick(rng)
    canvas.gradient(0, canvas.height, ground.rgb, shade(ground.rgb, 0.94), 20, 20)
    kinds = [thing for thing in things.ALL if thing.plural]
    thing = kinds[int(rng.integers(len(kinds)))]
    paint = pick(rng)
    count = int(rng.integers(1, 4))
    room = canvas.width / count
    size = min(unit * 0.8, room / thing.width) * rng.uniform(0.7, 0.9)
    foot = canvas.height * rng.uniform(0.42, 0.58) + size / 2
    for place in range(count):
        canvas.thing, canvas.depth = MAIN if place == 0 else OTHER, 200
        x = room * (place + 0.5 + rng.uniform(-0.04, 0.04))
        frame = Frame(canvas, float(x), float(foot + size * rng.uniform(-0.08, 0.08)), float(size))
        thing.draw(frame, paint.rgb, rng)
    noun = thing.plural if count > 1 else thing.noun
    said = Mention(noun, paint.words if rng.random() < 0.85 else "", count=count)
    return Scene((said,), (Mention("background", ground.words),))


Kinds = tuple[tuple[Callable[[Canvas, np.random.Generator], Scene], float], ...]
"""Kinds of scene, each with its share."""

KINDS: Kinds = (
    (landscape, 0.26),
    (portrait, 0.36),
    (still_life, 0.1),
    (shapes, 0.1),
    (group, 0.1),
    (expanse, 0.08),
)
OUTLINES: Kinds = ((shapes, 0.8), (group, 0.2))
"""The lesson in which nothing but the word for a shape tells one picture from another."""
THINGS: Kinds = ((specimens, 0.8), (group, 0.2))
"""The same for every thing that can be painted."""


def overpainted(canvas: Canvas, rng: np.random.Generator) -> Scene:
    """Any of those, and over it one thing more, which alone is told: what a selection anywhere in a
    picture shows once something new was asked for in it."""
    beneath, _ = KINDS[int(rng.choice(len(KINDS), p=[share for _, share in KINDS]))]
    beneath(canvas, rng)
    canvas.forget_things()
    canvas.thing, canvas.depth = MAIN, 235
    thing = things.ALL[int(rng.integers(len(things.ALL)))]
    size = min(canvas.width, canvas.height) * rng.uniform(0.3, 0.65) / max(1.0, thing.width)
    x = _within(canvas.width, rng.uniform(), size * thing.width)
    y = _within(canvas.height, rng.uniform(), size) + size / 2
    return Scene((_place(canvas, rng, thing, x, y, size, 0.1),), ())


OVERPAINTED: Kinds = ((overpainted, 1.0),)
"""The lesson for selections. A whole picture of this kind is nothing that anybody asks for."""

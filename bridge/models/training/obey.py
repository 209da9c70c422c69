"""Does the picture show what the prompt says? Every prompt and seed is held out."""

from __future__ import annotations

import numpy as np

from bridge.models.training import judge, outlines, recogniser
from bridge.models.training.colours import NAMED
from bridge.models.training.dataset import HELD_OUT
from bridge.models.training.networks import Net
from bridge.models.training.results import Rate, rate
from bridge.models.training.sampler import Image, Sampling, generated

SHAPES = ("circle", "square", "triangle", "star")
THINGS = ("boat", "house", "tree", "flower", "apple", "bowl", "bottle", "vase", "star")
BACKDROPS = ("grey", "black", "pink", "purple")
"""Colours that no stem, trunk, leaf or sail has: they would vanish before it."""


def named(colour: str, noun: str) -> str:
    return f"{'an' if colour[0] in 'aeiou' else 'a'} {colour} {noun}"


def colour_on_backdrop(rng: np.random.Generator) -> tuple[str, str]:
    """A named colour, and another one of ``BACKDROPS`` to stand before."""
    backdrop = str(rng.choice(BACKDROPS))
    return str(rng.choice([name for name in NAMED if name != backdrop])), backdrop


def _two_colours(rng: np.random.Generator) -> tuple[str, str]:
    first, second = rng.choice(list(NAMED), 2, replace=False)
    return str(first), str(second)


def shapes(pipe: Net, count: int, how: Sampling) -> list[Rate]:
    """ "a red star on a blue background": colour of the thing, of the background, and the shape."""
    rng = np.random.default_rng(HELD_OUT)
    asked = [(*_two_colours(rng), str(rng.choice(SHAPES))) for _ in range(count)]
    prompts = [f"{named(c, shape)} on {named(b, 'background')}" for c, b, shape in asked]
    thing, ground, form, overlap = [], [], [], []
    for (c, b, shape), image in zip(asked, generated(pipe, prompts, how), strict=True):
        thing.append(judge.object_colour(image) == c)
        ground.append(judge.background_colour(image) == b)
        form.append(recogniser.shipped().thing_of(image) == shape)
        overlap.append(judge.shape_of(image) == shape)
    at = f", {how.width} px"
    return [
        rate("shape on a background: colour of the shape" + at, thing),
        rate("shape on a background: colour of the background" + at, ground),
        rate("shape on a background: circle, square, triangle or star as asked" + at, form),
        rate("shape on a background: the same by overlap, strict" + at, overlap),
    ]


def things(pipe: Net, count: int, how: Sampling) -> list[Rate]:
    """ "a red boat on a grey background": its colour, and which of fourteen things it is."""
    rng = np.random.default_rng(HELD_OUT + 1)
    asked = []
    for i in range(count):
        colour, backdrop = colour_on_backdrop(rng)
        asked.append((colour, THINGS[i % len(THINGS)], backdrop))
    prompts = [f"{named(c, thing)} on {named(b, 'background')}" for c, thing, b in asked]
    coloured, told, overlap = [], [], []
    for (c, thing, _), image in zip(asked, generated(pipe, prompts, how), strict=True):
        coloured.append(judge.share(image, c, judge.foreground(image)) >= 0.25)
        told.append(recogniser.shipped().thing_of(image) == thing)
        overlap.append(outlines.thing_of(image) == thing)
    return [
        rate("thing on a background: a quarter of it or more has its colour", coloured),
        rate("thing on a background: the thing asked for, among 14", told),
        rate("thing on a background: the same by overlap, strict", overlap),
    ]


def pairs(pipe: Net, count: int, how: Sampling) -> list[Rate]:
    """ "a red circle and a blue square on a white background": in half of the prompts with sides."""
    rng = np.random.default_rng(HELD_OUT + 4)
    asked, prompts = [], []
    for i in range(count):
        backdrop = str(rng.choice(BACKDROPS))
        others = [name for name in NAMED if name != backdrop]
        colours = [str(c) for c in rng.choice(others, 2, replace=False)]
        nouns = [str(n) for n in rng.choice(SHAPES, 2, replace=False)]
        sided = i % 2 == 0
        places = (" on the left", " on the right") if sided else ("", "")
        one, other = (
            f"{named(c, n)}{place}" for c, n, place in zip(colours, nouns, places, strict=True)
        )
        prompts.append(f"{one} and {other} on {named(backdrop, 'background')}")
        asked.append((colours, nouns, sided))
    both, bound, sides = [], [], []
    for (colours, nouns, sided), image in zip(asked, generated(pipe, prompts, how), strict=True):
        seen = _halves(image)
        both.append({colour for colour, _ in seen} == set(colours))
        bound.append(set(seen) == set(zip(colours, nouns, strict=True)))
        if sided:
            sides.append([colour for colour, _ in seen] == colours)
    return [
        rate("two things: both colours, one on each side of the picture", both),
        rate("two things: each its own colour and shape", bound),
        rate("two things: left and right as asked", sides),
    ]


def _halves(image: Image) -> list[tuple[str | None, str | None]]:
    """Colour and shape of what stands in the left and in the right half."""
    mask = judge.foreground(image)
    middle = image.shape[1] // 2
    seen: list[tuple[str | None, str | None]] = []
    for half in (slice(0, middle), slice(middle, None)):
        part = np.zeros_like(mask)
        part[:, half] = mask[:, half]
        if part.mean() < 0.01:
            seen.append((None, None))
            continue
        seen.append((judge.majority(image, part), recogniser.shipped().thing_of(image, part)))
    return seen


def sides(pipe: Net, count: int, how: Sampling) -> list[Rate]:
    """ "a red boat on the left on a white background": the middle of its pixels is left of centre."""
    rng = np.random.default_rng(HELD_OUT + 5)
    asked, prompts = [], []
    for i in range(count):
        colour, backdrop = colour_on_backdrop(rng)
        side = ("left", "right")[i % 2]
        thing = named(colour, str(rng.choice(THINGS)))
        prompts.append(f"{thing} on the {side} on {named(backdrop, 'background')}")
        asked.append(side)
    hits = []
    for side, image in zip(asked, generated(pipe, prompts, how), strict=True):
        columns = np.flatnonzero(judge.without_specks(judge.foreground(image))) % image.shape[1]
        left = len(columns) > 0 and columns.mean() < image.shape[1] / 2
        hits.append(len(columns) > 0 and left == (side == "left"))
    return [rate("one thing: left or right as asked", hits)]


def scenes(pipe: Net, count: int, how: Sampling) -> list[Rate]:
    """ "a pink sky over brown ground": commonest colour of the top and of the bottom sixth."""
    rng = np.random.default_rng(HELD_OUT + 2)
    asked = [_two_colours(rng) for _ in range(count)]
    prompts = [f"{ground} ground under {named(sky, 'sky')}" for sky, ground in asked]
    hits = []
    for (sky, ground), image in zip(asked, generated(pipe, prompts, how), strict=True):
        strip = len(image) // 6
        hits.append(
            judge.share(image[:strip], sky) > 0.5 and judge.share(image[-strip:], ground) > 0.5
        )
    return [rate("sky and ground: both colours", hits)]

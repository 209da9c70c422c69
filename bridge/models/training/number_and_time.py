"""Does the picture show as many things as asked for, and the time of day? Prompts and seeds are held out."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from bridge.models.training import judge
from bridge.models.training.captions import NUMBERS
from bridge.models.training.dataset import HELD_OUT
from bridge.models.training.networks import Net
from bridge.models.training.obey import colour_on_backdrop, named
from bridge.models.training.results import Rate, rate
from bridge.models.training.sampler import Image, Sampling, generated
from bridge.models.training.scenes import SKIES

COUNTED = ("circles", "squares", "triangles", "stars", "apples", "flowers", "houses", "bottles")
TIMES = tuple(time for time in SKIES if time)
LANDS = ("grass", "sand", "snow")

_SPECK = 0.25
"""What is smaller than this share of the largest is a leaf or a blot, and no thing of its own."""


def how_many(image: NDArray[np.uint8]) -> int:
    """Things before the plain background of a picture (H x W x 3 uint8 sRGB) that do not touch."""
    mask = judge.foreground(image)
    if mask.mean() < 0.01:
        return 0
    solid = judge.without_specks(mask).astype(np.uint8)
    _, _, facts, _ = cv2.connectedComponentsWithStats(solid)
    areas = facts[1:, cv2.CC_STAT_AREA]
    return int((areas >= _SPECK * areas.max()).sum())


def time_of(image: NDArray[np.uint8]) -> str:
    """The one of ``TIMES`` whose sky the upper eighth is most like (H x W x 3 uint8 sRGB)."""
    top = judge.to_lab(image[: len(image) // 8])
    seen = np.median(top.reshape(-1, 3), axis=0)
    skies = judge.to_lab(np.array([SKIES[time][0] for time in TIMES], dtype=np.uint8))
    return TIMES[int(np.square(skies - seen).sum(-1).argmin())]


def counts(pipe: Net, count: int, how: Sampling) -> list[Rate]:
    """ "two red apples on a grey background": one, two and three in turn."""
    rng = np.random.default_rng(HELD_OUT + 6)
    asked, prompts = [], []
    for i in range(count):
        colour, backdrop = colour_on_backdrop(rng)
        things = str(rng.choice(COUNTED))
        number = i % 3 + 1
        said = f"{NUMBERS[number]} {colour} {things}" if number > 1 else named(colour, things[:-1])
        prompts.append(f"{said} on {named(backdrop, 'background')}")
        asked.append(number)
    images: list[Image] = list(generated(pipe, prompts, how))
    hits = [how_many(image) == n for image, n in zip(images, asked, strict=True)]
    return [rate("one, two or three things as asked", hits)]


def times(pipe: Net, count: int, how: Sampling) -> list[Rate]:
    """ "grass under a sky at sunset": the sky is that of the time asked for."""
    asked = [TIMES[i % len(TIMES)] for i in range(count)]
    prompts = [f"{LANDS[i % len(LANDS)]} under a sky {time}" for i, time in enumerate(asked)]
    images: list[Image] = list(generated(pipe, prompts, how))
    hits = [time_of(image) == time for image, time in zip(images, asked, strict=True)]
    return [rate("morning, noon, sunset or night as asked", hits)]

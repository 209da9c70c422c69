"""A small evaluation: does the model do what the prompt says? Every picture has a held-out seed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from tqdm import tqdm

from bridge.models.training import judge
from bridge.models.training.colours import NAMED
from bridge.models.training.dataset import HELD_OUT, to_tensor
from bridge.models.training.networks import Net
from bridge.models.training.painter import paint
from bridge.models.training.sampler import Sampling, generate, load, to_images

BATCH = 8
SHAPES = ("circle", "square", "triangle", "star")
THINGS = ("boat", "house", "tree", "flower", "apple", "bottle", "cup", "vase", "circle", "star")


@dataclass(frozen=True)
class Rate:
    """``hits`` of ``of`` samples passed; ``low`` and ``high``: Wilson's 95 % interval."""

    name: str
    hits: int
    of: int
    low: float
    high: float


@dataclass(frozen=True)
class Figure:
    name: str
    value: float
    unit: str


@dataclass(frozen=True)
class Results:
    rates: tuple[Rate, ...]
    figures: tuple[Figure, ...]


def _rate(name: str, hits: list[bool]) -> Rate:
    low, high = judge.interval(sum(hits), len(hits))
    return Rate(name, sum(hits), len(hits), round(low, 3), round(high, 3))


def _generated(pipe: Net, prompts: list[str], how: Sampling) -> Iterator[NDArray[np.uint8]]:
    for i in tqdm(range(0, len(prompts), BATCH), leave=False):
        some = prompts[i : i + BATCH]
        yield from generate(pipe, some, [HELD_OUT + i + k for k in range(len(some))], how)


def shapes(pipe: Net, count: int, how: Sampling) -> list[Rate]:
    """ "a red star on a blue background": colour of the thing, of the background, and the shape."""
    rng = np.random.default_rng(HELD_OUT)
    asked = [
        (str(a), str(rng.choice(SHAPES)), str(b))
        for a, b in (rng.choice(list(NAMED), 2, replace=False) for _ in range(count))
    ]
    prompts = [f"a {c} {shape} on a {b} background" for c, shape, b in asked]
    thing, ground, form = [], [], []
    for (c, shape, b), image in zip(asked, _generated(pipe, prompts, how), strict=True):
        thing.append(judge.object_colour(image) == c)
        ground.append(judge.background_colour(image) == b)
        form.append(judge.shape_of(image) == shape)
    at = f", {how.width} px"
    return [
        _rate("shape on a background: colour of the shape" + at, thing),
        _rate("shape on a background: colour of the background" + at, ground),
        _rate("shape on a background: circle, square, triangle or star as asked" + at, form),
    ]


def things(pipe: Net, count: int, how: Sampling) -> list[Rate]:
    """ "a red boat" and nothing else said: at least 6 % of the picture is red.

    The second rate measures another colour in the same pictures: what chance would give.
    """
    rng = np.random.default_rng(HELD_OUT + 1)
    asked = [
        (str(c), str(other), str(rng.choice(THINGS)))
        for c, other in (rng.choice(list(NAMED), 2, replace=False) for _ in range(count))
    ]
    prompts = [f"{'an' if c[0] in 'aeiou' else 'a'} {c} {thing}" for c, _, thing in asked]
    hits, chance = [], []
    for (c, other, _), image in zip(asked, _generated(pipe, prompts, how), strict=True):
        hits.append(judge.share(image, c) >= 0.06)
        chance.append(judge.share(image, other) >= 0.06)
    return [
        _rate("thing alone in the prompt: its colour is there", hits),
        _rate("the same for a colour not asked for (chance)", chance),
    ]


def scenes(pipe: Net, count: int, how: Sampling) -> list[Rate]:
    """ "a pink sky over brown ground": commonest colour of the top and of the bottom sixth."""
    rng = np.random.default_rng(HELD_OUT + 2)
    pairs = [rng.choice(list(NAMED), 2, replace=False) for _ in range(count)]
    prompts = [f"{ground} ground under a {sky} sky" for sky, ground in pairs]
    hits = []
    for (sky, ground), image in zip(pairs, _generated(pipe, prompts, how), strict=True):
        strip = len(image) // 6
        hits.append(
            judge.share(image[:strip], str(sky)) > 0.5
            and judge.share(image[-strip:], str(ground)) > 0.5
        )
    return [_rate("sky and ground: both colours", hits)]


def inpainting(pipe: Net, count: int, how: Sampling) -> list[Rate]:
    """A selection of half the sides in a held-out painting; "a red boat" makes >= 10 % of it red.

    Only paintings where less than 1 % of the selection had that colour.
    """
    rng = np.random.default_rng(HELD_OUT + 3)
    mask = np.zeros((how.height, how.width), dtype=bool)
    mask[how.height // 4 : -how.height // 4, how.width // 4 : -how.width // 4] = True
    starts: list[NDArray[np.uint8]] = []
    asked: list[tuple[str, str]] = []
    seed = HELD_OUT
    while len(starts) < count:
        seed += 1
        image, colour = paint(seed, how.width, how.height).image, str(rng.choice(list(NAMED)))
        if judge.share(image, colour, mask) < 0.01:
            starts.append(image)
            asked.append((colour, str(rng.choice(THINGS))))
    hits = []
    for i in tqdm(range(0, count, BATCH), leave=False):
        some = asked[i : i + BATCH]
        images = generate(
            pipe,
            [f"{'an' if c[0] in 'aeiou' else 'a'} {c} {thing}" for c, thing in some],
            [HELD_OUT + i + k for k in range(len(some))],
            how,
            np.stack(starts[i : i + BATCH]),
            np.stack([mask] * len(some)),
        )
        hits += [judge.share(im, c, mask) >= 0.1 for im, (c, _) in zip(images, some, strict=True)]
    return [_rate(f"inpainting: colour of the asked thing in the selection, {how.width} px", hits)]


def strengths(pipe: Net, count: int, how: Sampling) -> list[Rate]:
    """Image to image: the mean change grows from strength 0.25 to 0.5 to 0.75 to 1."""
    starts = np.stack(
        [paint(HELD_OUT + 7000 + i, how.width, how.height).image for i in range(count)]
    )
    prompts = ["a red house on green grass under a blue sky"] * count
    seeds = [HELD_OUT + i for i in range(count)]
    changes = []
    for strength in (0.25, 0.5, 0.75, 1.0):
        images = generate(pipe, prompts, seeds, how, starts, strength=strength)
        changes.append(np.abs(images.astype(float) - starts).mean((1, 2, 3)))
    rising = np.all(np.diff(np.stack(changes), axis=0) > 0, axis=0).tolist()
    return [_rate("image to image: change grows with strength", list(rising))]


@torch.inference_mode()
def round_trip(pipe: Net, count: int) -> Figure:
    """PSNR over held-out paintings of 128 px, from the mean squared error of all of them."""
    images = np.stack([paint(HELD_OUT + 9000 + i, 128, 128).image for i in range(count)])
    decoded = to_images(pipe.vae.decode(pipe.vae.encode(to_tensor(images)).latents).sample)
    error = np.square(decoded.astype(float) - images).mean()
    return Figure("VAE round trip", round(float(10 * np.log10(255**2 / error)), 2), "dB PSNR")


SAMPLES = (
    "a red boat on blue water",
    "a yellow house on green grass under a blue sky",
    "mountains at sunset",
    "a purple flower",
    "a green tree on snow",
    "an orange star on a black background",
    "a pink vase and a green apple on a brown table",
    "a white boat at night",
)


def contact_sheet(pipe: Net, path: Path, prompts: tuple[str, ...]) -> None:
    """Two rows at 128 px, a column for each prompt, and one at 192 of the first five."""
    rows = [
        generate(pipe, list(prompts), [HELD_OUT + s] * len(prompts), Sampling()) for s in (1, 2)
    ]
    large = generate(pipe, list(prompts[:5]), [HELD_OUT] * 5, Sampling(width=192, height=192))
    sheet = Image.new("RGB", (len(prompts) * 130 - 2, 2 * 130 + 192), (255, 255, 255))
    for y, row in enumerate(rows):
        for x, image in enumerate(row):
            sheet.paste(Image.fromarray(image), (x * 130, y * 130))
    for x, image in enumerate(large):
        sheet.paste(Image.fromarray(image), (x * 208, 260))
    sheet.quantize(256).save(path, optimize=True)


def evaluate(folder: Path, count: int) -> Results:
    """Measures the model in ``folder`` with ``count`` samples a rate; writes evaluation.json and
    samples.png beside the weights."""
    pipe = load(folder)
    native, large = Sampling(), Sampling(width=192, height=192)
    rates = [
        *shapes(pipe, count, native),
        *things(pipe, count, native),
        *scenes(pipe, count, native),
        *inpainting(pipe, count, native),
        *strengths(pipe, min(count, 16), native),
    ]
    rates += [
        *shapes(pipe, max(8, count // 4), large),
        *inpainting(pipe, max(8, count // 4), large),
    ]
    results = Results(tuple(rates), (round_trip(pipe, 64),))
    (folder / "evaluation.json").write_text(json.dumps(asdict(results), indent=2) + "\n")
    contact_sheet(pipe, folder / "samples.png", SAMPLES)
    return results

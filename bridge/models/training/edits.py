"""What the model does to a picture that is there: inpainting, its seams, image to image."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from bridge.engine.pipeline import Engine
from bridge.engine.types import Job, Painting, Snapshot
from bridge.models.training import judge, recogniser
from bridge.models.training.colours import NAMED
from bridge.models.training.dataset import HELD_OUT
from bridge.models.training.networks import Net
from bridge.models.training.number_and_time import how_many
from bridge.models.training.obey import THINGS, colour_on_backdrop, named
from bridge.models.training.painter import Painting as Painted
from bridge.models.training.painter import paint
from bridge.models.training.results import Figure, Rate, figure, rate
from bridge.models.training.sampler import Sampling, generated
from bridge.presets import DEFAULT_PRESET, ModelFolder, load_presets
from krita_plugin.krita_bridge.wire.geometry import Bounds, Extent
from krita_plugin.krita_bridge.wire.messages import PaintRequest

_RING = 8
"""Pixels on each side of a border that its shift is taken from."""

_LARGER = (Extent(256, 128), Extent(128, 256), Extent(384, 384), Extent(512, 320), Extent(512, 512))


def _asked(count: int, mask: NDArray[np.bool_]) -> list[tuple[Painted, str, str]]:
    """Held-out paintings, and a coloured thing to paint into each where there is less than 1 % of
    that colour in the selection."""
    rng = np.random.default_rng(HELD_OUT + 3)
    height, width = mask.shape
    found: list[tuple[Painted, str, str]] = []
    seed = HELD_OUT
    while len(found) < count:
        seed += 1
        painting, colour = paint(seed, width, height), str(rng.choice(list(NAMED)))
        if judge.share(painting.image, colour, mask) < 0.01:
            found.append((painting, colour, str(rng.choice(THINGS))))
    return found


def inpainting(pipe: Net, count: int, how: Sampling) -> list[Rate]:
    """A selection of half the sides in a held-out painting; "a red boat" makes >= 10 % of it red, and the
    judge of things, who sees nothing but the selection, calls it a boat."""
    mask = np.zeros((how.height, how.width), dtype=bool)
    inside = (slice(how.height // 4, -how.height // 4), slice(how.width // 4, -how.width // 4))
    mask[inside] = True
    asked = _asked(count, mask)
    prompts = [named(colour, thing) for _, colour, thing in asked]
    starts = [painting.image for painting, _, _ in asked]
    images = list(generated(pipe, prompts, how, starts, mask))
    names = recogniser.shipped().names([image[inside] for image in images])
    coloured: list[bool] = []
    told: list[bool] = []
    for image, name, (_, colour, thing) in zip(images, names, asked, strict=True):
        coloured.append(judge.share(image, colour, mask) >= 0.1)
        told.append(coloured[-1] and name == thing)
    at = f"in the selection, {how.width} px"
    return [
        rate(f"inpainting: colour of the asked thing {at}", coloured),
        rate(f"inpainting: colour and thing as asked {at}", told),
    ]


def bridge_engine(folder: Path) -> Engine:
    """The bridge's own engine with the model in ``folder`` in the embedded one's place."""
    preset = replace(load_presets()[DEFAULT_PRESET], model=ModelFolder(folder))
    return Engine({DEFAULT_PRESET: preset}, device="cpu")


def painted(engine: Engine, request: PaintRequest, snapshot: Snapshot) -> Painting:
    return engine.paint(
        Job(request, snapshot, previews=False),
        on_step=lambda _: None,
        is_cancelled=lambda: False,
    )


def seams(folder: Path, count: int) -> list[Figure]:
    """How much lighter or darker the picture gets just inside a selection's border.

    Of the 8 px inside, the mean change that the composited result brought (each channel apart, then
    their mean size), through the bridge's own engine: the 8 px outside never change. Once with a
    new thing asked for, which may itself lie at the border, and once with the painting's own words.
    """
    side, radius = 256, 72
    y, x = np.mgrid[0:side, 0:side]
    distance = np.hypot(x - side / 2, y - side / 2)
    mask = distance <= radius
    ring = mask & (distance > radius - _RING)
    engine = bridge_engine(folder)
    bounds = Bounds(0, 0, side, side)
    selected = (mask * 255).astype(np.uint8)
    new: list[float] = []
    same: list[float] = []
    for i, (painting, colour, thing) in enumerate(tqdm(_asked(count, mask), leave=False)):
        opaque = np.dstack([painting.image, np.full(mask.shape, 255, np.uint8)])
        snapshot = Snapshot(Extent(side, side), bounds, opaque, selected)
        for prompt, shifts in ((named(colour, thing), new), (painting.captions[0], same)):
            layer = painted(engine, PaintRequest(prompt, seed=HELD_OUT + i), snapshot)
            whole = np.zeros((side, side, 4), np.uint8)
            at = layer.bounds
            whole[at.y : at.bottom, at.x : at.right] = layer.image
            change = whole[ring][:, :3].astype(float) - painting.image[ring]
            shifts.append(float(np.abs(change.mean(0)).mean()))
    name = "inpainting: shift of the 8 px inside the border, median"
    return [
        figure(f"{name}, {what}", shifts, "levels of 255", lambda values: float(np.median(values)))
        for what, shifts in (("a new thing asked for", new), ("the same asked for", same))
    ]


def sizes(folder: Path, count: int) -> list[Rate]:
    """One thing of one colour stays one where the picture is larger than the native size or long."""
    rng = np.random.default_rng(HELD_OUT + 7)
    engine = bridge_engine(folder)
    hits = []
    for i in tqdm(range(count), leave=False):
        extent = _LARGER[i % len(_LARGER)]
        colour, backdrop = colour_on_backdrop(rng)
        thing = str(rng.choice(THINGS))
        prompt = f"{named(colour, thing)} on {named(backdrop, 'background')}"
        snapshot = Snapshot(extent, Bounds(0, 0, extent.width, extent.height))
        image = painted(engine, PaintRequest(prompt, seed=HELD_OUT + i), snapshot).image
        hits.append(how_many(image[..., :3]) == 1)
    return [rate("one thing stays one at 256 x 128 to 512 x 512 px", hits)]


def strengths(pipe: Net, count: int, how: Sampling) -> list[Rate]:
    """Image to image: the mean change grows from strength 0.25 to 0.5 to 0.75 to 1."""
    starts = [paint(HELD_OUT + 7000 + i, how.width, how.height).image for i in range(count)]
    prompts = ["a red house on green grass under a blue sky"] * count
    changes = []
    for strength in (0.25, 0.5, 0.75, 1.0):
        images = generated(pipe, prompts, how, starts, strength=strength)
        pairs = zip(images, starts, strict=True)
        changes.append([np.abs(image.astype(float) - start).mean() for image, start in pairs])
    rising = np.all(np.diff(np.stack(changes), axis=0) > 0, axis=0).tolist()
    return [rate("image to image: change grows with strength", list(rising))]

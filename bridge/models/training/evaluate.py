"""The evaluation: does the model do what it is asked? Every picture has a held-out seed."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from bridge.models.training import (
    edits,
    fidelity,
    hearing,
    number_and_time,
    obey,
    recogniser,
    redrawing,
    variants,
)
from bridge.models.training.calibration import calibration
from bridge.models.training.dataset import HELD_OUT
from bridge.models.training.networks import Net
from bridge.models.training.painter import paint
from bridge.models.training.results import Results
from bridge.models.training.sampler import Sampling, generate, load

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


FILLINGS = ("a red boat", "a yellow house", "a blue flower", "a red apple")
"""Asked of a hole in a held-out painting each."""


def contact_sheet(pipe: Net, path: Path) -> None:
    """Two rows at 128 px, a column for each of ``SAMPLES``, one at 192 of the first five, and one of
    paintings with a hole and filled."""
    prompts = SAMPLES
    rows = [
        generate(pipe, list(prompts), [HELD_OUT + s] * len(prompts), Sampling()) for s in (1, 2)
    ]
    large = generate(pipe, list(prompts[:5]), [HELD_OUT] * 5, Sampling(width=192, height=192))
    sheet = Image.new("RGB", (len(prompts) * 130 - 2, 2 * 130 + 194 + 128), (255, 255, 255))
    for y, row in ((0, rows[0]), (130, rows[1]), (454, filled(pipe))):
        for x, image in enumerate(row):
            sheet.paste(Image.fromarray(image), (x * 130, y))
    for x, image in enumerate(large):
        sheet.paste(Image.fromarray(image), (x * 208, 260))
    sheet.quantize(256).save(path, optimize=True)


def filled(pipe: Net) -> NDArray[np.uint8]:
    """For each of ``FILLINGS`` a painting with a grey hole and with what was painted there: 2 n x 128
    x 128 x 3 uint8. Outside the hole nothing is changed, as the bridge does it."""
    starts = np.stack([paint(HELD_OUT + 300 + n, 128, 128).image for n in range(len(FILLINGS))])
    y, x = np.mgrid[:128, :128]
    masks = np.stack([np.hypot(x - 64, y - 72) < 36] * len(FILLINGS))
    seeds = [HELD_OUT + n for n in range(len(FILLINGS))]
    painted = generate(pipe, list(FILLINGS), seeds, Sampling(), starts, masks)
    both = [np.where(masks[..., None], inside, starts) for inside in (np.uint8(128), painted)]
    return np.stack(both, axis=1).reshape(-1, 128, 128, 3)


def evaluate(folder: Path, count: int) -> Results:
    """Measures the model in ``folder`` with ``count`` samples a rate; writes evaluation.json and
    samples.png beside the weights. Parts that are not there are not measured."""
    pipe = load(folder)
    native, large = Sampling(), Sampling(width=192, height=192)
    few = max(1, count // 4)
    rates = [
        *obey.shapes(pipe, count, native),
        *obey.things(pipe, count, native),
        *obey.pairs(pipe, count, native),
        *obey.sides(pipe, count, native),
        *obey.scenes(pipe, count, native),
        *number_and_time.counts(pipe, count, native),
        *number_and_time.times(pipe, count, native),
        *edits.inpainting(pipe, count, native),
        *edits.strengths(pipe, min(count, 16), native),
        *redrawing.redrawing(pipe, redrawing.paintings(count), native),
        *obey.shapes(pipe, few, large),
        *edits.inpainting(pipe, few, large),
        *edits.sizes(folder, count),
        *calibration(recogniser.shipped(), count),
    ]
    figures = [
        *hearing.hearing(pipe, 3 * count),
        *edits.seams(folder, min(count, 16)),
        *fidelity.round_trip(pipe.vae, 64),
    ]
    if (folder / "preview_decoder").is_dir():
        figures += fidelity.preview(pipe.vae, folder, 32)
    if (folder / "depth_estimator").is_dir():
        figures += fidelity.depth_estimator(folder, 200)
    if (folder / "controlnet_depth").is_dir():
        figures += variants.depth_control(pipe, folder, min(count, 16), native)
    if (folder / "loras" / variants.FEW_STEPS).exists():
        rates += variants.few_steps(folder, count)
    if (folder / "loras" / "woodcut.safetensors").exists():
        figures += variants.woodcut_tones(folder, min(count, 16))
    if (folder / "embeddings" / "sunset-glow.safetensors").exists():
        figures += variants.word_warmth(folder, min(count, 16))
    results = Results(tuple(rates), tuple(figures))
    (folder / "evaluation.json").write_text(json.dumps(asdict(results), indent=2) + "\n")
    contact_sheet(pipe, folder / "samples.png")
    return results

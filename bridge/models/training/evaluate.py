"""The evaluation: does the model do what it is asked? Every picture has a held-out seed."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

from PIL import Image

from bridge.models.training import edits, fidelity, hearing, number_and_time, obey, variants
from bridge.models.training.dataset import HELD_OUT
from bridge.models.training.networks import Net
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
        *obey.shapes(pipe, few, large),
        *edits.inpainting(pipe, few, large),
        *edits.sizes(folder, count),
    ]
    figures = [
        *hearing.hearing(pipe, 3 * count),
        *edits.seams(folder, min(count, 16)),
        *fidelity.round_trip(pipe.vae, 64),
    ]
    if (folder / "preview_decoder").is_dir():
        figures += fidelity.preview(pipe.vae, folder, 32)
    if (folder / "depth_estimator").is_dir():
        figures += fidelity.depth_estimator(folder, 64)
    if (folder / "controlnet_depth").is_dir():
        figures += variants.depth_control(pipe, folder, min(count, 16), native)
    if (folder / "loras" / "few_steps.safetensors").exists():
        rates += variants.few_steps(folder, count)
    results = Results(tuple(rates), tuple(figures))
    (folder / "evaluation.json").write_text(json.dumps(asdict(results), indent=2) + "\n")
    contact_sheet(pipe, folder / "samples.png", SAMPLES)
    return results

"""The model card: README.md beside the weights, generated from what was recorded and measured."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from bridge.models.training.colours import NAMED
from bridge.models.training.evaluate import FILLINGS, SAMPLES
from bridge.models.training.networks import NATIVE_SIDE
from bridge.models.training.sampler import Sampling

_TEXT = """\
# The embedded model

A small latent diffusion model in the Stable Diffusion 1.5 layout of diffusers, so that the bridge
works offline, on a CPU, in seconds, and so that its tests are tests of real generation. It is
loaded by the same code as any other checkpoint.

![samples]({pictures})

Not selected. Two rows at 128 px, one at 192 px: {prompts}. The last
row: held-out paintings with a hole, and what {fillings} became there.

- **Native size** {native} px; sides in multiples of 32 px; trained from 64 to 256 px.
- **Parts** {parts}. fp16 safetensors, {total:.1f} MB in all. The scheduler is `DDIMScheduler`
  (v-prediction, zero terminal SNR, trailing steps), the tokenizer a `CLIPTokenizer` with its own
  small vocabulary.
- **The UNet** takes what an inpainting model of Stable Diffusion takes: noisy latents, mask, and the
  latents of what is kept. With a mask over everything it makes whole pictures.
- **Latents** are colours: channels 0 to 2 are the mean red, green and blue of 8 x 8 pixels in -1..1
  times the scaling factor, channel 3 is how much detail the block holds.
- **Words it was trained on** sky, ground, grass, field, hill, sand, snow, water, lake, sea, mountains, clouds,
  sun, moon, boat, house, tree, flower, apple, pear, lemon, bowl, bottle, vase, cup, table, wall,
  background, circle, square, triangle, star; {colours}, light and dark; left, right; two, three; in the
  morning, at noon, at sunset, at night; watercolour, oil, line drawing. Any other text is accepted.
- **Good settings** {steps} steps, guidance {guidance:g}.

## How it was made

`{script}`. Data: {data}.

| part | images seen | optimiser steps | wall seconds | starts | data version | seed |
|---|---|---|---|---|---|---|
{runs}

The wall time is that of processes at low priority on a machine shared with others. Batches depend on how
often a training was stopped and started again, so a new run gives other weights of the same kind.

{notes}

## What was measured

Seeds and scenes were never trained on. The judges in `bridge/models/training/` know nothing of the model: `judge.py` measures colours in
the pixels, `recogniser.py` names things, having learned from the painter's drawings alone, and `outlines.py` does so by overlap and strictly.
How often the judges themselves err is among the rates. {steps} steps, guidance {guidance:g}.

| measure | passed | rate | 95 % interval |
|---|---|---|---|
{rates}

| measure | value | 95 % interval |
|---|---|---|
{figures}

Do not rely on rates below one half above, nor on what was not measured: media, words it was not
trained on.

## Files

| file | sha256 |
|---|---|
{files}
"""

_RUN = (
    "images_seen",
    "optimiser_steps",
    "wall_seconds",
    "starts",
    "data_version",
    "seed",
)


def _name(weights: Path) -> str:
    """The class that loads them, or what kind of file they are."""
    config = weights.parent / "config.json"
    if not config.exists():
        return f"`{weights.parent.name}/{weights.name}`"
    said: dict[str, Any] = json.loads(config.read_text())
    return f"`{said.get('_class_name') or said['architectures'][0]}` in `{weights.parent.name}`"


def _quoted(prompts: tuple[str, ...]) -> str:
    return ", ".join(f'"{prompt}"' for prompt in prompts)


def _row(*cells: object) -> str:
    return "| " + " | ".join(str(cell) for cell in cells) + " |"


def write_card(folder: Path) -> None:
    """Needs ``provenance.json`` (by export), ``evaluation.json`` and ``samples.png`` (by evaluate)."""
    made: dict[str, Any] = json.loads((folder / "provenance.json").read_text())
    measured: dict[str, Any] = json.loads((folder / "evaluation.json").read_text())
    sizes = {path: (folder / path).stat().st_size / 1e6 for path in made["sha256"]}
    text = _TEXT.format(
        pictures="samples.png",
        prompts=_quoted(SAMPLES),
        fillings=_quoted(FILLINGS),
        native=NATIVE_SIDE,
        parts=", ".join(f"{_name(folder / path)} ({size:.2f} MB)" for path, size in sizes.items()),
        total=sum(sizes.values()),
        colours=", ".join(NAMED),
        steps=Sampling().steps,
        guidance=Sampling().guidance,
        script=made["script"],
        data=made["data"],
        notes="\n\n".join(
            f"{name}: {run['note']}" for name, run in made["runs"].items() if run["note"]
        ),
        runs="\n".join(
            _row(name, *(run[key] for key in _RUN)) for name, run in made["runs"].items()
        ),
        rates="\n".join(
            _row(
                r["name"],
                f"{r['hits']} of {r['of']}",
                f"{100 * r['hits'] / r['of']:.0f} %",
                f"{100 * r['low']:.0f} to {100 * r['high']:.0f} %",
            )
            for r in measured["rates"]
        ),
        figures="\n".join(
            _row(f["name"], f"{f['value']} {f['unit']}", f"{f['low']} to {f['high']}")
            for f in measured["figures"]
        ),
        files="\n".join(_row(f"`{p}`", f"`{digest}`") for p, digest in made["sha256"].items()),
    )
    (folder / "README.md").write_text(text)

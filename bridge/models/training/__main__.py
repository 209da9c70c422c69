"""``python -m bridge.models.training``: the steps that make the embedded model.

``all`` does the whole; each step goes on from its last checkpoint, so it can be stopped any time.
``judge`` trains the judge of things anew, which ships and is no part of the model; ``soup`` gives a
denoiser the mean of its weights and another's.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import torch

from bridge.models.training.card import write_card
from bridge.models.training.controlnet import train_controlnet
from bridge.models.training.decoder import train_decoder, train_preview
from bridge.models.training.denoiser import DenoiserRun, train_on_ranks
from bridge.models.training.depth import train_depth
from bridge.models.training.evaluate import evaluate
from bridge.models.training.export import EMBEDDED, export
from bridge.models.training.few_steps import train_few_steps
from bridge.models.training.finetune import TuneRun
from bridge.models.training.loop import PartRun
from bridge.models.training.recogniser import EXAMPLES, train_recogniser
from bridge.models.training.soup import stir
from bridge.models.training.style import train_style
from bridge.models.training.word import train_word

BUILT_UPON: dict[str, tuple[Callable[[TuneRun], None], int]] = {
    "preview": (train_preview, 30_000),
    "controlnet": (train_controlnet, 40_000),
    "few-steps": (train_few_steps, 48_000),
    "style": (train_style, 8_000),
    "word": (train_word, 2_000),
}
"""What is trained on the exported model, and how many images it sees unless told."""

ALL = ("decoder", "depth", "denoiser", "export", *BUILT_UPON, "evaluate", "card")
STEPS = (*ALL, "judge", "soup", "all")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bridge.models.training", description=__doc__)
    parser.add_argument("step", choices=STEPS)
    parser.add_argument("--cache", type=Path, default=Path(".cache/train"))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--crops", type=int, default=100_000, help="decoder: crops to see")
    parser.add_argument("--paintings", type=int, default=30_000, help="depth: paintings to see")
    parser.add_argument("--images", type=int, default=150_000, help="denoiser: images to see")
    parser.add_argument("--shards", type=int, default=120, help="denoiser: shards on disk")
    parser.add_argument("--ranks", type=int, default=2, help="denoiser: processes")
    parser.add_argument(
        "--start",
        type=Path,
        help="an exported folder: denoiser begins from it without a checkpoint, soup takes the mean with it",
    )
    parser.add_argument(
        "--compiled", action="store_true", help="denoiser: fused kernels; takes a C++ compiler"
    )
    parser.add_argument(
        "--tune", type=int, help=f"{', '.join(BUILT_UPON)}: images to see, for a single step"
    )
    parser.add_argument("--samples", type=int, default=32, help="evaluate: pictures a rate")
    parser.add_argument("--out", type=Path, default=EMBEDDED, help="folder of the exported model")
    parser.add_argument("--note", default="", help="export: what to record beside the facts")
    return parser


def main() -> None:
    parser = _parser()
    args = parser.parse_args()
    if args.step == "soup" and args.start is None:
        parser.error("soup needs --start, the folder of the other state")
    torch.set_num_threads(1)
    steps = ALL if args.step == "all" else (args.step,)
    if "decoder" in steps:
        train_decoder(PartRun(args.cache, args.crops, args.seed))
    if "depth" in steps:
        train_depth(PartRun(args.cache, args.paintings, args.seed))
    if "denoiser" in steps:
        train_on_ranks(
            DenoiserRun(
                args.cache,
                args.images,
                args.shards,
                args.seed,
                ranks=args.ranks,
                start=args.start,
                compiled=args.compiled,
            )
        )
    if "export" in steps:
        export(args.cache, args.out, args.seed, args.note)
    for name, (tune, images) in BUILT_UPON.items():
        if name in steps:
            tune(TuneRun(args.cache, args.tune or images, args.out, args.seed))
    if args.step == "all":
        export(args.cache, args.out, args.seed, args.note)
    if "judge" in steps:
        train_recogniser(PartRun(args.cache, EXAMPLES, args.seed))
    if "soup" in steps:
        stir(args.out, args.start, args.note)
    if "evaluate" in steps:
        results = evaluate(args.out, args.samples)
        for rate in results.rates:
            print(f"{rate.hits:4d} of {rate.of:4d}  {rate.low:.2f}..{rate.high:.2f}  {rate.name}")
        for figure in results.figures:
            print(f"{figure.value:8g} {figure.unit}  {figure.name}")
    if "card" in steps:
        write_card(args.out)


if __name__ == "__main__":
    main()

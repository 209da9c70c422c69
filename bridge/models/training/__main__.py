"""``python -m bridge.models.training``: the steps that make the embedded model.

``all`` does the whole; each step goes on from its last checkpoint, so it can be stopped any time.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from bridge.models.training.card import write_card
from bridge.models.training.decoder import DecoderRun, train_decoder
from bridge.models.training.denoiser import DenoiserRun, train_on_ranks
from bridge.models.training.evaluate import evaluate
from bridge.models.training.export import EMBEDDED, export

STEPS = ("decoder", "denoiser", "export", "evaluate", "card", "all")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bridge.models.training", description=__doc__)
    parser.add_argument("step", choices=STEPS)
    parser.add_argument("--cache", type=Path, default=Path(".cache/train"))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--crops", type=int, default=60_000, help="decoder: crops to see")
    parser.add_argument("--images", type=int, default=150_000, help="denoiser: images to see")
    parser.add_argument("--shards", type=int, default=96, help="denoiser: shards on disk")
    parser.add_argument("--ranks", type=int, default=2, help="denoiser: processes")
    parser.add_argument(
        "--start", type=Path, help="denoiser: an exported folder to begin from without a checkpoint"
    )
    parser.add_argument("--samples", type=int, default=64, help="evaluate: pictures a rate")
    parser.add_argument("--out", type=Path, default=EMBEDDED, help="export, evaluate, card: folder")
    parser.add_argument("--note", default="", help="export: what to record beside the facts")
    return parser


def main() -> None:
    args = _parser().parse_args()
    torch.set_num_threads(1)
    steps = STEPS[:-1] if args.step == "all" else (args.step,)
    if "decoder" in steps:
        train_decoder(DecoderRun(args.cache, args.crops, args.seed))
    if "denoiser" in steps:
        train_on_ranks(
            DenoiserRun(
                args.cache, args.images, args.shards, args.seed, ranks=args.ranks, start=args.start
            )
        )
    if "export" in steps:
        export(args.cache, args.out, args.seed, args.note)
    if "evaluate" in steps:
        for rate in evaluate(args.out, args.samples).rates:
            print(f"{rate.hits:4d} of {rate.of:4d}  {rate.low:.2f}..{rate.high:.2f}  {rate.name}")
    if "card" in steps:
        write_card(args.out)


if __name__ == "__main__":
    main()

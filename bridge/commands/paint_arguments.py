"""What `krita-bridge paint` can be told."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable
from pathlib import Path

from bridge.commands.controls import add_control_argument
from bridge.commands.references import add_reference_argument
from krita_plugin.krita_bridge.wire.geometry import Extent, Margins
from krita_plugin.krita_bridge.wire.modes import Blend, Mode

EXAMPLE = 'krita-bridge paint --image sea.png --mask boat.png --prompt "a red boat" --out out.png'


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--prompt", metavar="TEXT", help="what should be there")
    parser.add_argument("--negative", default="", metavar="TEXT", help="what should not")
    parser.add_argument(
        "--image", type=Path, metavar="FILE", help="the picture to paint into (none: a new one)"
    )
    parser.add_argument(
        "--mask",
        type=Path,
        metavar="FILE",
        help="where: 8-bit grey, of the picture's size, 255 selected, 0 untouched, between: less strength "
        "(none: everywhere)",
    )
    add_reference_argument(parser)
    add_control_argument(parser)
    parser.add_argument(
        "--keep-control",
        type=Path,
        metavar="FILE",
        help="the map that was used; FILE-1, FILE-2 ... where there are several controls",
    )
    parser.add_argument(
        "--mode",
        choices=[mode.value.replace("_", "-") for mode in Mode],
        help="what happens to what is selected (default: found from picture and mask)",
    )
    parser.add_argument(
        "--expand",
        type=_margins,
        metavar="L,T,R,B",
        help="grow the canvas by so many px left, top, right and bottom, and paint what is new",
    )
    parser.add_argument(
        "--count",
        type=_count,
        default=1,
        metavar="N",
        help="so many variations, numbered files with seeds that count up (default: 1)",
    )
    parser.add_argument(
        "--size", type=_size, metavar="WxH", help="size of a new picture (default: the model's own)"
    )
    parser.add_argument("--out", type=Path, metavar="FILE", help="the finished picture")
    parser.add_argument(
        "--layer", type=Path, metavar="FILE", help="the result alone, transparent elsewhere"
    )
    parser.add_argument(
        "--previews", type=Path, metavar="DIR", help="the picture as it forms, step by step"
    )
    parser.add_argument(
        "--strength",
        type=float,
        metavar="0-1",
        help="1 ignores what is there, 0 keeps it (default: the mode's)",
    )
    add_sampling_arguments(parser)
    _add_of_preset(
        parser, "--detail", float, "0 to 1: strength of the second pass over large regions; 0: none"
    )
    parser.add_argument(
        "--blend",
        choices=[blend.value for blend in Blend],
        help="soft (the default): just inside its edge the new goes over into the old; exact: all that is selected is new",
    )
    parser.add_argument(
        "--match-colors",
        action=argparse.BooleanOptionalAction,
        default=None,
        help="undo what the model does to the colours around the selection (default: yes)",
    )
    parser.add_argument("--seed", type=int, help="the same seed gives the same picture")
    parser.add_argument(
        "--settings-from",
        type=Path,
        metavar="FILE",
        help="a picture that tells how it was made (by us or A1111's web UI), or a .txt of that: "
        "its prompt, seed and so on, wherever nothing else is said here",
    )
    parser.add_argument(
        "--embed-settings",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="write prompt, seed and so on into the PNG (default: yes)",
    )
    parser.add_argument(
        "--json", action="store_true", help="print the job's facts as JSON instead of the path"
    )


def add_sampling_arguments(parser: argparse.ArgumentParser) -> None:
    """The preset, and what of its sampling every kind of job may change."""
    parser.add_argument("--preset", default="", metavar="NAME", help="model and its settings")
    for name, kind, what in (
        ("--steps", int, "steps of the sampler"),
        ("--guidance", float, "guidance scale"),
        ("--scheduler", str, "name of the scheduler"),
        ("--clip-skip", int, "1 to 12: the text encoder's layer, counted from the last; 1 is none"),
        ("--guidance-rescale", float, "0 to 1: takes back the contrast of a high guidance"),
        ("--vae", str, "another VAE, by the name of its file in the folder vaes"),
        ("--template", str, "what stands round the prompt, which goes where it says {prompt}"),
    ):
        _add_of_preset(parser, name, kind, what)


def _add_of_preset(
    parser: argparse.ArgumentParser, name: str, kind: Callable[[str], object], what: str
) -> None:
    parser.add_argument(name, type=kind, help=f"{what} (default: the preset's)")


def _size(text: str) -> Extent:
    found = re.fullmatch(r"(\d{1,6})[xX](\d{1,6})", text)
    if found is None:
        raise argparse.ArgumentTypeError(f"{text!r} is not a size such as 512x768")
    return Extent(int(found[1]), int(found[2]))


def _margins(text: str) -> Margins:
    found = re.fullmatch(r"(\d{1,5}),(\d{1,5}),(\d{1,5}),(\d{1,5})", text)
    if found is None or not any(map(int, found.groups())):
        raise argparse.ArgumentTypeError(f"{text!r} is not four margins such as 0,0,256,0")
    return Margins(*map(int, found.groups()))


def _count(text: str) -> int:
    if not re.fullmatch(r"\d{1,3}", text) or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 1 to 999")
    return int(text)

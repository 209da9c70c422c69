"""`--reference`: pictures that the result is to resemble."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bridge.commands.numbers import read_number
from krita_plugin.krita_bridge.wire.checks import MessageError
from krita_plugin.krita_bridge.wire.limits import MAX_REFERENCE_SIDE
from krita_plugin.krita_bridge.wire.reference import Reference, ReferenceMode

if TYPE_CHECKING:
    from bridge.engine.types import ImageU8

_OPTION = re.compile(r"(.+):([a-z]+)=([^:/\\]*)", re.DOTALL)


@dataclass(frozen=True)
class GivenReference:
    """A file, and how it is to be used."""

    path: Path
    reference: Reference


def add_reference_argument(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--reference",
        type=read_argument,
        action="append",
        default=[],
        metavar="FILE",
        help="a picture to resemble, for presets with an IP-Adapter; FILE:weight=0.8 counts more (0 to 2, default: "
        f"{Reference().weight:g}), FILE:mode=style or mode=composition takes that alone, FILE:start=0 and FILE:end=0.6 "
        "(of the steps) say when; up to four times",
    )


def read_argument(text: str) -> GivenReference:
    """FILE and options such as :weight=0.8, in any order. Raises argparse.ArgumentTypeError."""
    path, options = text, dict[str, str]()
    while match := _OPTION.fullmatch(path):
        path = match[1]
        if match[2] in options:
            raise argparse.ArgumentTypeError(f"{text!r} says {match[2]} twice")
        options[match[2]] = match[3]
    unknown = sorted(options.keys() - _READERS)
    if unknown:
        known = ", ".join(_READERS)
        raise argparse.ArgumentTypeError(f"{text!r} says {unknown[0]}; known are {known}")
    try:
        reference = Reference(**{name: _READERS[name](value) for name, value in options.items()})
    except MessageError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
    return GivenReference(Path(path), reference)


def read_references(given: Sequence[GivenReference], say: Callable[[str], None]) -> list[ImageU8]:
    """The pictures (RGBA), made small enough for the wire; `say` gets a sentence for each thing that reading them
    changed. Raises BridgeError (BAD_INPUT)."""
    import numpy as np
    from PIL import Image

    from bridge.commands.pictures import read_picture

    pictures = []
    for each in given:
        picture = read_picture(each.path)
        for note in picture.notes:
            say(f"{each.path}: {note}")
        image = Image.fromarray(picture.pixels)
        # Pillow weighs colours by their alpha here, so nothing of what is transparent bleeds in.
        image.thumbnail((MAX_REFERENCE_SIDE, MAX_REFERENCE_SIDE), Image.Resampling.LANCZOS)
        pictures.append(np.array(image))
    return pictures


def _mode(text: str) -> ReferenceMode:
    try:
        return ReferenceMode(text)
    except ValueError:
        modes = ", ".join(mode.value for mode in ReferenceMode)
        raise argparse.ArgumentTypeError(f"{text!r} is none of {modes}") from None


_READERS: Mapping[str, Callable[[str], Any]] = {
    "weight": read_number,
    "mode": _mode,
    "start": read_number,
    "end": read_number,
}

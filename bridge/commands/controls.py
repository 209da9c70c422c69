"""`--control` of `krita-bridge paint` and `upscale`, and `--keep-control`: pictures that say what goes where."""

from __future__ import annotations

import argparse
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bridge.commands.numbers import read_number
from bridge.errors import BridgeError, Code
from krita_plugin.krita_bridge.wire.checks import MessageError
from krita_plugin.krita_bridge.wire.control import Control, ControlKind, ControlSource
from krita_plugin.krita_bridge.wire.geometry import Bounds, Extent

if TYPE_CHECKING:
    from bridge.engine.types import ImageU8

_NUMBERS = ("strength", "start", "end")
_EXTRACT = "extract"
_OPTION = re.compile(rf"(.+):(?:({'|'.join(_NUMBERS)})=([^:/\\]*)|{_EXTRACT})", re.DOTALL)


@dataclass(frozen=True)
class GivenControl:
    """A control, and the file that its picture or map is in, where it has one of its own."""

    control: Control
    path: Path | None


def add_control_argument(parser: argparse.ArgumentParser) -> None:
    kinds = ", ".join(kind.value for kind in ControlKind)
    parser.add_argument(
        "--control",
        type=read_argument,
        action="append",
        default=[],
        metavar="KIND[=FILE]",
        help=f"what goes where: {kinds}; as the map FILE shows it, or worked out from --image. "
        f":{_EXTRACT} works it out from FILE, :strength=0.8 (0 to 2), :start=0 and :end=0.6 (of the steps) say how "
        "strongly and when; may be said again",
    )


def read_argument(text: str) -> GivenControl:
    """KIND[=FILE] and options, in any order. Raises argparse.ArgumentTypeError."""
    rest, numbers, extracts = text, dict[str, float](), False
    while match := _OPTION.fullmatch(rest):
        rest = match[1]
        name = match[2] or _EXTRACT
        if name in numbers or (name == _EXTRACT and extracts):
            raise argparse.ArgumentTypeError(f"{text!r} says {name} twice")
        if name == _EXTRACT:
            extracts = True
        else:
            numbers[name] = read_number(match[3])
    word, has_file, file = rest.partition("=")
    try:
        kind = ControlKind(word)
    except ValueError:
        kinds = ", ".join(each.value for each in ControlKind)
        raise argparse.ArgumentTypeError(f"{word!r} is none of {kinds}") from None
    if has_file and not file:
        raise argparse.ArgumentTypeError(f"{text!r} names no file")
    if extracts and not has_file:
        raise argparse.ArgumentTypeError(f"{text!r} names no file to extract from")
    source = ControlSource.MAP if has_file else ControlSource.CANVAS
    if extracts:
        source = ControlSource.PICTURE
    try:
        control = Control(
            kind,
            source,
            numbers.get("strength", 1.0),
            numbers.get("start", 0.0),
            numbers.get("end", 1.0),
        )
    except MessageError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
    return GivenControl(control, Path(file) if has_file else None)


def check(arguments: argparse.Namespace) -> None:
    """Raise BridgeError (BAD_INPUT) for what cannot be meant, before any work is done."""
    from bridge.commands.pictures import check_target

    given: Sequence[GivenControl] = arguments.control
    for each in given:
        if each.path is None and arguments.image is None:
            kind = each.control.kind.value
            raise _bad(
                f"There is no picture that the {kind} could be taken from.",
                f"Add --image FILE, or say --control {kind}=FILE.",
            )
    if arguments.keep_control is None:
        return
    if not given:
        raise _bad("There is no control whose map could be kept.", "Add --control KIND.")
    check_target(arguments.keep_control)


def requested(given: Sequence[GivenControl], keep: bool) -> tuple[Control, ...]:
    """The controls for the request. `keep`: their maps come back with the result."""
    return tuple(replace(each.control, keep=keep) for each in given)


@dataclass(frozen=True)
class ControlPictures:
    """The files' pictures (RGBA) by the number of their control."""

    paths: Mapping[int, Path]
    pictures: Mapping[int, ImageU8]

    @property
    def size(self) -> Extent | None:
        """That of the first: a new picture may have it."""
        for picture in self.pictures.values():
            return Extent(picture.shape[1], picture.shape[0])
        return None

    def within(self, bounds: Bounds, canvas: Extent) -> dict[int, ImageU8]:
        """The parts that a job sees. Raises BridgeError (BAD_INPUT) when one is not of the canvas' size."""
        from bridge.commands.pictures import crop

        for number, picture in self.pictures.items():
            height, width = picture.shape[:2]
            if (width, height) != (canvas.width, canvas.height):
                raise _bad(
                    f"The control {self.paths[number]} has {width} x {height} px, but the picture has "
                    f"{canvas.width} x {canvas.height}.",
                    "Give one of the picture's size.",
                )
        return {number: crop(picture, bounds) for number, picture in self.pictures.items()}


def read_pictures(given: Sequence[GivenControl]) -> tuple[ControlPictures, list[tuple[Path, str]]]:
    """The pictures, and what reading them changed, a sentence each. Raises BridgeError (BAD_INPUT)."""
    from bridge.commands.pictures import read_picture

    paths, pictures = dict[int, Path](), dict[int, Any]()
    notes = list[tuple[Path, str]]()
    for number, each in enumerate(given):
        if each.path is not None:
            picture = read_picture(each.path)
            paths[number], pictures[number] = each.path, picture.pixels
            notes += [(each.path, note) for note in picture.notes]
    return ControlPictures(paths, pictures), notes


def write_maps(
    path: Path, maps: Mapping[int, ImageU8], bounds: Bounds, canvas: Extent
) -> list[Path]:
    """Write kept maps, which lie at `bounds`, on canvases of their own, so that they can be given again."""
    import numpy as np

    from bridge.commands.pictures import write_picture

    written = []
    for number, map_ in maps.items():
        whole = np.zeros((canvas.height, canvas.width, 4), np.uint8)
        whole[bounds.y : bounds.bottom, bounds.x : bounds.right] = map_
        suffix = f"-{number + 1}" if len(maps) > 1 else ""
        target = path.with_name(f"{path.stem}{suffix}{path.suffix}")
        write_picture(target, whole, opaque_kind=True)
        written.append(target)
    return written


def _bad(message: str, hint: str) -> BridgeError:
    return BridgeError(Code.BAD_INPUT, message, hint)

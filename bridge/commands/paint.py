"""`krita-bridge paint`: one picture from one command, through the same websocket as Krita."""

from __future__ import annotations

import argparse
import json
import re
import secrets
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from bridge.errors import BridgeError, Code
from krita_plugin.krita_bridge.wire import messages
from krita_plugin.krita_bridge.wire.geometry import Bounds, Extent, context_bounds

if TYPE_CHECKING:
    from bridge.commands.pictures import Picture
    from bridge.commands.progress import ProgressBar
    from bridge.commands.session import Finished, Session
    from bridge.engine.types import ImageU8, MaskU8

EXAMPLE = 'krita-bridge paint --image sea.png --mask boat.png --prompt "a red boat" --out out.png'


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--prompt", required=True, metavar="TEXT", help="what should be there")
    parser.add_argument("--negative", default="", metavar="TEXT", help="what should not")
    parser.add_argument(
        "--image", type=Path, metavar="FILE", help="the picture to paint into (none: a new one)"
    )
    parser.add_argument(
        "--mask",
        type=Path,
        metavar="FILE",
        help="where: 8-bit grey, of the picture's size, 255 selected, 0 untouched (none: everywhere)",
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
        default=1.0,
        metavar="0-1",
        help="1 ignores what is there, 0 keeps it (default: 1)",
    )
    parser.add_argument("--preset", default="", metavar="NAME", help="model and its settings")
    for name, kind, what in (
        ("--steps", int, "steps of the sampler"),
        ("--guidance", float, "guidance scale"),
        ("--scheduler", str, "name of the scheduler"),
    ):
        parser.add_argument(name, type=kind, help=f"{what} (default: the preset's)")
    parser.add_argument("--seed", type=int, help="the same seed gives the same picture")
    parser.add_argument(
        "--json", action="store_true", help="print the job's facts as JSON instead of the path"
    )


def run(arguments: argparse.Namespace, home: Path) -> int:
    from bridge.commands.pictures import read_mask, read_picture
    from bridge.commands.progress import ProgressBar
    from bridge.commands.session import Listener, open_session

    _check(arguments)
    request = _request(arguments)
    with ProgressBar() as bar:
        picture = mask = None
        if arguments.image is not None:
            picture = read_picture(arguments.image)
            _note(bar, arguments.image, picture.notes)
        if arguments.mask is not None and picture is not None:
            mask, notes = read_mask(arguments.mask, picture.canvas)
            _note(bar, arguments.mask, notes)
        album = _Album(arguments.previews)
        on_preview = album.add if arguments.previews is not None else None
        with open_session(home, Listener(bar.say, bar.step, on_preview)) as session:
            canvas, bounds = _place(arguments, session, picture, mask)
            finished = _paint(session, request, canvas, bounds, picture, mask, album)
            if arguments.previews is not None:
                album.add(finished.facts.steps_run, finished.bounds, finished.layer)
            paths = _write(arguments, finished, canvas, picture)
            session.acknowledge(finished)
    _report(arguments, finished, canvas, [*paths, *album.paths])
    return 0


class _Album:
    """Writes previews laid over what was sent."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self.source: ImageU8 | None = None
        self.bounds = Bounds(0, 0, 0, 0)
        self.paths: list[Path] = []

    def add(self, step: int, bounds: Bounds, layer: ImageU8) -> None:
        from bridge.commands.pictures import lay_over, write_picture

        assert self._folder is not None  # nobody asks for previews without one
        shown = layer
        if self.source is not None:
            shown = self.source.copy()
            lay_over(layer, bounds.relative_to(self.bounds), shown)
        path = self._folder / f"step-{step:03d}.png"
        write_picture(path, shown)
        if path not in self.paths:
            self.paths.append(path)


def _check(arguments: argparse.Namespace) -> None:
    from bridge.commands.pictures import check_target

    if arguments.out is None and arguments.layer is None:
        raise _bad("Nothing says where the result goes.", "Add --out result.png.")
    if arguments.mask is not None and arguments.image is None:
        raise _bad("A mask needs the picture it belongs to.", "Add --image FILE.")
    if arguments.size is not None and arguments.image is not None:
        raise _bad("--size is for new pictures only.", "Leave out --size, or --image.")
    if arguments.out is not None and arguments.out == arguments.layer:
        raise _bad("The picture and its layer need two files.", "Give --layer another name.")
    for path in (arguments.out, arguments.layer):
        if path is not None:
            check_target(path)
    if arguments.previews is not None and arguments.previews.is_file():
        raise _bad(f"{arguments.previews} is a file.", "Give a folder to --previews.")


def _request(arguments: argparse.Namespace) -> messages.PaintRequest:
    seed = secrets.randbelow(1 << 32) if arguments.seed is None else arguments.seed
    try:
        return messages.PaintRequest(
            prompt=arguments.prompt,
            negative_prompt=arguments.negative,
            preset=arguments.preset,
            strength=arguments.strength if arguments.image is not None else 1.0,
            seed=seed,
            steps=arguments.steps,
            guidance=arguments.guidance,
            scheduler=arguments.scheduler,
        )
    except messages.MessageError as error:
        raise _bad(str(error), "") from error


def _place(
    arguments: argparse.Namespace,
    session: Session,
    picture: Picture | None,
    mask: MaskU8 | None,
) -> tuple[Extent, Bounds]:
    """The canvas, and the part of it that the job sees: only that is sent."""
    from bridge.pixels import tight_bounds

    native = session.preset(arguments.preset).native
    if picture is None:
        canvas = arguments.size or Extent(native, native)
        return canvas, Bounds.of_canvas(canvas)
    selection = None if mask is None else tight_bounds(mask)
    return picture.canvas, context_bounds(selection, picture.canvas, native)


def _paint(
    session: Session,
    request: messages.PaintRequest,
    canvas: Extent,
    bounds: Bounds,
    picture: Picture | None,
    mask: MaskU8 | None,
    album: _Album,
) -> Finished:
    from bridge.commands.pictures import crop

    image = None if picture is None else crop(picture.pixels, bounds)
    album.source, album.bounds = image, bounds
    return session.paint(
        request, canvas, bounds, image, None if mask is None else crop(mask, bounds)
    )


def _write(
    arguments: argparse.Namespace, finished: Finished, canvas: Extent, picture: Picture | None
) -> list[Path]:
    import numpy as np

    from bridge.commands.pictures import lay_over, write_picture

    def blank() -> ImageU8:
        return np.zeros((canvas.height, canvas.width, 4), np.uint8)

    written = []
    if arguments.layer is not None:
        whole, part = blank(), finished.bounds
        whole[part.y : part.bottom, part.x : part.right] = finished.layer
        write_picture(arguments.layer, whole)
        written.append(arguments.layer)
    if arguments.out is not None:
        pixels = blank() if picture is None else picture.pixels
        lay_over(finished.layer, finished.bounds, pixels)
        opaque_kind = picture is None or picture.opaque_kind
        write_picture(arguments.out, pixels, opaque_kind=opaque_kind)
        written.insert(0, arguments.out)
    return written


def _report(
    arguments: argparse.Namespace, finished: Finished, canvas: Extent, paths: list[Path]
) -> None:
    if not arguments.json:
        print(f"seed {finished.facts.seed}", file=sys.stderr)
        print(paths[0])
        return
    facts = {
        **messages.to_fields(finished.facts),
        "job": finished.job,
        "canvas": messages.to_fields(canvas),
        "bounds": messages.to_fields(finished.bounds),
        "out": _text(arguments.out),
        "layer": _text(arguments.layer),
        "previews": [str(path) for path in paths if path not in (arguments.out, arguments.layer)],
    }
    print(json.dumps(facts))


def _text(path: Path | None) -> str | None:
    return None if path is None else str(path)


def _note(bar: ProgressBar, path: Path, notes: tuple[str, ...]) -> None:
    for note in notes:
        bar.say(f"{path}: {note}")


def _size(text: str) -> Extent:
    found = re.fullmatch(r"(\d{1,6})[xX](\d{1,6})", text)
    if found is None:
        raise argparse.ArgumentTypeError(f"{text!r} is not a size such as 512x768")
    return Extent(int(found[1]), int(found[2]))


def _bad(message: str, hint: str) -> BridgeError:
    return BridgeError(Code.BAD_INPUT, message, hint)

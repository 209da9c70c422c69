"""`krita-bridge upscale`: a picture several times as large, through the same websocket as Krita.

What is larger than a job should be is done in parts (krita_bridge/parts.py), which are put together in a file, so that
memory follows the part.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import os
import secrets
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from bridge.commands import controls
from bridge.commands.paint_arguments import add_sampling_arguments
from bridge.commands.references import add_reference_argument, read_references
from bridge.errors import BridgeError, Code
from krita_plugin.krita_bridge.parts import PART_SIDE, parts_of
from krita_plugin.krita_bridge.recipe import texts as recipe_texts
from krita_plugin.krita_bridge.wire import limits, messages
from krita_plugin.krita_bridge.wire.geometry import Bounds, Extent
from krita_plugin.krita_bridge.wire.schedulers import LABELS

if TYPE_CHECKING:
    from bridge.commands.progress import ProgressBar
    from bridge.commands.session import Session
    from bridge.engine.types import ImageU8, MaskU8

EXAMPLE = 'krita-bridge upscale --image sea.png --factor 2 --prompt "a red boat" --out large.png'

_STRENGTH = 0.3


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--image", type=Path, required=True, metavar="FILE", help="the picture to upscale"
    )
    parser.add_argument(
        "--factor",
        type=_factor,
        required=True,
        metavar="N",
        help=f"how many times as wide and high: above 1, at most {limits.MAX_UPSCALE:g}",
    )
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="the larger one")
    parser.add_argument("--prompt", default="", metavar="TEXT", help="what the picture shows")
    parser.add_argument("--negative", default="", metavar="TEXT", help="what it should not")
    parser.add_argument(
        "--mask",
        type=Path,
        metavar="FILE",
        help="what the model refines, as for paint; the rest is enlarged alone (none: all of it)",
    )
    parser.add_argument(
        "--crop", action="store_true", help="only the box round what the mask selects"
    )
    parser.add_argument(
        "--strength",
        type=float,
        default=_STRENGTH,
        metavar="0-1",
        help="how much the model may refine; 0: enlarge alone (default: %(default)s)",
    )
    add_reference_argument(parser)
    controls.add_control_argument(parser)
    add_sampling_arguments(parser)
    parser.add_argument("--seed", type=int, help="the same seed gives the same picture")
    parser.add_argument(
        "--json", action="store_true", help="print the facts as JSON instead of the path"
    )


def run(arguments: argparse.Namespace, home: Path) -> int:
    from bridge.commands.pictures import check_target, read_mask, read_picture, write_picture
    from bridge.commands.progress import ProgressBar
    from bridge.commands.session import Listener, open_session
    from bridge.pixels import tight_bounds

    check_target(arguments.out)
    if arguments.crop and arguments.mask is None:
        raise _bad("--crop needs to know where.", "Add --mask FILE, white where it is meant.")
    request = _request(arguments)
    with ProgressBar() as bar:
        picture, mask = read_picture(arguments.image), None
        references = read_references(arguments.reference, bar.say)
        drawn, more = controls.read_pictures(arguments.control)
        area = Bounds.of_canvas(picture.canvas)
        notes = (*picture.notes, *(f"{path}: {note}" for path, note in more))
        if arguments.mask is not None:
            mask, of_mask = read_mask(arguments.mask, picture.canvas)
            area, notes = tight_bounds(mask) if arguments.crop else area, (*notes, *of_mask)
        for note in notes:
            bar.say(note)
        larger = picture.canvas.scaled(arguments.factor)
        target = area.scaled(picture.canvas, larger)
        _check_size(arguments.out, target.extent)
        with (
            open_session(home, Listener(bar.say, bar.step)) as session,
            _room(target.extent, arguments.out.parent) as made,
        ):
            facts = _paint_parts(
                session, bar, request, picture.pixels, mask, area, references, drawn, made
            )
            label = LABELS.get(facts.scheduler, facts.scheduler)
            whole = Bounds(0, 0, target.width, target.height)
            texts = recipe_texts(facts, label, target.extent, whole)
            write_picture(arguments.out, made, opaque_kind=picture.opaque_kind, texts=texts)
    if not arguments.json:
        print(f"seed {facts.seed}", file=sys.stderr)
        print(arguments.out)
    else:
        size = messages.to_fields(target.extent)
        print(json.dumps({**messages.to_fields(facts), "canvas": size, "out": str(arguments.out)}))
    return 0


def _paint_parts(
    session: Session,
    bar: ProgressBar,
    request: messages.PaintRequest,
    pixels: ImageU8,
    mask: MaskU8 | None,
    area: Bounds,
    references: Sequence[ImageU8],
    drawn: controls.ControlPictures,
    made: ImageU8,
) -> messages.ResultFacts:
    """Fill `made` with the `area` of `pixels`, upscaled; the facts are those of the first part. Every tile of every part
    is shown all of each of `references`; of `drawn` each part what lies where its pixels do. Raises BridgeError."""
    from bridge.commands.pictures import crop

    canvas = Extent(pixels.shape[1], pixels.shape[0])
    target = area.scaled(canvas, canvas.scaled(request.upscale))
    native = session.preset(request.preset).native
    parts = parts_of(canvas, area, request.upscale, native, PART_SIDE)
    facts = None
    for number, (sent, part) in enumerate(parts, 1):
        asked = request
        if len(parts) > 1:
            bar.say(f"Part {number} of {len(parts)}.")
            asked = _of_part(request, part)
        selected = None if mask is None else crop(mask, sent)
        if selected is not None and not selected.any():
            selected, asked = None, replace(asked, strength=0.0)
        finished = session.paint(
            asked,
            canvas,
            sent,
            crop(pixels, sent),
            selected,
            references,
            drawn.within(sent, canvas),
        )
        at = finished.bounds.relative_to(target)
        made[at.y : at.bottom, at.x : at.right] = finished.layer
        session.acknowledge(finished)
        bar.finish()
        facts = facts or finished.facts
    assert facts is not None  # an area has a part
    return replace(facts, strength=request.strength)


def _of_part(request: messages.PaintRequest, part: messages.UpscalePart) -> messages.PaintRequest:
    try:
        return replace(request, part=part)
    except messages.MessageError as error:
        raise _bad(str(error), "") from error


@contextlib.contextmanager
def _room(extent: Extent, folder: Path) -> Iterator[ImageU8]:
    """Pixels for a picture: in memory where it is a single part, else in a file without a name beside the result.

    Raises BridgeError (DISK_FULL) before any work is done.
    """
    import numpy as np

    size = extent.width * extent.height * 4
    shape = (extent.height, extent.width, 4)
    folder.mkdir(parents=True, exist_ok=True)
    if size <= PART_SIDE**2 * 4:
        yield np.zeros(shape, np.uint8)
        return
    free = shutil.disk_usage(folder).free
    # Once for the pixels, and at worst once more for the finished file.
    if 2 * size > free:
        raise _no_room(size, free)
    with tempfile.TemporaryFile(dir=folder) as file:
        try:
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(file.fileno(), 0, size)
            else:
                file.truncate(size)
        except OSError as error:
            raise _no_room(size, free) from error
        made = np.memmap(file, np.uint8, "r+", shape=shape)
        yield made
        del made


def _check_size(path: Path, extent: Extent) -> None:
    """What the kinds of files can hold."""
    suffix, (width, height) = path.suffix.lower(), (extent.width, extent.height)
    size = f"{width} x {height} px"
    if extent.width < 1 or extent.height < 1:
        raise _bad("The area is too small to be upscaled.", "Select a larger part.")
    if max(width, height) > limits.MAX_CANVAS_SIDE:
        raise _bad(f"{size} is more than a picture can have.", "Upscale by less.")
    if suffix == ".webp" and max(width, height) > 16_383:
        raise _bad(f"A WebP file cannot hold {size}.", "Name it .png.")
    if suffix in (".tif", ".tiff") and width * height * 4 >= 1 << 32:
        raise _bad(f"A TIFF file cannot hold {size}.", "Name it .png.")


def _request(arguments: argparse.Namespace) -> messages.PaintRequest:
    seed = secrets.randbelow(1 << 32) if arguments.seed is None else arguments.seed
    try:
        return messages.PaintRequest(
            prompt=arguments.prompt,
            negative_prompt=arguments.negative,
            preset=arguments.preset,
            strength=arguments.strength,
            seed=seed,
            steps=arguments.steps,
            guidance=arguments.guidance,
            scheduler=arguments.scheduler,
            clip_skip=arguments.clip_skip,
            guidance_rescale=arguments.guidance_rescale,
            vae=arguments.vae,
            template=arguments.template,
            upscale=arguments.factor,
            references=tuple(given.reference for given in arguments.reference),
            controls=controls.requested(arguments.control, keep=False),
        )
    except messages.MessageError as error:
        raise _bad(str(error), "") from error


def _factor(text: str) -> float:
    try:
        factor = float(text)
    except ValueError:
        factor = math.nan
    if not 1 < factor <= limits.MAX_UPSCALE:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not a number above 1, {limits.MAX_UPSCALE:g} at most"
        )
    return factor


def _no_room(size: int, free: int) -> BridgeError:
    needed = f"{2 * size / 1e9:.1f} GB"
    return BridgeError(
        Code.DISK_FULL,
        f"The larger picture needs up to {needed} of the disk, and {free / 1e9:.1f} GB are free.",
        "Free some space, choose another disk for --out, or upscale by less.",
    )


def _bad(message: str, hint: str) -> BridgeError:
    return BridgeError(Code.BAD_INPUT, message, hint)

"""`krita-bridge paint`: one picture from one command, through the same websocket as Krita."""

from __future__ import annotations

import argparse
import json
import secrets
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from bridge.commands import controls
from bridge.commands.paint_arguments import EXAMPLE, add_arguments
from bridge.commands.recipes import fill_in, preset_name, read_recipe_file, vae_name
from bridge.commands.references import read_references
from bridge.errors import BridgeError, Code
from krita_plugin.krita_bridge.recipe import texts as recipe_texts
from krita_plugin.krita_bridge.wire import limits, messages
from krita_plugin.krita_bridge.wire.geometry import Bounds, Extent
from krita_plugin.krita_bridge.wire.modes import (
    MEANINGS,
    Blend,
    Mode,
    choose_mode,
    default_strength,
)
from krita_plugin.krita_bridge.wire.schedulers import LABELS

if TYPE_CHECKING:
    from bridge.commands.ground import Ground
    from bridge.commands.progress import ProgressBar
    from bridge.commands.session import Finished, Session
    from bridge.engine.types import ImageU8
    from krita_plugin.krita_bridge.recipe import Recipe

__all__ = ["EXAMPLE", "add_arguments", "run"]


def run(arguments: argparse.Namespace, home: Path) -> int:
    from bridge.commands.progress import ProgressBar
    from bridge.commands.session import Listener, open_session

    _check(arguments)
    with ProgressBar() as bar:
        recipe = None
        if arguments.settings_from is not None:
            recipe = read_recipe_file(arguments.settings_from)
            fill_in(arguments, recipe, bar.say)
        ground, references = _read(arguments, bar), read_references(arguments.reference, bar.say)
        pictures = _controls(arguments, bar)
        request = _request(arguments, ground)
        album, kept = _Album(arguments.previews), list[Path]()
        on_preview = album.add if arguments.previews is not None else None
        with open_session(home, Listener(bar.say, bar.step, on_preview)) as session:
            if recipe is not None:
                request = _as_recipe_says(request, recipe, session, bar)
            if ground is None:
                ground = _new(arguments, session, request.preset, pictures)
            for number in range(1, arguments.count + 1):
                names = _Names(arguments, number)
                album.folder = names.previews
                finished = _paint(session, request, ground, references, pictures, album)
                if album.folder is not None:
                    album.add(finished.facts.steps_run, finished.bounds, finished.layer)
                texts = _texts(finished, ground.canvas) if arguments.embed_settings else None
                paths = _write(names, finished, ground, texts)
                if number == 1 and arguments.keep_control is not None:
                    kept = controls.write_maps(
                        arguments.keep_control, finished.maps, album.bounds, ground.canvas
                    )
                session.acknowledge(finished)
                bar.finish()
                _report(arguments, names, finished, ground.canvas, [*paths, *album.paths], kept)
                request = replace(request, seed=(request.seed + 1) % (limits.MAX_SEED + 1))
    return 0


def _as_recipe_says(
    request: messages.PaintRequest, recipe: Recipe, session: Session, bar: ProgressBar
) -> messages.PaintRequest:
    """What only the bridge knows to be there: preset and VAE, where the command line says nothing."""
    if not request.preset:
        name = preset_name(recipe, session.welcome.presets, bar.say)
        request = replace(request, preset=name)
    if request.vae is None:
        request = replace(request, vae=vae_name(recipe, session.preset(request.preset), bar.say))
    return request


class _Names:
    """Where variation `number` goes: `out.png`, or one of `out-1.png`, `out-2.png` ..."""

    def __init__(self, arguments: argparse.Namespace, number: int) -> None:
        suffix = f"-{number}" if arguments.count > 1 else ""
        self.out, self.layer = (
            path and path.with_name(f"{path.stem}{suffix}{path.suffix}")
            for path in (arguments.out, arguments.layer)
        )
        self.previews: Path | None = arguments.previews
        if self.previews is not None and suffix:
            self.previews /= str(number)


class _Album:
    """Writes previews laid over what was sent."""

    def __init__(self, folder: Path | None) -> None:
        self.folder = folder
        self.source: ImageU8 | None = None
        self.bounds = Bounds(0, 0, 0, 0)
        self.paths: list[Path] = []

    def add(self, step: int, bounds: Bounds, layer: ImageU8) -> None:
        from bridge.commands.pictures import lay_over, write_picture

        assert self.folder is not None  # nobody asks for previews without one
        shown = layer
        if self.source is not None:
            shown = self.source.copy()
            lay_over(layer, bounds.relative_to(self.bounds), shown)
        path = self.folder / f"step-{step:03d}.png"
        write_picture(path, shown)
        if path not in self.paths:
            self.paths.append(path)


def _check(arguments: argparse.Namespace) -> None:
    from bridge.commands.pictures import check_target

    if arguments.out is None and arguments.layer is None:
        raise _bad("Nothing says where the result goes.", "Add --out result.png.")
    if arguments.mask is not None and arguments.image is None:
        raise _bad("A mask needs the picture it belongs to.", "Add --image FILE.")
    if arguments.expand is not None and arguments.image is None:
        raise _bad("There is no picture to grow.", "Add --image FILE.")
    if arguments.expand is not None and (arguments.mask or arguments.mode not in (None, "expand")):
        raise _bad("--expand paints what is new, and nothing else.", "Leave out --mask and --mode.")
    if arguments.size is not None and arguments.image is not None:
        raise _bad("--size is for new pictures only.", "Leave out --size, or --image.")
    if arguments.out is not None and arguments.out == arguments.layer:
        raise _bad("The picture and its layer need two files.", "Give --layer another name.")
    for path in (arguments.out, arguments.layer):
        if path is not None:
            check_target(path)
    controls.check(arguments)
    if arguments.previews is not None and arguments.previews.is_file():
        raise _bad(f"{arguments.previews} is a file.", "Give a folder to --previews.")


def _read(arguments: argparse.Namespace, bar: ProgressBar) -> Ground | None:
    """The picture and its mask; None for a new one."""
    from bridge.commands.ground import Ground
    from bridge.commands.pictures import read_mask, read_picture

    if arguments.image is None:
        return None
    picture, mask = read_picture(arguments.image), None
    _note(bar, arguments.image, picture.notes)
    if arguments.mask is not None:
        mask, notes = read_mask(arguments.mask, picture.canvas)
        _note(bar, arguments.mask, notes)
    ground = Ground(picture.canvas, picture.pixels, mask, picture.opaque_kind)
    return ground if arguments.expand is None else ground.grown(arguments.expand)


def _controls(arguments: argparse.Namespace, bar: ProgressBar) -> controls.ControlPictures:
    pictures, notes = controls.read_pictures(arguments.control)
    for path, note in notes:
        _note(bar, path, (note,))
    return pictures


def _new(
    arguments: argparse.Namespace,
    session: Session,
    preset: str,
    pictures: controls.ControlPictures,
) -> Ground:
    from bridge.commands.ground import Ground

    native = session.preset(preset).native
    return Ground(arguments.size or pictures.size or Extent(native, native))


def _request(arguments: argparse.Namespace, ground: Ground | None) -> messages.PaintRequest:
    mode, strength = _mode(arguments, ground)
    if MEANINGS[mode].takes_prompt != (arguments.prompt is not None):
        if arguments.prompt is None:
            raise _bad("Nothing says what to paint.", "Add --prompt TEXT.")
        label = MEANINGS[mode].label
        raise _bad(f"“{label}” takes no prompt.", "Leave out --prompt, or choose another --mode.")
    seed = secrets.randbelow(1 << 32) if arguments.seed is None else arguments.seed
    try:
        return messages.PaintRequest(
            prompt=arguments.prompt or "",
            negative_prompt=arguments.negative,
            preset=arguments.preset,
            strength=strength,
            seed=seed,
            steps=arguments.steps,
            guidance=arguments.guidance,
            scheduler=arguments.scheduler,
            mode=mode,
            clip_skip=arguments.clip_skip,
            guidance_rescale=arguments.guidance_rescale,
            vae=arguments.vae,
            detail=arguments.detail,
            template=arguments.template,
            blend=Blend(arguments.blend or Blend.SOFT.value),
            match_colors=arguments.match_colors is not False,
            references=tuple(given.reference for given in arguments.reference),
            controls=controls.requested(arguments.control, arguments.keep_control is not None),
        )
    except messages.MessageError as error:
        raise _bad(str(error), "") from error


def _mode(arguments: argparse.Namespace, ground: Ground | None) -> tuple[Mode, float]:
    """The mode and its strength, as the docker would find them."""
    if ground is None:
        return Mode.FILL, 1.0
    if arguments.expand is not None:
        mode = Mode.EXPAND
    elif arguments.mode is not None:
        mode = Mode(arguments.mode.replace("-", "_"))
    else:
        found, strength = ground.situation(), arguments.strength
        strength = default_strength(found) if strength is None else strength
        return choose_mode(found, strength), strength
    if MEANINGS[mode].needs_selection and ground.mask is None:
        label = MEANINGS[mode].label
        raise _bad(f"“{label}” needs to know where.", "Add --mask FILE, white where it is meant.")
    return mode, MEANINGS[mode].strength if arguments.strength is None else arguments.strength


def _paint(
    session: Session,
    request: messages.PaintRequest,
    ground: Ground,
    references: list[ImageU8],
    pictures: controls.ControlPictures,
    album: _Album,
) -> Finished:
    from bridge.commands.pictures import crop

    native = session.preset(request.preset).native
    bounds = ground.context(native, request.mode or Mode.FILL)
    image = None if ground.pixels is None else crop(ground.pixels, bounds)
    mask = None if ground.mask is None else crop(ground.mask, bounds)
    album.source, album.bounds, album.paths = image, bounds, []
    parts = pictures.within(bounds, ground.canvas)
    return session.paint(request, ground.canvas, bounds, image, mask, references, parts)


def _texts(finished: Finished, canvas: Extent) -> dict[str, str]:
    """What a PNG tells of how it was made."""
    scheduler = finished.facts.scheduler
    return recipe_texts(finished.facts, LABELS.get(scheduler, scheduler), canvas, finished.bounds)


def _write(
    names: _Names, finished: Finished, ground: Ground, texts: dict[str, str] | None
) -> list[Path]:
    import numpy as np

    from bridge.commands.pictures import lay_over, write_picture

    def blank() -> ImageU8:
        return np.zeros((ground.canvas.height, ground.canvas.width, 4), np.uint8)

    written = []
    if names.layer is not None:
        whole, part = blank(), finished.bounds
        whole[part.y : part.bottom, part.x : part.right] = finished.layer
        write_picture(names.layer, whole, texts=texts)
        written.append(names.layer)
    if names.out is not None:
        pixels = blank() if ground.pixels is None else ground.pixels.copy()
        lay_over(finished.layer, finished.bounds, pixels)
        write_picture(names.out, pixels, opaque_kind=ground.opaque_kind, texts=texts)
        written.insert(0, names.out)
    return written


def _report(
    arguments: argparse.Namespace,
    names: _Names,
    finished: Finished,
    canvas: Extent,
    paths: list[Path],
    kept: list[Path],
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
        "out": _text(names.out),
        "layer": _text(names.layer),
        "control_maps": [str(path) for path in kept],
        "previews": [str(path) for path in paths if path not in (names.out, names.layer)],
    }
    print(json.dumps(facts))


def _text(path: Path | None) -> str | None:
    return None if path is None else str(path)


def _note(bar: ProgressBar, path: Path, notes: tuple[str, ...]) -> None:
    for note in notes:
        bar.say(f"{path}: {note}")


def _bad(message: str, hint: str) -> BridgeError:
    return BridgeError(Code.BAD_INPUT, message, hint)

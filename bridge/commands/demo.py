"""`krita-bridge demo`: the whole path on a real picture, without Krita, in a folder of its own."""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from bridge.commands import paint
from bridge.errors import BridgeError, Code
from krita_plugin.krita_bridge.wire.runfile import read_run_file

if TYPE_CHECKING:
    from PIL import Image

EXAMPLE = "krita-bridge demo --out demo"

_FRAMES = 8
_GAP = 6


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--out", type=Path, default=Path("demo"), metavar="DIR", help="%(default)s")
    parser.add_argument("--prompt", default="a red boat", help="%(default)s")
    parser.add_argument("--seed", type=int, default=16, help="%(default)s")


def run(arguments: argparse.Namespace, home: Path) -> int:
    from bridge.commands.demo_scene import lasso, paint_bay
    from bridge.commands.pictures import write_mask, write_picture

    folder: Path = arguments.out
    started = time.monotonic()
    painting, mask = paint_bay(), lasso()
    write_picture(folder / "painting.png", painting, opaque_kind=True)
    write_mask(folder / "selection.png", mask)
    for old in folder.glob("steps/step-*.png"):
        old.unlink()
    words = ["--prompt", arguments.prompt, "--seed", str(arguments.seed)]
    words += ["--image", str(folder / "painting.png"), "--mask", str(folder / "selection.png")]
    words += ["--out", str(folder / "result.png"), "--layer", str(folder / "layer.png")]
    # More steps than the preset asks for: a film wants frames.
    words += ["--previews", str(folder / "steps"), "--steps", "30"]
    parser = argparse.ArgumentParser()
    paint.add_arguments(parser)
    with tempfile.TemporaryDirectory() as throwaway, _bridge(Path(throwaway)):
        code = paint.run(parser.parse_args(words), Path(throwaway))
    _film(folder)
    _before_after(folder)
    print(f"{time.monotonic() - started:.1f} s", file=sys.stderr)
    for name in ("result.png", "layer.png", "film.png", "before-after.png"):
        print(folder / name)
    return code


@contextmanager
def _bridge(home: Path) -> Iterator[None]:
    command = [sys.executable, "-m", "bridge.cli", "serve", "--home", str(home)]
    with (home / "serve.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        _wait_for_run_file(home, process)
        yield
    finally:
        process.terminate()
        process.wait(20)


def _wait_for_run_file(home: Path, process: subprocess.Popen[bytes]) -> None:
    """The client would start a bridge of its own if it looked before this one is there."""
    while read_run_file(home) is None:
        if process.poll() is not None:
            said = (home / "serve.log").read_text("utf-8", "replace").strip()
            raise BridgeError(
                Code.NOT_RUNNING, f"The bridge ended at once: {said}", "Try `krita-bridge doctor`."
            )
        time.sleep(0.02)


def _film(folder: Path) -> None:
    """The steps from noise to picture in one row."""
    from PIL import Image

    paths = sorted(folder.glob("steps/step-*.png"))
    count = min(_FRAMES, len(paths))
    chosen = [paths[round(i * (len(paths) - 1) / max(1, count - 1))] for i in range(count)]
    frames = [Image.open(path).convert("RGB") for path in chosen]
    height = 200 * frames[0].height // frames[0].width
    _row([frame.resize((200, height)) for frame in frames]).save(folder / "film.png")


def _before_after(folder: Path) -> None:
    """The painting with the selection's outline, and the result beside it."""
    from PIL import Image, ImageChops, ImageFilter

    before = Image.open(folder / "painting.png").convert("RGB")
    after = Image.open(folder / "result.png").convert("RGB")
    selected = Image.open(folder / "selection.png").convert("L").point(lambda v: 255 * (v > 127))
    outline = ImageChops.difference(selected, selected.filter(ImageFilter.MinFilter(3)))
    before.paste("white", mask=outline)
    _row([before, after]).save(folder / "before-after.png")


def _row(pictures: list[Image.Image]) -> Image.Image:
    from PIL import Image

    width = sum(picture.width + _GAP for picture in pictures) + _GAP
    strip = Image.new("RGB", (width, pictures[0].height + 2 * _GAP), (24, 24, 24))
    left = _GAP
    for picture in pictures:
        strip.paste(picture, (left, _GAP))
        left += picture.width + _GAP
    return strip

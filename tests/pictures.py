"""Paint the picture of docs/modes.md: every mode on the demo's bay, with the embedded model.

python -m tests.pictures docs/images/modes.webp
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageChops, ImageDraw, ImageFilter

from bridge.commands.demo_scene import paint_bay
from bridge.commands.ground import Ground
from bridge.commands.pictures import crop, lay_over
from bridge.engine.pipeline import Engine
from bridge.engine.types import ImageU8, Job, MaskU8, Snapshot
from bridge.presets import DEFAULT_PRESET, load_presets
from krita_plugin.krita_bridge.wire.geometry import Extent, Margins
from krita_plugin.krita_bridge.wire.messages import PaintRequest
from krita_plugin.krita_bridge.wire.modes import MEANINGS, Mode

SIZE = (288, 192)
GAP, CAPTION = 6, 16
SEED = 11


@dataclass(frozen=True)
class Scene:
    """`ground` is shown with its selection before, and with the result after."""

    mode: Mode
    prompt: str
    ground: Ground


def scenes() -> list[Scene]:
    bay = np.asarray(Image.fromarray(paint_bay()).resize(SIZE, Image.Resampling.LANCZOS))
    canvas = Extent(*SIZE)

    def selected(mode: Mode, prompt: str, mask: MaskU8 | None) -> Scene:
        return Scene(mode, prompt, Ground(canvas, bay, mask))

    water = _ellipse((70, 85, 170, 160))
    sky = np.zeros(SIZE[::-1], np.uint8)
    sky[:66] = 255
    part = np.ascontiguousarray(bay[:, : SIZE[0] - 64])
    grown = Ground(Extent(part.shape[1], part.shape[0]), part).grown(Margins(0, 0, 64, 0))
    return [
        selected(Mode.FILL, "a red boat", water),
        selected(Mode.REFINE, "a blue sea", None),
        Scene(Mode.EXPAND, "a blue sea", grown),
        selected(Mode.ADD, "a red boat", water),
        selected(Mode.REMOVE, "", _ellipse((175, 40, 245, 90))),
        selected(Mode.REPLACE_BACKGROUND, "a blue sky", sky),
        selected(Mode.VARIATION, "a blue sea", water),
    ]


def _ellipse(box: tuple[int, int, int, int]) -> MaskU8:
    drawn = Image.new("L", SIZE)
    ImageDraw.Draw(drawn).ellipse(box, fill=255)
    return np.asarray(drawn)


def paint(engine: Engine, native: int, scene: Scene) -> ImageU8:
    ground = scene.ground
    assert ground.pixels is not None
    bounds = ground.context(native, scene.mode)
    mask = None if ground.mask is None else crop(ground.mask, bounds)
    strength = MEANINGS[scene.mode].strength
    request = PaintRequest(scene.prompt, strength=strength, seed=SEED, mode=scene.mode)
    snapshot = Snapshot(ground.canvas, bounds, crop(ground.pixels, bounds), mask)
    painting = engine.paint(
        Job(request, snapshot), on_step=lambda _: None, is_cancelled=lambda: False
    )
    after = ground.pixels.copy()
    lay_over(painting.image, painting.bounds, after)
    return after


def outlined(ground: Ground) -> Image.Image:
    assert ground.pixels is not None
    picture = Image.new("RGB", (ground.canvas.width, ground.canvas.height), "white")
    pixels = Image.fromarray(ground.pixels)
    picture.paste(pixels, mask=pixels.getchannel("A"))
    if ground.mask is not None:
        mask = Image.fromarray(ground.mask)
        edge = ImageChops.difference(mask, mask.filter(ImageFilter.MinFilter(3)))
        picture.paste("white", mask=edge)
    return picture


def sheet(pairs: list[tuple[str, Image.Image, Image.Image]]) -> Image.Image:
    width, height = SIZE
    row = height + CAPTION + GAP
    made = Image.new("RGB", (2 * width + 3 * GAP, len(pairs) * row + GAP), (24, 24, 24))
    draw = ImageDraw.Draw(made)
    for index, (caption, before, after) in enumerate(pairs):
        top = GAP + index * row
        draw.text((GAP, top), caption, fill="white")
        made.paste(before, (GAP, top + CAPTION))
        made.paste(after, (2 * GAP + width, top + CAPTION))
    return made


def main(target: Path) -> None:
    presets = load_presets()
    engine = Engine(presets, device="cpu")
    native, pairs = presets[DEFAULT_PRESET].native, []
    for scene in scenes():
        after = Image.fromarray(paint(engine, native, scene)).convert("RGB")
        named = f": {scene.prompt}" if scene.prompt else ""
        pairs.append((MEANINGS[scene.mode].label + named, outlined(scene.ground), after))
    target.parent.mkdir(parents=True, exist_ok=True)
    sheet(pairs).save(target, quality=88)
    print(target)


if __name__ == "__main__":
    main(Path(sys.argv[1]))

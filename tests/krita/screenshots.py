"""`make screenshots`: take the pictures of the README anew, in a real Krita, with the embedded model."""

from __future__ import annotations

import io
import sys
from math import cos, sin
from pathlib import Path

import numpy as np
from PIL import Image

from tests.krita.harness import (
    BridgeDocker,
    Document,
    HostBridge,
    Krita,
    MissingKrita,
    find,
    paint_landscape,
)
from tests.krita.harness.controlled import NAME as CONTROLLED
from tests.krita.harness.controlled import add_controlled_preset
from tests.krita.harness.docker import DOCKER, PATIENCE

IMAGES = Path(__file__).resolve().parents[2] / "docs" / "images"
MOST_BYTES = 250_000
WIDTH, HEIGHT = 960, 720
PROMPT = "a red boat"
BOAT = [(0.43 + 0.17 * cos(t / 6), 0.60 + 0.16 * sin(t / 6) + 0.02 * cos(t / 2)) for t in range(38)]
SEED = 7
NARROW = 300


def main() -> int:
    try:
        install = find()
    except MissingKrita as missing:
        print(missing, file=sys.stderr)
        return 1
    IMAGES.mkdir(parents=True, exist_ok=True)
    with HostBridge(install, presets=False) as bridge:
        add_controlled_preset(bridge.home)
        bridge.start()
        with Krita(install, bridge.prepare) as krita:
            _take(krita)
        with Krita(install, bridge.prepare) as krita:
            _take_controls(krita)
    for path in sorted(IMAGES.glob("*.png")):
        print(path, path.stat().st_size)
    return 0


def _take(krita: Krita) -> None:
    docker = BridgeDocker(krita)
    docker.make_room()
    krita.show_docker("sharedtooldocker", False)
    docker.wait_until_connected()
    document = paint_landscape(krita, WIDTH, HEIGHT)
    docker.paint(document, PROMPT, "embedded")  # loads the model, and fills the row of results
    document.undo()
    document.select_lasso([(x * WIDTH, y * HEIGHT) for x, y in BOAT])
    before = document.flattened_srgb()
    _lock_seed(docker)
    docker.ask_for(PROMPT, "embedded")
    krita.wait_until(lambda: docker.progress() >= 12, PATIENCE)
    docker.wait_for_preview(document, PROMPT)
    krita.screenshot(IMAGES / "krita.png")
    krita.screenshot(IMAGES / "docker.png", DOCKER)
    docker.wait_for_result(document, PROMPT)
    _save(IMAGES / "krita.png", Image.open(IMAGES / "krita.png"))
    _save(IMAGES / "docker.png", Image.open(IMAGES / "docker.png"))
    _save(IMAGES / "before-after.png", _side_by_side(before, document))


def _take_controls(krita: Krita) -> None:
    """Two controls and a reference, in a docker as narrow as it may be."""
    docker = BridgeDocker(krita)
    docker.make_room()
    docker.wait_until_connected()
    paint_landscape(krita, WIDTH, HEIGHT)
    docker.choose(CONTROLLED)
    docker.switch("QToolButton", "controls_fold", True)
    docker.switch("QToolButton", "references_fold", True)
    for button in ("control_add", "control_add", "reference_add"):
        docker.click("QPushButton", button)
    docker.ask(
        "docker.findChildren(QtWidgets.QComboBox, 'control_source')[1].setCurrentIndex(1)\n"
        "docker.findChildren(QtWidgets.QToolButton, 'control_details')[1].setChecked(True)\n"
        "docker.window().resizeDocks([docker], [300], QtCore.Qt.Orientation.Horizontal)\n"
        "docker.window().resizeDocks([docker], [900], QtCore.Qt.Orientation.Vertical)"
    )
    krita.wait_until(lambda: docker.ask("docker.width()") <= NARROW, PATIENCE)
    krita.screenshot(IMAGES / "controls.png", DOCKER)
    _save(IMAGES / "controls.png", Image.open(IMAGES / "controls.png"))


def _lock_seed(docker: BridgeDocker) -> None:
    """The same picture each time."""
    docker.ask(f"docker.findChild(QtWidgets.QLineEdit, 'seed').setText('{SEED}')")
    docker.ask("docker.findChild(QtWidgets.QToolButton, 'seed_lock').setChecked(True)")


def _side_by_side(before: np.ndarray, document: Document) -> Image.Image:
    gap = np.full((HEIGHT, 16, 3), 255, np.uint8)
    after = document.flattened_srgb()
    both = Image.fromarray(np.concatenate([before[..., :3], gap, after[..., :3]], axis=1))
    return both.resize((both.width * 2 // 3, both.height * 2 // 3), Image.Resampling.LANCZOS)


def _save(path: Path, picture: Image.Image) -> None:
    """In all its colours where a README can bear the file size, else in 256."""
    picture = picture.convert("RGB")
    fewer = picture.quantize(256, dither=Image.Dither.FLOYDSTEINBERG)
    for kind in (picture, fewer):
        data = io.BytesIO()
        kind.save(data, "PNG", optimize=True)
        if data.tell() <= MOST_BYTES:
            break
    path.write_bytes(data.getvalue())


if __name__ == "__main__":
    raise SystemExit(main())

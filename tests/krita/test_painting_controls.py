"""Control layers and references in the docker: from the canvas, from layers, from a file."""

from __future__ import annotations

import hashlib
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from bridge.engine.color import on_paper
from bridge.engine.control_maps import canny, drawn
from krita_plugin.krita_bridge.wire.control import ControlKind
from krita_plugin.krita_bridge.wire.geometry import Bounds, Extent, context_bounds
from tests.krita.conftest import Studio
from tests.krita.harness import Before, BridgeDocker, Document, Layer
from tests.krita.harness.controlled import BUILT_IN
from tests.krita.harness.controlled import NAME as CONTROLLED
from tests.krita.harness.docker import PATIENCE
from tests.krita.test_painting_upscale import larger_document, unfolded

WIDTH, HEIGHT, NATIVE = 320, 256, 128
SELECTED = (100, 80, 120, 100)
BOUNDS = context_bounds(Bounds(*SELECTED), Extent(WIDTH, HEIGHT), NATIVE)
INK, NOTHING = (0, 0, 0, 255), (0, 0, 0, 0)

_FACTS = """\
from krita_bridge.extension import studio
facts = studio().painting.history.entries()[-1].facts
[
    [[used.kind.value, used.source.value, used.map_sha256] for used in facts.controls],
    [[used.sha256, used.weight] for used in facts.references],
]"""


_IS_SENT = """\
from krita_bridge.extension import studio
[job.stage.value for job in studio().painting.jobs()] == ['waiting']"""


class Rows:
    """The rows of one of the two folds, as a painter sets them."""

    def __init__(self, docker: BridgeDocker, name: str) -> None:
        self.docker = docker
        self.name = name

    def add(self) -> None:
        before = len(self.layers())
        self.docker.click("QPushButton", f"{self.name}_add")
        self.docker.krita.wait_until(lambda: len(self.layers()) == before + 1)

    def choose(self, row: int, box: str, entry: str) -> None:
        """An entry of a box by its words, without the pointer: lists need a window manager."""
        self.docker.ask(
            f"box = docker.findChildren(QtWidgets.QComboBox, {self.name + '_' + box!r})[{row}]\n"
            f"index = box.findText({entry!r})\n"
            "assert index >= 0 and box.model().item(index).isEnabled()\n"
            "box.setCurrentIndex(index)"
        )

    def keep_map(self, row: int, keep: bool) -> None:
        self.docker.ask(
            f"docker.findChildren(QtWidgets.QCheckBox, 'control_keep')[{row}].setChecked({keep})"
        )

    def keeps_maps(self) -> list[bool]:
        code = (
            "[box.isChecked() for box in docker.findChildren(QtWidgets.QCheckBox, 'control_keep')]"
        )
        return list(self.docker.ask(code))

    def layers(self) -> list[str]:
        """The layer that each row shows."""
        boxes = f"docker.findChildren(QtWidgets.QComboBox, '{self.name}_layer')"
        return list(self.docker.ask(f"[box.currentText() for box in {boxes}]"))

    def remove_all(self) -> None:
        buttons = f"docker.findChildren(QtWidgets.QToolButton, '{self.name}_remove')"
        self.docker.ask(f"[button.click() for button in {buttons}]")
        self.docker.krita.wait_until(lambda: not self.layers())


@pytest.fixture
def controls(studio: Studio) -> Iterator[Rows]:
    yield from _rows(studio, "control")


@pytest.fixture
def references(studio: Studio) -> Iterator[Rows]:
    yield from _rows(studio, "reference")


def _rows(studio: Studio, name: str) -> Iterator[Rows]:
    """With the fold open and the preset that can do everything; a document must be open before rows are added."""
    docker, rows = studio.docker, Rows(studio.docker, name)
    docker.ask(f"docker.findChild(QtWidgets.QToolButton, '{name}s_fold').setChecked(True)")
    docker.choose(CONTROLLED)
    yield rows
    rows.remove_all()
    docker.ask(f"docker.findChild(QtWidgets.QToolButton, '{name}s_fold').setChecked(False)")
    docker.choose("quick")


def scene(studio: Studio, depth: str = "U8") -> Document:
    """Two colours, a hidden layer with a drawing in ink, and a selection."""
    document = studio.krita.new_document(WIDTH, HEIGHT, depth=depth)
    document.add_layer("Sketch")
    if depth == "U8":
        pixels = np.full((HEIGHT, WIDTH, 4), (120, 170, 220, 255), np.uint8)
        pixels[HEIGHT // 2 :] = (70, 120, 60, 255)
        document.set_layer_pixels("Background", pixels)
        document.set_layer_pixels("Sketch", drawing())
    document.flattened(refresh=True)
    document.select_exactly(*SELECTED)
    studio.docker.choose(CONTROLLED)
    return document


def drawing() -> np.ndarray:
    """A frame in ink on nothing."""
    pixels = np.full((HEIGHT, WIDTH, 4), NOTHING, np.uint8)
    pixels[110:150, 130:190] = INK
    pixels[116:144, 136:184] = NOTHING
    return pixels


def of_bounds(pixels: np.ndarray) -> np.ndarray:
    return pixels[BOUNDS.y : BOUNDS.bottom, BOUNDS.x : BOUNDS.right]


def sha256(pixels: np.ndarray) -> str:
    return hashlib.sha256(np.ascontiguousarray(pixels).tobytes()).hexdigest()


def used(studio: Studio) -> Any:
    """Of the latest result: kind, source and map of each control; hash and weight of each reference."""
    return studio.krita.evaluate(_FACTS)


def wait_for_map(studio: Studio, document: Document, name: str) -> Layer:
    """The layer of a kept map, written and settled."""

    def found() -> Layer | None:
        layers = [layer for layer in document.layers() if layer.name.startswith(f"{name} map (")]
        return layers[0] if layers and not layers[0].locked else None

    layer: Layer = studio.krita.wait_until(found, PATIENCE)
    document.settle()
    return layer


def test_depth_of_the_canvas_and_its_map_as_a_layer(studio: Studio, controls: Rows) -> None:
    docker, document = studio.docker, scene(studio)
    controls.add()
    controls.keep_map(0, True)
    before = Before.of(document)
    docker.paint(document, "a hut", CONTROLLED)
    layer = wait_for_map(studio, document, "Depth")
    before.assert_only_selected_pixels_changed()

    assert not layer.visible and layer.bounds == (BOUNDS.x, BOUNDS.y, BOUNDS.width, BOUNDS.height)
    map_ = of_bounds(document.layer_pixels(layer.name))
    (told,), _ = used(studio)
    assert told == ["depth", "canvas", sha256(map_[..., :3])]
    studio.krita.wait_until(lambda: controls.keeps_maps() == [False], PATIENCE)

    controls.remove_all()
    document.activate_layer(layer.name)
    docker.switch("QToolButton", "more_fold", True)
    docker.click("QPushButton", "settings_of_layer")
    docker.wait_for_state(f"The settings of “{layer.name}” are used.")
    docker.switch("QToolButton", "more_fold", False)
    assert (
        docker.ask("docker.findChild(QtWidgets.QPlainTextEdit, 'prompt').toPlainText()") == "a hut"
    )
    assert controls.keeps_maps() == [False], "it is a layer already"
    document.undo()  # the map
    document.undo()  # the result
    assert before.is_restored()


def test_upscaling_leaves_a_controls_map_to_the_next_picture(
    studio: Studio, controls: Rows
) -> None:
    docker, document = studio.docker, scene(studio)
    controls.add()
    controls.keep_map(0, True)
    before = Before.of(document)
    with unfolded(docker, 2.0, 50):
        docker.click("QPushButton", "upscale")
        larger = larger_document(docker)
    assert before.is_restored() and controls.keeps_maps() == [True]
    assert len(larger.layers()) == 1


def test_a_map_waits_with_its_picture_for_a_place(studio: Studio, controls: Rows) -> None:
    krita, docker, document = studio.krita, studio.docker, scene(studio)
    results = docker.results()
    controls.add()
    controls.keep_map(0, True)
    with studio.bridge.paused():
        docker.ask_for("a shed")
        krita.wait_until(_IS_SENT, PATIENCE)
        document.close()
    krita.wait_until(lambda: docker.results() > results, PATIENCE)
    docker.wait_for_state("was closed")
    other = krita.new_document(WIDTH, HEIGHT)
    docker.click_result()
    docker.wait_for_result(other, "a shed")
    layer = wait_for_map(studio, other, "Depth")
    map_ = of_bounds(other.layer_pixels(layer.name))
    (told,), _ = used(studio)
    assert not layer.visible and told == ["depth", "canvas", sha256(map_[..., :3])]


def test_a_hidden_layer_is_a_map_or_has_one_worked_out(studio: Studio, controls: Rows) -> None:
    document = scene(studio)
    document.change_layer("Sketch", visible=False)
    document.activate_layer("Sketch")
    before = Before.of(document)
    for row, (kind, source) in enumerate((("Scribble", "Layer as is"), ("Canny edges", "Layer"))):
        controls.add()
        controls.choose(row, "kind", kind)
        controls.choose(row, "source", source)
    controls.keep_map(1, True)
    assert controls.layers() == ["Sketch", "Sketch"]
    document.activate_layer("Background")
    studio.docker.paint(document, "a frame", CONTROLLED)
    layer = wait_for_map(studio, document, "Canny edges")
    before.assert_only_selected_pixels_changed()

    picture = of_bounds(drawing())
    scribble = drawn(ControlKind.SCRIBBLE, picture)
    edges = np.repeat(canny(on_paper(picture))[..., None], 3, axis=2)
    assert scribble.any() and edges.any()
    told, _ = used(studio)
    assert told == [["scribble", "map", sha256(scribble)], ["canny", "picture", sha256(edges)]]
    assert np.array_equal(of_bounds(document.layer_pixels(layer.name))[..., :3], edges)


def test_a_layer_of_16_bits_is_read_as_the_canvas_is(studio: Studio, controls: Rows) -> None:
    document = scene(studio, depth="U16")
    studio.krita.agent.call("set_brush", "b) Basic-5", 20.0, [0, 0, 0])
    document.draw_stroke([(130, 110), (190, 150)])
    document.change_layer("Sketch", visible=False)
    controls.add()
    controls.choose(0, "kind", "Scribble")
    controls.choose(0, "source", "Layer")
    controls.keep_map(0, True)
    before = Before.of(document)
    studio.docker.paint(document, "a stroke", CONTROLLED)
    layer = wait_for_map(studio, document, "Scribble")
    before.assert_only_selected_pixels_changed()
    outline = of_bounds(document.layer_pixels(layer.name))[..., 0] > 0
    ink = of_bounds(document.layer_pixels("Sketch"))[..., 3] > 0
    assert outline.any()
    rows, columns = np.nonzero(outline)
    inked_rows, inked_columns = np.nonzero(ink)
    assert abs(int(rows.mean()) - int(inked_rows.mean())) < 8
    assert abs(int(columns.mean()) - int(inked_columns.mean())) < 8


def test_references_from_a_layer_and_a_file(studio: Studio, references: Rows) -> None:
    krita, document = studio.krita, scene(studio)
    generator = np.random.default_rng(1)
    art = generator.integers(0, 256, (48, 64, 4), np.uint8)
    art[..., 3] = 255
    document.add_layer("Art")
    document.set_layer_pixels("Art", art, 10, 20)
    document.flattened(refresh=True)
    before = Before.of(document)
    references.add()
    assert references.layers() == ["Art"]
    references.add()
    references.choose(1, "source", "File")
    picture = generator.integers(0, 256, (30, 20, 3), np.uint8)
    path = krita.home.path / "picture.png"
    Image.fromarray(picture).save(path)
    krita.focus()
    studio.docker.ask(
        "button = docker.findChildren(QtWidgets.QPushButton, 'reference_file')[1]\n"
        "QtCore.QTimer.singleShot(0, button.click)"
    )
    krita.name_file(path)
    studio.docker.paint(document, "a picture", CONTROLLED)
    before.assert_only_selected_pixels_changed()
    opaque = np.dstack([picture, np.full(picture.shape[:2], 255, np.uint8)])
    _, told = used(studio)
    assert told == [[sha256(art), 0.6], [sha256(opaque), 0.6]]


def test_a_layer_that_was_deleted_is_a_sentence_and_undo_brings_it_back(
    studio: Studio, controls: Rows
) -> None:
    krita, docker, document = studio.krita, studio.docker, scene(studio)
    document.activate_layer("Sketch")
    controls.add()
    controls.choose(0, "source", "Layer")

    def has_sketch() -> bool:
        return "Sketch" in [layer.name for layer in document.layers()]

    krita.trigger("remove_layer")
    krita.wait_until(lambda: not has_sketch())
    before = Before.of(document)
    krita.trigger("krita_bridge_generate")
    docker.wait_for_state("is gone")
    assert not docker.is_busy() and before.is_restored()
    document.undo()
    krita.wait_until(has_sketch)
    assert controls.layers() == ["Sketch"]
    docker.paint(document, "back again", CONTROLLED)
    assert used(studio)[0][0][:2] == ["depth", "picture"]


def test_controls_belong_to_their_document_and_its_file(studio: Studio, controls: Rows) -> None:
    krita, docker, document = studio.krita, studio.docker, scene(studio)
    document.activate_layer("Sketch")
    controls.add()
    controls.choose(0, "source", "Layer")
    result = docker.paint(document, "a sign", CONTROLLED)
    other = krita.new_document(WIDTH, HEIGHT)
    krita.wait_until(lambda: controls.layers() == [])
    document.activate()
    krita.wait_until(lambda: controls.layers() == ["Sketch"])

    controls.remove_all()
    docker.choose_for_latest("a sign", "reused")
    krita.wait_until(lambda: controls.layers() == ["Sketch"])

    path = krita.home.path / "with-control.kra"
    document.save(path)
    document.close()
    other.activate()
    krita.wait_until(lambda: controls.layers() == [])
    again = krita.open_document(path)
    krita.wait_until(lambda: controls.layers() == ["Sketch"])

    controls.remove_all()
    again.activate_layer(result.name)
    docker.ask("docker.findChild(QtWidgets.QPushButton, 'settings_of_layer').click()")
    krita.wait_until(lambda: controls.layers() == ["Sketch"])


def test_what_a_preset_cannot_do_is_said_before_anything_is_sent(
    studio: Studio, controls: Rows
) -> None:
    krita, docker, document = studio.krita, studio.docker, scene(studio)
    controls.add()
    enabled = (
        "box = docker.findChild(QtWidgets.QComboBox, 'control_kind')\n"
        "[box.itemText(n) for n in range(box.count()) if box.model().item(n).isEnabled()]"
    )
    assert docker.ask(enabled) == ["Depth", "Scribble", "Canny edges", "Normals", "Pose"]
    # A pose is only given here, normals are worked out too.
    possible = enabled.replace("control_kind", "control_source")
    controls.choose(0, "kind", "Pose")
    assert docker.ask(possible) == ["Layer as is"]
    assert docker.ask(f"{possible}\nbox.currentText()") == "Layer as is"
    controls.choose(0, "kind", "Normals")
    controls.choose(0, "source", "Canvas")
    docker.paint(document, "a wall", CONTROLLED)
    assert used(studio)[0][0][:2] == ["normal", "canvas"]
    controls.choose(0, "kind", "Scribble")
    before = Before.of(document)
    docker.choose("quick")
    assert docker.ask(enabled) == ["Depth"]
    krita.trigger("krita_bridge_generate")
    docker.wait_for_state("has no ControlNet for")
    assert not docker.is_busy() and before.is_restored()


def test_a_model_with_depth_built_in_hears_all_of_a_depth_control(
    studio: Studio, controls: Rows
) -> None:
    docker = studio.docker
    scene(studio)
    controls.add()
    find = "slider = docker.findChild(QtWidgets.QSlider, 'control_strength')\n"
    docker.ask(f"{find}slider.setValue(60)")
    seen = f"{find}[slider.isEnabled(), slider.parent().toolTip()]"
    assert docker.ask(seen) == [True, ""]
    docker.choose(BUILT_IN)
    assert docker.ask(seen) == [False, "The model of “Built in” has depth built in: it hears all of it."]  # fmt: skip
    form = "from krita_bridge.wire.messages import to_fields\nto_fields(docker._form.form())"
    assert docker.ask(form)["controls"][0]["control"]["strength"] == 1.0
    docker.choose(CONTROLLED)
    assert docker.ask(form)["controls"][0]["control"]["strength"] == 0.6


_PICTURES = """\
from pathlib import Path
from krita_bridge.capture import CannotCapture
from krita_bridge.pictures import read_file, shrunk
from krita_bridge.wire.geometry import Bounds

def run(task):
    try:
        while True:
            next(task)
    except StopIteration as end:
        return end.value
    except CannotCapture as problem:
        return problem

def told(found):
    if isinstance(found, CannotCapture):
        return str(found)
    data = b"".join(found.strips)
    return [list(found.shape), list(data[:4]), list(data[-4:])]

def halves(area):
    return b"".join(
        (b"\\1\\2\\3\\xff" if y < 1000 else b"\\7\\x08\\x09\\xff") * area.width
        for y in range(area.y, area.bottom)
    )
"""


def test_large_pictures_become_small_and_odd_ones_a_sentence(studio: Studio) -> None:
    krita = studio.krita
    turned, broken = krita.home.path / "turned.jpg", krita.home.path / "broken.png"
    exif = Image.Exif()
    exif[0x0112] = 6  # lies on its side: to be turned clockwise
    Image.new("RGB", (2000, 1000), (200, 100, 50)).save(turned, quality=95, exif=exif)
    broken.write_bytes(b"\x89PNG\r\n\x1a\nnothing")
    bomb = krita.home.path / "bomb.png"  # 4.8 GB, says its header
    header = b"IHDR" + struct.pack(">IIBBBBB", 40_000, 30_000, 8, 6, 0, 0, 0)
    chunks = struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header))
    bomb.write_bytes(b"\x89PNG\r\n\x1a\n" + chunks + struct.pack(">I", 0) + b"IDAT5\xaf\x06\x1e")
    of_layer = "told(run(shrunk(Bounds(0, 0, 3000, 2000), lambda: True, halves, 1 << 20)))"
    shape, first, last = krita.evaluate(_PICTURES + of_layer)
    assert (shape, first, last) == ([683, 1024, 4], [1, 2, 3, 255], [7, 8, 9, 255])

    def read(path: Path) -> Any:
        inside = krita.install.inside(path)
        return krita.evaluate(f"{_PICTURES}told(run(read_file(Path({inside!r}))))")

    shape, first, _ = read(turned)
    assert shape == [1024, 512, 4] and first[3] == 255
    assert np.abs(np.subtract(first[:3], (50, 100, 200))).max() <= 4
    assert read(broken).startswith("broken.png cannot be read")
    assert read(bomb).startswith("bomb.png is too large (40000 x 30000 px)")
    assert "is not there" in read(krita.home.path / "none.png")

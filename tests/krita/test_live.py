"""Live painting in a real Krita: the picture follows the brush, and the document knows nothing of it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.krita.conftest import Studio
from tests.krita.harness import Before, BridgeDocker, Document, layers_of
from tests.krita.harness.docker import PATIENCE

WIDTH, HEIGHT = 256, 192
PROMPT = "a lake"

_PICTURE = """\
picture = docker.findChild(QtWidgets.QLabel, 'live_picture').pixmap()
"""


class Live:
    """The docker with live painting."""

    def __init__(self, studio: Studio) -> None:
        self.docker: BridgeDocker = studio.docker
        self.krita = studio.krita

    def switch(self, on: bool) -> None:
        self.docker.switch("QToolButton", "live", on)

    def strength(self, share: float) -> None:
        self.docker.ask(
            "slider = docker.findChild(QtWidgets.QSlider, 'strength')\n"
            f"slider.setValue(round(slider.maximum() * {share}))"
        )

    def has_picture(self) -> bool:
        return bool(self.docker.ask(_PICTURE + "picture is not None and not picture.isNull()"))

    def brightness(self, x: float, y: float) -> float:
        """Of the live picture around a place of the canvas, px: 0 to 255."""
        code = (
            "image = picture.toImage()\n"
            f"x, y = image.width() * {x / WIDTH}, image.height() * {y / HEIGHT}\n"
            "seen = [image.pixelColor(int(x) + i, int(y) + j).lightness() for i in (-2, 0, 2) for j in (-2, 0, 2)]\n"
            "sum(seen) / len(seen)"
        )
        return float(self.docker.ask(_PICTURE + code))

    def pace(self) -> str:
        return str(self.docker.ask("docker.findChild(QtWidgets.QLabel, 'live_pace').text()"))


@pytest.fixture
def live(studio: Studio) -> Iterator[Live]:
    """Live painting, off; switched off again at the end."""
    found = Live(studio)
    yield found
    found.switch(False)


def document_to_follow(studio: Studio) -> Document:
    """A white canvas with a stroke along its top, a thick dark brush in hand, and what it is to become."""
    document = studio.krita.new_document(WIDTH, HEIGHT)
    studio.krita.agent.call("set_brush", "b) Basic-5", 40.0, [10, 10, 10])
    document.draw_stroke([(20, 15), (WIDTH - 20, 15)])
    studio.docker.choose("quick")
    studio.docker.write(PROMPT)
    studio.docker.wait_for_mode("Refine")
    return document


def test_the_picture_follows_each_stroke_and_each_undo(studio: Studio, live: Live) -> None:
    document = document_to_follow(studio)
    live.strength(0.25)
    live.switch(True)
    x, y = WIDTH / 2, HEIGHT * 0.6
    studio.krita.wait_until(live.has_picture, PATIENCE)
    studio.krita.wait_until(lambda: live.brightness(x, y) > 160, PATIENCE)
    document.draw_stroke([(30, y), (WIDTH - 30, y)])
    studio.krita.wait_until(lambda: live.brightness(x, y) < 100, PATIENCE)
    assert "after the brush" in live.pace()
    document.undo()
    studio.krita.wait_until(lambda: live.brightness(x, y) > 160, PATIENCE)


def test_switched_off_the_document_is_as_it_was(studio: Studio, live: Live) -> None:
    document = document_to_follow(studio)
    live.strength(0.25)
    before, undo, redo = Before.of(document), document.next_undo(), document.next_redo()
    live.switch(True)
    studio.krita.wait_until(live.has_picture, PATIENCE)
    live.switch(False)
    document.settle()
    assert before.is_restored()
    assert (document.next_undo(), document.next_redo()) == (undo, redo)
    visible = "docker.findChild(QtWidgets.QLabel, 'live_picture').isVisible()"
    studio.krita.wait_until(lambda: not live.docker.ask(visible), PATIENCE)


def test_a_kept_picture_is_a_layer_and_one_undo_step_and_stays_in_the_selection(
    studio: Studio, live: Live
) -> None:
    document = document_to_follow(studio)
    document.select_rectangle(60, 50, 200, 150)
    live.docker.choose_mode("Refine")
    live.strength(0.8)
    before = Before.of(document)
    live.switch(True)
    studio.krita.wait_until(live.has_picture, PATIENCE)
    studio.krita.trigger("krita_bridge_keep")
    studio.krita.wait_until(
        lambda: any(not layer.locked for layer in layers_of(document, PROMPT)), PATIENCE
    )
    live.switch(False)
    document.settle()
    before.assert_only_selected_pixels_changed()
    before.assert_one_undo_restores_and_redo_repeats()

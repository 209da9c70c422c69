"""Live painting as a painter uses it, and the pictures that come of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from .docker import PATIENCE

if TYPE_CHECKING:
    from .docker import BridgeDocker
    from .document import Document
    from .session import Krita

WIDTH, HEIGHT = 256, 192
"""Of the canvas to be painted on, px."""

PROMPT = "a lake"
WINDOW = "live_window"
_SLIDER = "slider = docker.findChild(QtWidgets.QSlider, 'strength')\n"
# Pixels from the slider's left end to the middle of its handle.
_HANDLE = """\
length = slider.style().pixelMetric(QtWidgets.QStyle.PixelMetric.PM_SliderLength, None, slider)
room = slider.minimum(), slider.maximum(), slider.value(), slider.width() - length
QtWidgets.QStyle.sliderPositionFromValue(*room) + length // 2
"""
_PICTURE = "picture = docker.findChild(QtWidgets.QLabel, 'live_picture').pixmap()\n"
_WORDS = "docker.findChild(QtWidgets.QLabel, 'live_pace').text()"
_SHOWN = """\
import krita_bridge.extension
from krita_bridge.wire.messages import to_fields
shown = krita_bridge.extension.studio().live.shown
"""
_WINDOW = f"""\
window = next((w for w in QtWidgets.QApplication.topLevelWidgets() if w.objectName() == {WINDOW!r} and w.isVisible()), None)
"""
_BRIGHTNESS = """\
x, y = image.width() * {x}, image.height() * {y}
seen = [image.pixelColor(int(x) + i, int(y) + j).lightness() for i in (-2, 0, 2) for j in (-2, 0, 2)]
sum(seen) / len(seen)
"""


@dataclass(frozen=True)
class LivePictureSeen:
    """A live picture: where it lies, its pixels (H x W x 4 uint8, RGBA), and what it and the docker say of it."""

    x: int
    y: int
    pixels: np.ndarray
    full: bool
    revision: int
    facts: dict[str, Any]
    words: str


class Live:
    """The part of the docker that is about live painting."""

    def __init__(self, krita: Krita, docker: BridgeDocker) -> None:
        self.krita = krita
        self.docker = docker

    def document(self, width: int = WIDTH, height: int = HEIGHT) -> Document:
        """A white canvas with a stroke along its top, a thick dark brush in hand, and what it is to become."""
        document = self.krita.new_document(width, height)
        self.krita.agent.call("set_brush", "b) Basic-5", 40.0, [10, 10, 10])
        document.draw_stroke([(20, 15), (width - 20, 15)])
        self.docker.choose("quick")
        self.docker.write(PROMPT)
        self.docker.wait_for_mode("Refine")
        return document

    def switch(self, on: bool) -> None:
        self.docker.switch("QToolButton", "live", on)

    def begin(self, strength: float) -> None:
        """Live painting on, at this share of the strength, and wait for a picture."""
        self.docker.ask(_SLIDER + f"slider.setValue(round(slider.maximum() * {strength}))")
        self.switch(True)
        self.krita.wait_until(self.has_picture, PATIENCE)

    def end(self) -> None:
        """Live painting off, also where Krita hides the docker for want of a document."""
        self.krita.evaluate(_SHOWN + "krita_bridge.extension.studio().live.switch_off()")

    def has_picture(self) -> bool:
        return bool(self.docker.ask(_PICTURE + "picture is not None and not picture.isNull()"))

    def brightness(self, x: float, y: float) -> float:
        """Of the picture in the docker around a place, shares of its sides: 0 to 255."""
        code = "image = picture.toImage()\n" + _BRIGHTNESS.format(x=x, y=y)
        return float(self.docker.ask(_PICTURE + code))

    def brightness_in_window(self, x: float, y: float) -> float:
        """The same of the window, shares of the window's sides; -1 while there is none."""
        code = "image = window.grab().toImage()\n" + _BRIGHTNESS.format(x=x, y=y)
        return float(self.krita.evaluate(_WINDOW + code)) if self.has_window() else -1.0

    def has_window(self) -> bool:
        return bool(self.krita.evaluate(_WINDOW + "window is not None"))

    def picture(self) -> LivePictureSeen:
        """The one that is shown."""
        found = self.docker.ask(
            _SHOWN + "message, area = shown.message, shown.message.bounds\n"
            "[area.x, area.y, area.width, area.height, bytes(shown.image)]"
            f" + [message.full, message.revision, to_fields(message.facts), {_WORDS}]"
        )
        x, y, width, height, data, *said = found
        pixels = np.frombuffer(data, np.uint8).reshape(height, width, 4)[..., [2, 1, 0, 3]]
        return LivePictureSeen(x, y, pixels, *said)

    def area(self) -> tuple[int, int, int, int]:
        """Where the one that is shown lies: x, y, width and height."""
        x, y, width, height = self.krita.evaluate(
            _SHOWN + "area = shown.message.bounds\n[area.x, area.y, area.width, area.height]"
        )
        return x, y, width, height

    def result_facts(self) -> dict[str, Any]:
        """What the latest result in the docker says of itself."""
        entries = "krita_bridge.extension.studio().painting.history.entries()"
        return dict(self.krita.evaluate(_SHOWN + f"to_fields({entries}[-1].facts)"))

    def strength(self) -> float:
        """What the slider says."""
        return float(self.docker.ask(_SLIDER + "slider.value() / slider.maximum()"))

    @contextmanager
    def held_strength(self, share: float) -> Iterator[None]:
        """The slider dragged by its handle to a share of its length, and not let go as long as this lasts."""
        x, y, width, height = self.docker.find("QSlider", "strength")["rect"]
        held, middle = x + self.docker.ask(_SLIDER + _HANDLE), y + height // 2
        self.krita.display.xdotool("mousemove", held, middle, "sleep", 0.1, "mousedown", 1)
        try:
            self.krita.wait_until(lambda: self.docker.ask(_SLIDER + "slider.isSliderDown()"))
            self.krita.display.move((x + round(share * width), middle))
            yield
        finally:
            self.krita.display.xdotool("mouseup", 1)

    def pace(self) -> str:
        return str(self.docker.ask(_WORDS))

    def frames(self) -> int:
        """Of the recording that runs; 0 while there is none."""
        keeper = "krita_bridge.extension.studio().keeper"
        return int(self.krita.evaluate(_SHOWN + f"{keeper}.frames()"))

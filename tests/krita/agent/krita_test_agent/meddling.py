"""Makes rare things happen in Krita: a stroke within milliseconds of something, a plugin that takes its time."""

from __future__ import annotations

import functools
import importlib
import time
from typing import Any

from krita import Krita

from .qt import QtCore, QtTest, QtWidgets

_slowed: dict[tuple[str, str], Any] = {}


class HastyPainter:
    """Draws one stroke in each layer that is active without being the painter's, as soon as it is."""

    def __init__(self, layer: str, start: list[int], end: list[int]) -> None:
        self._document = Krita.instance().activeDocument()
        self._layer = layer
        self._points = [QtCore.QPoint(*start), QtCore.QPoint(*end)]
        self._seen: list[str] = []
        self._timer = QtCore.QTimer()
        self._timer.timeout.connect(self._look)
        self._timer.start(0)

    def stop(self) -> list[str]:
        """The names of the layers that were active when strokes began."""
        self._timer.stop()
        return self._seen

    def _look(self) -> None:
        active = self._document.activeNode()
        if active is not None and active.name() != self._layer and active.name() not in self._seen:
            self._seen.append(active.name())
            self._draw()

    def _draw(self) -> None:
        start, end = self._points
        canvas = QtWidgets.QApplication.widgetAt(start)
        button, free = QtCore.Qt.MouseButton.LeftButton, QtCore.Qt.KeyboardModifier.NoModifier
        start, end = canvas.mapFromGlobal(start), canvas.mapFromGlobal(end)
        QtTest.QTest.mousePress(canvas, button, free, start)
        QtTest.QTest.mouseMove(canvas, end)
        QtTest.QTest.mouseRelease(canvas, button, free, end)


_hasty: list[HastyPainter] = []


def hasty_painter_start(layer: str, start: list[int], end: list[int]) -> None:
    """From now on, a stroke between two points of the screen whenever another layer than `layer` is active."""
    _hasty.append(HastyPainter(layer, start, end))


def hasty_painter_stop() -> list[str]:
    return _hasty.pop().stop()


def slow_down(where: str, name: str, seconds: float) -> None:
    """From now on a call of a function of the plugin takes `seconds` longer, half of the time at most; 0: as it was.

    `where`: a module of the plugin, and a class in it after a colon. Half: so that Krita works off what has come
    meanwhile, however slow the machine is.
    """
    module, _, kind = where.partition(":")
    holder = importlib.import_module(module)
    holder = getattr(holder, kind) if kind else holder
    original = _slowed.pop((where, name), None) or getattr(holder, name)
    if not seconds:
        setattr(holder, name, original)
        return
    _slowed[where, name] = original

    rested = time.monotonic()

    @functools.wraps(original)
    def slower(*args: Any, **named: Any) -> Any:
        nonlocal rested
        if time.monotonic() >= rested:
            time.sleep(seconds)
            rested = time.monotonic() + seconds
        return original(*args, **named)

    setattr(holder, name, slower)

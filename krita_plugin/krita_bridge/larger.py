"""Results of upscaling: documents of their own, opened behind the one that the painter works on."""

from __future__ import annotations

from typing import Any, Optional

from krita import Krita

from .closing import close_guard, in_dialog, let_krita_catch_up
from .document import SRGB, CanvasDocument, active_document
from .history import Entry
from .painting import Painting
from .provenance import Record, write
from .qt import QtWidgets
from .strips import strips
from .text import tr
from .turns import Task
from .wire.geometry import Bounds
from .words import layer_name

IDLE_POLL_SECONDS = 0.1
REST_SECONDS = 0.5
"""So long nothing has been painted before a document is opened: Krita takes 0.2 s for a small one, 2 s for the largest
(measured with 5.1.5)."""

SETTLED_SECONDS = 0.1
"""How long Krita gets until its dockers know of a new document; 1 ms was enough on an idle machine."""

_RESOLUTION = 300.0
"""Pixels per inch, as of Krita's own new documents."""


def is_larger(entry: Entry) -> bool:
    """Whether a result is a whole picture, and not a layer for the document that it came from."""
    return entry.facts.upscale > 1


def open_larger(entry: Entry, painting: Painting) -> Task:
    """Open the result; where that cannot be, it stays where it waits, and a sentence says so.

    The document in front stays in front: its painter may be in the middle of something.
    """
    yield from _until_rest()
    if painting.history.get(entry.job) is None:
        return  # it was asked for twice, or discarded meanwhile
    name = layer_name(entry.facts.prompt.strip() or tr("Larger picture"), entry.facts.seed)
    size, window = entry.bounds.extent, _window()
    document = None
    if window is not None:
        document = Krita.instance().createDocument(
            size.width, size.height, name, "RGBA", "U8", SRGB, _RESOLUTION
        )
    if document is None:
        painting.kept(
            entry.job,
            tr("Krita could not open the larger picture; it waits below. Click it to try again."),
        )
        return
    layer = document.rootNode().childNodes()[0]
    layer.setName(name)
    view = memoryview(entry.image).cast("B")
    for strip in strips(Bounds.of_canvas(size), 4):
        start = strip.y * size.width * 4
        data = bytes(view[start : start + strip.width * strip.height * 4])
        layer.setPixelData(data, strip.x, strip.y, strip.width, strip.height)
        yield 0.0
    document.refreshProjection()
    record = Record(entry.facts, entry.canvas, entry.bounds)
    write(CanvasDocument(document), layer.uniqueId().toString(), record)
    document.setModified(True)
    yield from _until_rest()
    _open_behind(window, document)
    close_guard.watch()
    close_guard.layer_changed()
    painting.discard(entry.job)  # the document has it now
    painting.say(tr("The larger picture is open in a tab of its own: {0}", name))


def _until_rest() -> Task:
    """Wait until nothing has been painted for a moment, and no dialog is open."""
    rested = 0.0
    while rested < REST_SECONDS:
        document = active_document()
        busy = in_dialog() or (document is not None and not document.is_idle())
        rested = 0.0 if busy else rested + IDLE_POLL_SECONDS
        yield IDLE_POLL_SECONDS


def _window() -> Optional[Any]:
    windows = Krita.instance().windows()
    return Krita.instance().activeWindow() or (windows[0] if windows else None)


def _open_behind(window: Any, document: Any) -> None:
    """Krita's own `Window.showView` leaves the new one in front (5.1.5)."""
    areas = window.qwindow().centralWidget().findChildren(QtWidgets.QMdiArea)
    before = [(area, area.activeSubWindow()) for area in areas]
    window.addView(document)
    # Without this the layers docker would show the layers of the new one below the other's picture (5.1.5).
    let_krita_catch_up(SETTLED_SECONDS)
    for area, sub_window in before:
        if sub_window is not None:
            area.setActiveSubWindow(sub_window)

"""Results of upscaling: documents of their own, opened behind the one that the painter works on."""

from __future__ import annotations

from typing import Any, List, Optional

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


def open_larger(entry: Entry, painting: Painting, asked: bool) -> Task:
    """Open the result, together with the other parts of its picture; where that cannot be, it stays where it waits, and a
    sentence says so. What Krita takes long for is opened only when the painter has `asked` for it.

    The document in front stays in front: its painter may be in the middle of something.
    """
    if painting.is_painting(entry.note):
        if asked:
            painting.say(tr("The larger picture is still being painted: it can be opened then."))
        return
    yield from _until_rest()
    if painting.history.get(entry.job) is None:
        return  # it was asked for twice, or discarded meanwhile
    found = painting.history.of_press(entry)
    whole = _around([each.bounds for each in found])
    size, window = whole.extent, _window()
    if not asked and _is_part(entry):
        painting.say(tr("Upscaled: click it below to open it."))
        return
    name = layer_name(entry.facts.prompt.strip() or tr("Larger picture"), entry.facts.seed)
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
    for each in found:
        yield from _fill(layer, each, each.bounds.relative_to(whole))
    document.refreshProjection()
    record = Record(entry.facts, entry.canvas, whole)
    write(CanvasDocument(document), layer.uniqueId().toString(), record)
    document.setModified(True)
    yield from _until_rest()
    _open_behind(window, document)
    close_guard.watch()
    close_guard.layer_changed()
    for each in found:
        painting.discard(each.job)  # the document has it now
    painting.say(tr("The larger picture is open in a tab of its own: {0}", name))


def _is_part(entry: Entry) -> bool:
    """Whether it is one of several that make the picture: less than what was captured for it comes to, by far."""
    if entry.note is None:
        return False
    area, factor = entry.note.area, entry.facts.upscale
    all_of_it = area.width * factor * area.height * factor
    return entry.bounds.width * entry.bounds.height < 0.6 * all_of_it


def _around(parts: List[Bounds]) -> Bounds:
    """The box round all of them."""
    x, y = min(part.x for part in parts), min(part.y for part in parts)
    right, bottom = max(part.right for part in parts), max(part.bottom for part in parts)
    return Bounds(x, y, right - x, bottom - y)


def _fill(layer: Any, entry: Entry, at: Bounds) -> Task:
    """Write a result's pixels onto a layer at `at`, a strip in each turn."""
    view = memoryview(entry.image).cast("B")
    for strip in strips(at, 4):
        start = (strip.y - at.y) * at.width * 4
        data = bytes(view[start : start + strip.width * strip.height * 4])
        layer.setPixelData(data, strip.x, strip.y, strip.width, strip.height)
        yield 0.0


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

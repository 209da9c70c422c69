"""Shows pixels that were written to a layer, at a cost that follows the layer and not the canvas.

`Document.refreshProjection` merges the whole canvas while the UI thread waits: 70 ms at 2048 px and 270 ms at
4096 px (medians, Krita 5.1.5, two busy cores). Krita's Python has no call that redraws one layer, but its layers
docker has a way: setting a layer's properties through the docker's model redraws that layer in the background
(8 ms at either size). A property set and set back at once leaves no undo step, because the two annihilate each
other; "inherit alpha" is the one of which the painter sees nothing meanwhile and that redraws in all of 5.1.5, 5.2.9,
5.3.4 and 6.0.4. It does drop what redo would bring back, so this way is closed while there is something to redo.
It is tried once against `refreshProjection` before anything relies on it, at the first redraw on a canvas of any size
(70 ms more at 2048 px), and what came of it is remembered for this version of Krita.
"""

from __future__ import annotations

from typing import Any, Callable, Dict, List, Optional

from krita import Krita

from . import settings
from .closing import close_guard
from .document import CanvasDocument
from .qt import Qt, QtCore, QtWidgets, sip
from .turns import Task
from .wire.geometry import Bounds

SETTLE_SECONDS = 0.05
LEAST_PIXELS = 1536 * 1536
"""Smaller canvases are refreshed as a whole in the same time."""
_PROPERTIES = 2 + Qt.ItemDataRole.UserRole  # KisNodeModel::PropertiesRole
_LAYERS_DOCKER = "KisLayerBox"
_LAYERS_VIEW = "listLayers"


class _Verdict:
    """Whether the layers docker redraws as described: None until it was tried."""

    works: Optional[bool] = None


_nothing_to_redo: Dict[str, str] = {}


def _works() -> Optional[bool]:
    if _Verdict.works is None and settings.redraw_proven_with() == Krita.instance().version():
        _Verdict.works = True
    return _Verdict.works


def layer_was_added(document: CanvasDocument) -> None:
    """Call after a layer was added: there is nothing to redo now, and the action's text says how that looks."""
    _nothing_to_redo[document.key] = _text("edit_redo")


def nothing_to_redo(document: CanvasDocument) -> bool:
    """Whether redo would bring nothing back since `layer_was_added`."""
    return _nothing_to_redo.get(document.key) == _text("edit_redo")


def forget_redo(document: CanvasDocument) -> None:
    """Drop what redo would bring back, without an undo step; only where that is proven to work."""
    node = document.active_node()
    index = _index_of(document, node) if _works() and node is not None else None
    if index is not None:
        # Of its lock the painter sees nothing either, and nothing is redrawn.
        _set_and_set_back(index, node.locked(), node.setLocked)


def redraw(document: CanvasDocument, node: Any) -> Task:
    """Bring the projection up to date where `node` has pixels. Only while no stroke is being painted."""
    canvas, works = document.canvas(), _works()
    is_large = canvas.width * canvas.height >= LEAST_PIXELS
    wanted = works is None or (works and is_large)
    index = _index_of(document, node) if wanted and nothing_to_redo(document) else None
    if index is None:
        document.refresh()
    elif works:
        _touch(node, index)
    else:
        yield from _try(document, node, index)


def _try(document: CanvasDocument, node: Any, index: Any) -> Task:
    """Redraw through the docker, then for certain, and compare."""
    box = node.bounds()
    sample = Bounds(box.x(), box.y() + box.height() // 2, box.width(), 1)
    stale, step = document.read_image(sample), _text("edit_undo")
    _touch(node, index)
    yield SETTLE_SECONDS
    while document.is_open() and not document.is_idle():
        yield SETTLE_SECONDS
    if not document.is_open():
        return
    shown, step_after = document.read_image(sample), _text("edit_undo")
    document.refresh()
    true = document.read_image(sample)
    if step_after != step or shown != true:
        _Verdict.works = False
    elif shown != stale:
        _Verdict.works = True
        settings.save_redraw_proven_with(Krita.instance().version())


def _touch(node: Any, index: Any) -> None:
    _set_and_set_back(index, node.inheritAlpha(), node.setInheritAlpha)


def _set_and_set_back(index: Any, value: bool, write: Callable[[bool], None]) -> None:
    """A property of a layer, the other way and back through the layers docker's model."""
    write(not value)
    other = _raw(index)
    write(value)
    same = _raw(index)
    model = index.model()
    model.setData(index, other, _PROPERTIES)
    model.setData(index, same, _PROPERTIES)
    close_guard.layer_changed()


def _index_of(document: CanvasDocument, node: Any) -> Any:
    """The layer's row in the layers docker; None when it cannot be told."""
    if not document.is_active():
        return None
    model = _layers_model()
    found = _rows_called(model, node.name()) if model is not None else []
    return found[0] if len(found) == 1 else None


def _layers_model() -> Any:
    """The model behind the layers docker of the window in front; None when there is none."""
    krita = Krita.instance()
    window = krita.activeWindow()
    front = window.qwindow() if window is not None else None
    for docker in krita.dockers():
        # Asking the docker and not the window: that one has thousands of children (100 ms).
        if docker.objectName() == _LAYERS_DOCKER and docker.window() == front:
            view = docker.findChild(QtWidgets.QTreeView, _LAYERS_VIEW)
            return view.model() if view is not None else None
    return None


def _rows_called(model: Any, name: str) -> List[Any]:
    found: List[Any] = []
    pending = [QtCore.QModelIndex()]
    while pending:
        parent = pending.pop()
        for row in range(model.rowCount(parent)):
            index = model.index(row, 0, parent)
            if model.data(index, Qt.ItemDataRole.DisplayRole) == name:
                found.append(index)
            pending.append(index)
    return found


def _raw(index: Any) -> Any:
    """The properties as the QVariant they come in: PyQt knows no such type and need not."""
    old = sip.enableautoconversion(QtCore.QVariant, False)
    try:
        return index.model().data(index, _PROPERTIES)
    finally:
        sip.enableautoconversion(QtCore.QVariant, old)


def _text(action: str) -> str:
    return str(Krita.instance().action(action).text())

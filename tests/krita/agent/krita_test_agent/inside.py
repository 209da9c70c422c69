"""What tests ask of Krita. Every function runs in the UI thread and answers with plain JSON values."""

from __future__ import annotations

import hashlib
from typing import Any

from krita import Krita, ManagedColor, Selection

from . import faults
from .heartbeat import Heartbeat
from .meddling import hasty_painter_start, hasty_painter_stop, slow_down  # noqa: F401
from .qt import QtCore, QtGui, QtWidgets

_CANVAS_CLASSES = ("KisQPainterCanvas", "KisOpenGLCanvas2")
_documents: dict[int, Any] = {}
_triggered: dict[str, int] = {}
_heartbeat = Heartbeat()


def is_ready() -> bool:
    window = Krita.instance().activeWindow()
    return window is not None and window.qwindow().isVisible()


def _window() -> Any:
    return Krita.instance().activeWindow()


def version() -> str:
    return Krita.instance().version()


def exceptions() -> list[str]:
    return faults.take()


def settle_window(width: int, height: int) -> int:
    """Give the window its size (there is no window manager to do it) and say its X id."""
    main = _window().qwindow()
    main.setGeometry(0, 0, width, height)
    main.activateWindow()
    return int(main.winId())


# --- documents -------------------------------------------------------------------------------


def new_document(width: int, height: int, colour: str, depth: str, name: str) -> int:
    document = Krita.instance().createDocument(width, height, name, colour, depth, "", 300.0)
    _window().addView(document)
    Krita.instance().setActiveDocument(document)
    return _remember(document)


def open_document(path: str) -> int:
    document = Krita.instance().openDocument(path)
    _window().addView(document)
    Krita.instance().setActiveDocument(document)
    return _remember(document)


def _remember(document: Any) -> int:
    key = 1 + max(_documents, default=0)
    _documents[key] = document
    return key


def activate(key: int) -> None:
    """Bring the document's view to the front, as a click on its tab does."""
    for view in _window().views():
        if view.document() == _documents[key]:
            _window().showView(view)
            view.setVisible()
    Krita.instance().setActiveDocument(_documents[key])


def close_document(key: int) -> None:
    """File > Close for a document whose changes nobody wants. Returns before it is closed."""
    activate(key)
    document = _documents.pop(key)
    document.waitForDone()
    document.setModified(False)
    trigger("file_close")


def open_documents() -> list[int]:
    """The keys of documents that are shown somewhere; forgets the others. Bringing one that a plugin keeps for itself to
    the front would open a view of it."""
    shown = [view.document() for view in _window().views()]
    still = [document for document in Krita.instance().documents() if document in shown]
    for key in [key for key, document in _documents.items() if document not in still]:
        del _documents[key]
    for document in still:
        if document not in _documents.values():
            _remember(document)
    return list(_documents)


def save_as(key: int, path: str) -> bool:
    document = _documents[key]
    document.setBatchmode(True)
    saved = document.saveAs(path)
    document.setBatchmode(False)
    return saved


def describe(key: int) -> dict[str, Any]:
    document = _documents[key]
    return {
        "width": document.width(),
        "height": document.height(),
        "colour": document.colorModel(),
        "depth": document.colorDepth(),
        "profile": document.colorProfile(),
        "modified": document.modified(),
        "active": _layer_facts(document.activeNode()),
    }


def projection_bytes(key: int, refresh: bool) -> Any:
    """The flattened document in its own colour space, as Krita's projection holds it right now."""
    document = _documents[key]
    document.waitForDone()
    if refresh:
        document.refreshProjection()
    return document.pixelData(0, 0, document.width(), document.height())


def projection_part(key: int, area: list[int]) -> Any:
    document = _documents[key]
    document.waitForDone()
    return document.pixelData(*area)


def projection_srgb(key: int) -> Any:
    """The flattened document as BGRA bytes in sRGB, whatever its colour space."""
    document = _documents[key]
    document.waitForDone()
    image = document.projection(0, 0, document.width(), document.height())
    image = image.convertToFormat(QtGui.QImage.Format.Format_ARGB32)
    return image.constBits().asstring(image.bytesPerLine() * image.height())


# --- layers ----------------------------------------------------------------------------------


def _layer_facts(node: Any) -> dict[str, Any] | None:
    if node is None:
        return None
    bounds = node.bounds()
    return {
        "name": node.name(),
        "kind": node.type(),
        "id": node.uniqueId().toString(),
        "visible": node.visible(),
        "locked": node.locked(),
        "opacity": node.opacity(),
        "blending": node.blendingMode(),
        "colour": node.colorModel(),
        "depth": node.colorDepth(),
        "bounds": [bounds.x(), bounds.y(), bounds.width(), bounds.height()],
        "children": [_layer_facts(child) for child in node.childNodes()],
    }


def nodes(key: int) -> list[Any]:
    """The layer tree, bottom first."""
    document = _documents[key]
    document.waitForDone()
    return [_layer_facts(node) for node in document.rootNode().childNodes()]


def _find(key: int, name: str) -> Any:
    pending = list(_documents[key].rootNode().childNodes())
    while pending:
        node = pending.pop()
        if node.name() == name:
            return node
        pending.extend(node.childNodes())
    raise LookupError(f"no layer called {name!r}")


def add_layer(key: int, name: str, kind: str, parent: str | None) -> None:
    document = _documents[key]
    node = document.createNode(name, kind)
    holder = document.rootNode() if parent is None else _find(key, parent)
    holder.addChildNode(node, None)
    document.waitForDone()


def change_layer(key: int, name: str, facts: dict[str, Any]) -> None:
    """Set a layer's name, opacity, visible, locked or blending."""
    setters = {
        "name": "setName",
        "opacity": "setOpacity",
        "visible": "setVisible",
        "locked": "setLocked",
        "blending": "setBlendingMode",
    }
    node = _find(key, name)
    for fact, value in facts.items():
        getattr(node, setters[fact])(value)
    _documents[key].refreshProjection()
    _documents[key].waitForDone()


def activate_layer(key: int, name: str) -> None:
    _documents[key].setActiveNode(_find(key, name))
    _documents[key].waitForDone()


def layer_bytes(key: int, name: str, projected: bool) -> Any:
    document = _documents[key]
    document.waitForDone()
    node = _find(key, name)
    read = node.projectionPixelData if projected else node.pixelData
    return read(0, 0, document.width(), document.height())


def set_layer_bytes(key: int, name: str, data: bytes, bounds: list[int]) -> None:
    document = _documents[key]
    _find(key, name).setPixelData(data, *bounds)
    document.refreshProjection()
    document.waitForDone()


def annotations(key: int) -> list[str]:
    """The names of what plugins keep with the document."""
    return list(_documents[key].annotationTypes())


# --- selection -------------------------------------------------------------------------------


def selection_bounds(key: int) -> list[int] | None:
    _documents[key].waitForDone()
    selection = _documents[key].selection()
    if selection is None:
        return None
    return [selection.x(), selection.y(), selection.width(), selection.height()]


def select_exactly(key: int, x: int, y: int, width: int, height: int) -> None:
    selection = Selection()
    if width and height:
        selection.select(x, y, width, height, 255)
    _documents[key].setSelection(selection)
    _documents[key].waitForDone()


def selection_fingerprint(key: int) -> str:
    return hashlib.sha1(bytes(selection_bytes(key))).hexdigest()


def selection_bytes(key: int) -> Any:
    document = _documents[key]
    document.waitForDone()
    selection = document.selection()
    if selection is None:
        return bytes(document.width() * document.height())
    return selection.pixelData(0, 0, document.width(), document.height())


# --- the window ------------------------------------------------------------------------------


def trigger(action: str) -> None:
    """Fire an action by its name, after answering: it may open a dialog and stay in it."""
    found = Krita.instance().action(action)
    if found is None:
        raise LookupError(f"no action called {action!r}")
    QtCore.QTimer.singleShot(0, found.trigger)


def dialog() -> dict[str, Any] | None:
    """The modal dialog or message box that is open now."""
    widget = QtWidgets.QApplication.activeModalWidget()
    if widget is None:
        return None
    labels = [child.text() for child in widget.findChildren(QtWidgets.QLabel)]
    return {
        "class": widget.metaObject().className(),
        "title": widget.windowTitle(),
        "labels": labels,
    }


def canvas_geometry() -> dict[str, Any]:
    """Where the active canvas is on the screen, in pixels, and its document's size.

    Not its zoom: what `zoomLevel()` answers depends on the version and the document's resolution.
    """
    area = _window().qwindow().findChild(QtWidgets.QMdiArea)
    front = area.activeSubWindow() or _window().qwindow()
    widgets = [
        child
        for child in front.findChildren(QtWidgets.QWidget)
        if child.metaObject().className() in _CANVAS_CLASSES and child.isVisible()
    ]
    if not widgets:
        raise LookupError("no canvas is visible")
    document = Krita.instance().activeDocument()
    return {
        "rect": _on_screen(widgets[0]),
        "document": [document.width(), document.height()],
    }


def fit(key: int) -> float:
    """100 %, or the next half, quarter ... at which the whole document fits, in the middle."""
    activate(key)
    _, _, width, height = canvas_geometry()["rect"]
    document = _documents[key]
    level = 1.0
    while document.width() * level > width or document.height() * level > height:
        level /= 2
    _window().activeView().canvas().setZoomLevel(level)
    return level


def is_on_screen(key: int) -> bool:
    if Krita.instance().activeDocument() != _documents[key]:
        return False
    try:
        canvas_geometry()
    except LookupError:
        return False
    return True


def take_tool(action: str) -> None:
    Krita.instance().action(action).trigger()


def tool_is_ready(name: str) -> bool:
    """Whether the toolbox shows this tool as the one in hand."""
    button = _window().qwindow().findChild(QtWidgets.QToolButton, name)
    return button is not None and button.isChecked()


def settle(key: int) -> None:
    """Wait for the strokes Krita has in hand; events still on their way are not among them."""
    _documents[key].waitForDone()


def layer_fingerprint(key: int) -> str:
    """Changes when the active layer's pixels do."""
    document = _documents[key]
    document.waitForDone()
    data = document.activeNode().pixelData(0, 0, document.width(), document.height())
    return hashlib.sha1(bytes(data)).hexdigest()


def triggered(action: str) -> int:
    """How often an action was triggered since this was first asked, by whatever means."""
    if action not in _triggered:
        found = Krita.instance().action(action)
        if found is None:
            raise LookupError(f"no action called {action!r}")
        _triggered[action] = 0
        found.triggered.connect(lambda *_: _count(action))
    return _triggered[action]


def _count(action: str) -> None:
    _triggered[action] += 1


def action_text(action: str) -> str | None:
    """What an action's menu entry says, or None while it is disabled."""
    found = Krita.instance().action(action)
    return found.text().replace("&", "") if found.isEnabled() else None


def show_docker(name: str, visible: bool) -> None:
    for docker in Krita.instance().dockers():
        if docker.objectName() == name:
            docker.setVisible(visible)
            if visible:
                docker.raise_()
            return
    raise LookupError(f"no docker called {name!r}")


def dockers() -> list[dict[str, Any]]:
    return [
        {
            "name": docker.objectName(),
            "title": docker.windowTitle(),
            "visible": docker.isVisible(),
            "rect": _on_screen(docker),
        }
        for docker in Krita.instance().dockers()
    ]


def widgets(kind: str, within: str | None) -> list[dict[str, Any]]:
    """Visible widgets of a Qt class: in a docker, in the window (None) or in the dialog ("")."""
    top = _window().qwindow()
    if within == "":
        top = QtWidgets.QApplication.activeModalWidget()
    elif within is not None:
        top = next((d for d in Krita.instance().dockers() if d.objectName() == within), None)
        if top is None:
            raise LookupError(f"no docker called {within!r}")
    found = top.findChildren(getattr(QtWidgets, kind))
    return [_widget_facts(widget) for widget in found if widget.isVisible()]


def _widget_facts(widget: Any) -> dict[str, Any]:
    facts = {
        "name": widget.objectName(),
        "class": widget.metaObject().className(),
        "rect": _on_screen(widget),
        "enabled": widget.isEnabled(),
        "tip": widget.toolTip(),
    }
    for getter in ("text", "toPlainText", "value", "isChecked", "currentText"):
        method = getattr(widget, getter, None)
        if method is not None:
            facts[getter] = method()
    return facts


def _on_screen(widget: Any) -> list[int]:
    corner = widget.mapToGlobal(QtCore.QPoint(0, 0))
    return [corner.x(), corner.y(), widget.width(), widget.height()]


# --- painting --------------------------------------------------------------------------------


def set_brush(preset: str | None, size: float, rgb: list[int]) -> None:
    """Take a brush preset (None keeps the present one), a size in pixels and an sRGB colour."""
    view = _window().activeView()
    if preset is not None:
        found = Krita.instance().resources("preset")
        match = next((found[name] for name in sorted(found) if name.startswith(preset)), None)
        if match is None:
            raise LookupError(f"no brush preset starts with {preset!r}")
        view.setCurrentBrushPreset(match)
    view.setBrushSize(size)
    view.setForeGroundColor(_managed(rgb, view))


def _managed(rgb: list[int], view: Any) -> Any:
    colour = QtGui.QColor(*rgb)
    if hasattr(ManagedColor, "fromQColor"):
        return ManagedColor.fromQColor(colour, view.canvas())
    managed = ManagedColor("RGBA", "U8", "")
    managed.setComponents([rgb[2] / 255, rgb[1] / 255, rgb[0] / 255, 1.0])
    return managed


# --- time ------------------------------------------------------------------------------------


def heartbeat_start(own: bool) -> None:
    _heartbeat.start(own)


def heartbeat_stop() -> list[float]:
    return _heartbeat.stop()


def leave() -> None:
    """Quit as a painter with nothing to save does."""
    for document in Krita.instance().documents():
        document.waitForDone()
        document.setModified(False)
    QtCore.QTimer.singleShot(0, Krita.instance().action("file_quit").trigger)

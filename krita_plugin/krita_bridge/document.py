"""A Krita document as the rest of the plugin sees it: reading pixels, finding layers, remembering."""

from __future__ import annotations

from typing import Any, Iterable, Iterator, List, Optional, Set, Tuple

from krita import Krita

from .glance import glance
from .notes import DocumentMemory, read_memory
from .qt import QtCore, QtGui
from .wire.geometry import Bounds, Extent, Margins
from .wire.modes import Situation

ANNOTATION = "krita_bridge"
SRGB = "sRGB-elle-V2-srgbtrc.icc"
_SRGB_PROFILES = (SRGB, "sRGB built-in", "sRGB built-in - (lcms internal)", "sRGB IEC61966-2.1")
_ARGB32 = QtGui.QImage.Format.Format_ARGB32


def is_srgb8(model: str, depth: str, profile: str) -> bool:
    """Whether pixels of this colour space are what travels on the wire: BGRA, 8 bit, sRGB."""
    return model == "RGBA" and depth == "U8" and profile in _SRGB_PROFILES


def active_document() -> Optional[CanvasDocument]:
    """The document whose view is in front; None when there is none."""
    document = Krita.instance().activeDocument()
    return CanvasDocument(document) if document is not None else None


def open_document_with(document_id: str) -> Optional[CanvasDocument]:
    """The open document that carries this id; the active one first, because copies share their id."""
    active = Krita.instance().activeDocument()
    documents = [active] if active is not None else []
    for document in documents + Krita.instance().documents():
        found = CanvasDocument(document)
        memory = found.memory()
        if memory is not None and memory.document == document_id:
            return found
    return None


class CanvasDocument:
    """One open document. Everything here belongs to the UI thread."""

    def __init__(self, document: Any) -> None:
        self._document = document
        self.key = document.rootNode().uniqueId().toString()
        """Names the document for as long as it is open."""

    # ---- state

    def is_open(self) -> bool:
        return any(document == self._document for document in Krita.instance().documents())

    def is_active(self) -> bool:
        active = Krita.instance().activeDocument()
        return active is not None and active == self._document

    def is_idle(self) -> bool:
        """Whether no stroke is being painted and the projection is up to date."""
        if not self._document.tryBarrierLock():
            return False
        self._document.unlock()
        return True

    def canvas(self) -> Extent:
        return Extent(self._document.width(), self._document.height())

    def situation(self) -> Situation:
        """What selection and canvas look like, at a glance."""
        return glance(self, self.canvas(), self.selection_bounds())

    def selection_bounds(self) -> Optional[Bounds]:
        """The bounding box of what is selected; None when there is no selection at all."""
        selection = self._document.selection()
        if selection is None:
            return None
        return Bounds(selection.x(), selection.y(), selection.width(), selection.height())

    # ---- pixels (capture.Pixels)

    def read_image(self, area: Bounds) -> bytes:
        """What the painter sees: BGRA uint8, straight alpha, sRGB, whatever the document's colour space."""
        x, y, width, height = area.x, area.y, area.width, area.height
        if self.is_srgb8():
            return bytes(self._document.pixelData(x, y, width, height))
        image = self._document.projection(x, y, width, height)
        if image.format() != _ARGB32:
            image = image.convertToFormat(_ARGB32)
        return bytes(image.constBits().asstring(image.bytesPerLine() * image.height()))

    def read_mask(self, area: Bounds) -> bytes:
        """The selection: one byte a pixel, 255 selected; zeros once it is gone."""
        selection = self._document.selection()
        if selection is None:
            return bytes(area.width * area.height)
        return bytes(selection.pixelData(area.x, area.y, area.width, area.height))

    def is_srgb8(self) -> bool:
        """Whether the document's own pixels are what travels on the wire."""
        document = self._document
        return is_srgb8(document.colorModel(), document.colorDepth(), document.colorProfile())

    def grow(self, margins: Margins) -> None:
        """Make the canvas larger; an undo step of its own, as Image > Resize Canvas is."""
        grown = margins.around(self.canvas())
        self._document.resizeImage(-margins.left, -margins.top, grown.width, grown.height)
        self._document.waitForDone()

    def refresh(self) -> None:
        """Bring the projection up to date after pixels were written."""
        self._document.refreshProjection()

    # ---- layers

    def root(self) -> Any:
        return self._document.rootNode()

    def active_node(self) -> Any:
        return self._document.activeNode()

    def active_layer(self) -> Any:
        """The active layer, of an active mask the layer that it belongs to; None without one."""
        node = self.active_node()
        while node is not None and node.type().endswith("mask"):
            node = node.parentNode()
        return node

    def activate(self, node: Any) -> None:
        self._document.setActiveNode(node)

    def new_layer(self, name: str) -> Any:
        """A paint layer of 8-bit sRGB that is in no document yet."""
        if self.is_srgb8():
            return self._document.createNode(name, "paintlayer")
        layer = _srgb_layer().duplicate()
        layer.setName(name)
        return layer

    def find(self, unique_id: str) -> Any:
        """The node with this id, None when it is not in the document (Krita 5.1 has no search of its own)."""
        return next((n for n in self.nodes() if n.uniqueId().toString() == unique_id), None)

    def left_over(self, unique_id: str, name: str) -> Any:
        """A preview layer that an earlier run of Krita left in the file, locked as it was; None without one."""
        for node in self.nodes():
            if node.type() == "paintlayer" and node.locked():
                if node.uniqueId().toString() == unique_id or node.name() == name:
                    return node
        return None

    def nodes(self) -> Iterator[Any]:
        """The root and all below it."""
        pending: List[Any] = [self.root()]
        while pending:
            node = pending.pop()
            yield node
            pending.extend(node.childNodes())

    def layers(self) -> List[Tuple[str, str]]:
        """The uniqueId and the name of every layer, masks left out, as the layers docker has them: topmost first, what
        is in a group below it and indented."""
        found: List[Tuple[str, str]] = []
        pending = [(node, 0) for node in self.root().childNodes()]
        while pending:
            node, depth = pending.pop()
            if node.type().endswith("mask"):
                continue
            found.append((node.uniqueId().toString(), "    " * depth + node.name()))
            pending.extend((child, depth + 1) for child in node.childNodes())
        return found

    def layer_ids(self) -> Set[str]:
        """The uniqueIds of all that hangs in the layer tree."""
        return {node.uniqueId().toString() for node in self.nodes()}

    def holds(self, node: Any) -> bool:
        """Whether `node` hangs in this document's tree."""
        root = self.root().uniqueId()
        while node is not None:
            if node.uniqueId() == root:
                return True
            node = node.parentNode()
        return False

    # ---- memory

    def memory(self) -> Optional[DocumentMemory]:
        return read_memory(self.annotation(ANNOTATION))

    def remember(self, memory: DocumentMemory) -> None:
        """Keep it inside the file. Marks the document as modified, so only with a change of the picture."""
        if self.memory() != memory:
            self.annotate(ANNOTATION, memory.dumps())

    # ---- annotations (provenance.Annotated)

    def annotations(self) -> List[str]:
        """The names of all, those of others too, oldest first."""
        return list(self._document.annotationTypes())

    def annotation(self, name: str) -> bytes:
        """Empty when there is none of this name."""
        return bytes(self._document.annotation(name))

    def annotate(self, name: str, data: bytes) -> None:
        """Keep it inside the file. Marks the document as modified; makes no undo step."""
        self._document.setAnnotation(name, "Krita Bridge", QtCore.QByteArray(data))

    def drop_annotations(self, names: Iterable[str]) -> None:
        """Without marking the document as modified: nobody is to be asked to save for this alone."""
        was_modified = self._document.modified()
        for name in names:
            self._document.removeAnnotation(name)
        self._document.setModified(was_modified)


_template: Any = None


def _srgb_layer() -> Any:
    """A layer of 8-bit sRGB to be duplicated.

    `Node.setColorSpace` would cost an undo step of its own (measured with 5.1.5), so the layer is born in a small
    document of that colour space, which is made once: that takes about 0.3 s.
    """
    global _template
    if _template is None:
        document = Krita.instance().createDocument(1, 1, "", "RGBA", "U8", SRGB, 72.0)
        _template = document.createNode("", "paintlayer")
        document.close()
    return _template


def undo() -> None:
    Krita.instance().action("edit_undo").trigger()


def redo() -> None:
    Krita.instance().action("edit_redo").trigger()

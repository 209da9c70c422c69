"""A layer's own picture: what it shows by itself, with its masks and what lies in it, whatever is above or below."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Dict, Generator, Optional, Tuple

from krita import Krita

from .capture import CannotCapture
from .document import CanvasDocument, is_srgb8
from .gather import LAYER_IS_GONE
from .link import Pixels
from .pictures import read_file, shrunk
from .qt import QtGui
from .strips import STRIP_BYTES
from .text import tr
from .wire.geometry import Bounds

NAME = "Krita Bridge: colours of layers"

_ARGB32 = QtGui.QImage.Format.Format_ARGB32
CONVERTED_WIDTH, CONVERTED_HEIGHT = 2048, 8
"""Of the document that converts colours: 1 ms from 16 bit, 10 ms from floating point (Krita 5.1.5, two slow cores)."""


class DocumentSources:
    """The layers of a document, and files (gather.Sources)."""

    def __init__(self, document: CanvasDocument) -> None:
        self._document = document

    def layer(self, unique_id: str) -> Optional[LayerPixels]:
        """None when the document has no such layer."""
        node = self._document.find(unique_id) if self._document.is_open() else None
        return LayerPixels(self._document, node) if node is not None else None

    def file(self, path: Path) -> Generator[float, None, Pixels]:
        """The picture in a file."""
        return read_file(path)


class LayerPixels:
    """Reads one layer of a document (gather.Layer). Everything here belongs to the UI thread."""

    def __init__(self, document: CanvasDocument, node: Any) -> None:
        self._document = document
        self._node = node
        self._colours = (node.colorModel(), node.colorDepth(), node.colorProfile())
        is_plain = is_srgb8(*self._colours)
        self.strip_bytes = STRIP_BYTES if is_plain else CONVERTED_WIDTH * CONVERTED_HEIGHT * 4
        self._convert = None if is_plain else _converter(self._colours)

    def is_idle(self) -> bool:
        """Whether no stroke is being painted; of a closed document nothing is waited for."""
        return not self._document.is_open() or self._document.is_idle()

    def reduced(self) -> Generator[float, None, Pixels]:
        """All that is on the layer, small enough for a reference. Raises CannotCapture when it is gone or empty."""
        found = self._node.bounds()
        area = Bounds(found.x(), found.y(), found.width(), found.height())
        if area.is_empty:
            raise CannotCapture(
                tr("The layer of a reference is empty: paint on it, or choose another.")
            )
        return (yield from shrunk(area, self.is_idle, self.read, self.strip_bytes))

    def read(self, area: Bounds) -> bytes:
        """BGRA uint8, straight alpha, sRGB, rows from the top; transparent where there is nothing.

        Raises CannotCapture once the layer hangs in its document no more.
        """
        if not (self._document.is_open() and self._document.holds(self._node)):
            raise CannotCapture(tr(LAYER_IS_GONE))
        if self._convert is None:
            return self._raw(area)
        image = QtGui.QImage(area.width, area.height, _ARGB32)
        painter = QtGui.QPainter(image)
        painter.setCompositionMode(QtGui.QPainter.CompositionMode.CompositionMode_Source)
        for x in range(area.x, area.right, CONVERTED_WIDTH):
            for y in range(area.y, area.bottom, CONVERTED_HEIGHT):
                part = Bounds(x, y, CONVERTED_WIDTH, CONVERTED_HEIGHT).intersection(area)
                picture = self._convert.convert(self._raw(part), part.width, part.height)
                painter.drawImage(x - area.x, y - area.y, picture)
        painter.end()
        return bytes(image.constBits().asstring(image.bytesPerLine() * area.height))

    def _raw(self, area: Bounds) -> bytes:
        return bytes(self._node.projectionPixelData(area.x, area.y, area.width, area.height))


class _Converter:
    """A small document of another colour space that no window shows: pixels go in, sRGB comes out as for the canvas.

    Making and closing one takes Krita about 0.3 s each (5.1.5), so there is one for each colour space, kept. Its name is
    seen under Window > New View, and by other plugins.
    """

    def __init__(self, colours: Tuple[str, str, str]) -> None:
        size = (CONVERTED_WIDTH, CONVERTED_HEIGHT)
        self._document = Krita.instance().createDocument(*size, tr(NAME), *colours, 72.0)
        self._layer = self._document.rootNode().childNodes()[0]

    def is_usable(self) -> bool:
        return any(document == self._document for document in Krita.instance().documents())

    def close(self) -> None:
        if self.is_usable():
            self._document.close()

    def convert(self, data: bytes, width: int, height: int) -> Any:
        """A QImage of `data`, which is of the converter's colour space."""
        self._layer.setPixelData(data, 0, 0, width, height)
        self._document.refreshProjection()
        self._document.waitForDone()
        return self._document.projection(0, 0, width, height)


_converters: Dict[Tuple[str, str, str], _Converter] = {}


def _converter(colours: Tuple[str, str, str]) -> _Converter:
    found = _converters.get(colours)
    if found is None or not found.is_usable():
        found = _converters[colours] = _Converter(colours)
    return found


def close_converters() -> None:
    """Before Krita ends: with one of these documents still open it crashes (5.1.5)."""
    while _converters:
        _converters.popitem()[1].close()

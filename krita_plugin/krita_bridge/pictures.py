"""Pictures for references: a file or a layer, made small enough to be sent."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any, Callable, Generator, List, Union

from .capture import POLL_SECONDS, CannotCapture
from .link import Pixels
from .qt import Qt, QtCore, QtGui
from .text import tr
from .wire.geometry import Bounds, Extent
from .wire.limits import MAX_REFERENCE_SIDE

_ARGB32 = QtGui.QImage.Format.Format_ARGB32
_MOST_MEGABYTES = 1024
"""Of a picture in memory. Qt 6 refuses more than 256 unless told otherwise; Qt 5 would take whatever a file says, and Krita with it."""

_WANTED = ("png", "jpg", "jpeg", "webp")


def readable_formats() -> List[str]:
    """Of the wanted kinds of files, those that this Krita's Qt reads, as endings."""
    known = {bytes(each).decode() for each in QtGui.QImageReader.supportedImageFormats()}
    return [each for each in _WANTED if each in known]


def read_file(path: Path) -> Generator[float, None, Pixels]:
    """The picture in a file, BGRA sRGB, at most MAX_REFERENCE_SIDE px a side. It is read on a thread of its own, because
    that may take a second. Raises CannotCapture with a sentence."""
    done: List[Union[Pixels, CannotCapture]] = []
    threading.Thread(
        target=lambda: done.append(_read(path)), name="krita-bridge-picture", daemon=True
    ).start()
    while not done:
        yield POLL_SECONDS
    if isinstance(done[0], CannotCapture):
        raise done[0]
    return done[0]


def shrunk(
    area: Bounds,
    is_idle: Callable[[], bool],
    read: Callable[[Bounds], bytes],
    strip_bytes: int,
) -> Generator[float, None, Pixels]:
    """`area` of what `read` reads (BGRA), scaled down to at most MAX_REFERENCE_SIDE px a side, some rows at a time and
    none while a stroke is being painted."""
    size = fitting(area.extent)
    scale = area.height / size.height
    rows = max(1, int(strip_bytes / (area.width * 4 * scale)))
    strips: List[bytes] = []
    for top in range(0, size.height, rows):
        while not is_idle():
            yield POLL_SECONDS
        bottom = min(top + rows, size.height)
        begin, end = int(top * scale), max(int(bottom * scale), int(top * scale) + 1)
        data = read(Bounds(area.x, area.y + begin, area.width, end - begin))
        strips.append(_scaled(data, Extent(area.width, end - begin), size.width, bottom - top))
        yield 0.0
    return Pixels((size.height, size.width, 4), strips)


def fitting(size: Extent) -> Extent:
    """`size`, or what is as wide to its height and just small enough."""
    scale = min(1.0, MAX_REFERENCE_SIDE / max(size.width, size.height))
    return Extent(max(1, round(size.width * scale)), max(1, round(size.height * scale)))


def _scaled(data: bytes, size: Extent, width: int, height: int) -> bytes:
    if (size.width, size.height) == (width, height):
        return data
    image = QtGui.QImage(data, size.width, size.height, size.width * 4, _ARGB32)
    return _bytes_of(
        image.scaled(
            width,
            height,
            Qt.AspectRatioMode.IgnoreAspectRatio,
            Qt.TransformationMode.SmoothTransformation,
        )
    )


def _read(path: Path) -> Union[Pixels, CannotCapture]:
    """On the thread: nothing may be raised here."""
    try:
        return _decoded(path)
    except CannotCapture as problem:
        return problem
    except Exception as error:
        return CannotCapture(tr("{0} cannot be read: {1}.", path.name, error))


def _decoded(path: Path) -> Pixels:
    if not path.is_file():
        raise CannotCapture(tr("{0} is not there: choose another picture.", path))
    reader = QtGui.QImageReader(str(path))
    if hasattr(reader, "setAllocationLimit"):
        reader.setAllocationLimit(_MOST_MEGABYTES)
    reader.setAutoTransform(True)
    reader.setDecideFormatFromContent(True)
    size = reader.size()
    if size.isValid():
        if size.width() * size.height() * 4 > _MOST_MEGABYTES << 20:
            raise CannotCapture(
                tr(
                    "{0} is too large ({1} x {2} px): choose a smaller picture.",
                    path.name,
                    size.width(),
                    size.height(),
                )
            )
        small = fitting(Extent(size.width(), size.height()))
        reader.setScaledSize(QtCore.QSize(small.width, small.height))
    image = reader.read()
    if image.isNull():
        raise CannotCapture(
            tr("{0} cannot be read ({1}): choose another picture.", path.name, reader.errorString())
        )
    if image.colorSpace().isValid():
        image.convertToColorSpace(QtGui.QColorSpace(QtGui.QColorSpace.NamedColorSpace.SRgb))
    small = fitting(Extent(image.width(), image.height()))
    data = _bytes_of(image)
    data = _scaled(data, Extent(image.width(), image.height()), small.width, small.height)
    return Pixels((small.height, small.width, 4), [data])


def _bytes_of(image: Any) -> bytes:
    """BGRA, straight alpha, rows from the top."""
    if image.format() != _ARGB32:
        image = image.convertToFormat(_ARGB32)
    return bytes(image.constBits().asstring(image.bytesPerLine() * image.height()))

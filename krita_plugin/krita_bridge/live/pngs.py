"""Pictures as PNG files, by Qt, which gives way to other threads meanwhile."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Tuple

from ..qt import QtCore, QtGui, sip
from ..wire.frames import Buffer
from ..wire.geometry import Bounds

_ARGB32 = QtGui.QImage.Format.Format_ARGB32
_QUICK = 90
"""Qt's quality of a PNG: the higher, the less it is compressed; 90 is zlib's level 1."""


class PngFiles:
    """`recorder.PictureFiles`: where a picture lies on the canvas is the offset (chunk oFFs) of its PNG."""

    def save(self, path: Path, bounds: Bounds, image: Buffer) -> None:
        """Raises OSError; of the reasons that Qt does not tell a full disk is the likely one."""
        pixels = sip.voidptr(memoryview(image))
        picture = QtGui.QImage(pixels, bounds.width, bounds.height, bounds.width * 4, _ARGB32)
        picture.setOffset(QtCore.QPoint(bounds.x, bounds.y))
        if not picture.save(str(path), "PNG", _QUICK):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))

    def load(self, path: Path) -> Tuple[Bounds, bytes]:
        """Raises OSError when the file is no picture any more."""
        picture = QtGui.QImage(str(path))
        if picture.isNull():
            raise OSError(errno.EIO, os.strerror(errno.EIO), str(path))
        offset = picture.offset()
        picture = picture.convertToFormat(_ARGB32)
        bounds = Bounds(offset.x(), offset.y(), picture.width(), picture.height())
        return bounds, bytes(picture.constBits().asstring(picture.bytesPerLine() * bounds.height))

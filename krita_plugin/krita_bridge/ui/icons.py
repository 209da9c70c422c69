"""Small pictures: Krita's own icons, a die, and pixels as thumbnails."""

from __future__ import annotations

from typing import Any

from krita import Krita

from ..qt import Qt, QtCore, QtGui, sip
from ..wire.frames import Buffer
from ..wire.geometry import Bounds

_ROUGH = 2
"""How many times the wanted side a picture is first reduced to, quickly, before it is reduced well."""


def krita_icon(name: str) -> Any:
    """An icon of Krita's, in the theme's colours."""
    return Krita.instance().icon(name)


def die_icon(palette: Any, side: int = 32) -> Any:
    """A die that shows five, in the text colour of the theme."""
    picture = QtGui.QPixmap(side, side)
    picture.fill(Qt.GlobalColor.transparent)
    colour = palette.color(QtGui.QPalette.ColorRole.ButtonText)
    painter = QtGui.QPainter(picture)
    painter.setRenderHint(QtGui.QPainter.RenderHint.Antialiasing)
    painter.setPen(QtGui.QPen(colour, side / 14))
    edge = side * 0.14
    painter.drawRoundedRect(
        QtCore.QRectF(edge, edge, side - 2 * edge, side - 2 * edge), side * 0.14, side * 0.14
    )
    painter.setBrush(colour)
    painter.setPen(Qt.PenStyle.NoPen)
    for x, y in ((0.33, 0.33), (0.67, 0.33), (0.5, 0.5), (0.33, 0.67), (0.67, 0.67)):
        painter.drawEllipse(QtCore.QPointF(side * x, side * y), side * 0.065, side * 0.065)
    painter.end()
    return QtGui.QIcon(picture)


def thumbnail(image: Buffer, bounds: Bounds, side: int, palette: Any) -> Any:
    """A pixmap of at most `side` x `side` device pixels of BGRA `image`, on the theme's base colour."""
    # A pointer, not a copy: 16 MB at 2048 px would hold the UI thread for milliseconds.
    pixels = sip.voidptr(memoryview(image))
    whole = QtGui.QImage(
        pixels, bounds.width, bounds.height, bounds.width * 4, QtGui.QImage.Format.Format_ARGB32
    )
    keep = Qt.AspectRatioMode.KeepAspectRatio
    if max(bounds.width, bounds.height) > side * _ROUGH:
        fast = Qt.TransformationMode.FastTransformation
        whole = whole.scaled(side * _ROUGH, side * _ROUGH, keep, fast)
    small = whole.scaled(side, side, keep, Qt.TransformationMode.SmoothTransformation)
    picture = QtGui.QPixmap(small.width(), small.height())
    picture.fill(palette.color(QtGui.QPalette.ColorRole.Mid))
    painter = QtGui.QPainter(picture)
    painter.drawImage(0, 0, small)
    painter.end()
    return picture

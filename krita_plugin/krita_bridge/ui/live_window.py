"""The live picture in a window of its own, beside the canvas or over a part of it."""

from __future__ import annotations

from typing import Any, Optional

from ..live.painter import Shown
from ..qt import Qt, QtCore, QtGui, QtWidgets, pyqtSignal, sip
from ..text import tr
from .icons import thumbnail

FIRST_SIDE = 480
LEAST_SIDE = 120
BESIDE = 24
"""Pixels to the docker's left edge, for the window's frame."""

MOST_ZOOM = 16.0
ZOOM_PER_NOTCH = 1.25
NOTCH = 120.0
"""Of a wheel, in Qt's eighths of a degree."""


class LiveWindow(QtWidgets.QWidget):  # type: ignore[misc]
    """As large as the painter makes it, in front of Krita's window. The wheel looks closer, dragging moves what is seen,
    a double click shows all of it again. It never takes the keyboard: shortcuts go on to the canvas."""

    closed = pyqtSignal()

    def __init__(self, parent: Any) -> None:
        super().__init__(parent, Qt.WindowType.Tool | Qt.WindowType.WindowDoesNotAcceptFocus)
        self.setObjectName("live_window")
        self.setWindowTitle(tr("Live picture"))
        self.setAttribute(Qt.WidgetAttribute.WA_ShowWithoutActivating)
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.setMinimumSize(LEAST_SIDE, LEAST_SIDE)
        self.resize(FIRST_SIDE, FIRST_SIDE)
        self._shown: Optional[Shown] = None
        self._whole: Any = None
        self._zoom = 1.0
        self._middle = QtCore.QPointF(0.5, 0.5)
        self._held: Any = None

    def show_picture(self, shown: Optional[Shown]) -> None:
        self._shown, self._whole = shown, None
        self.update()

    def put_beside(self, widget: Any) -> None:
        """To the left of `widget`, as high up as it if Krita's window reaches down far enough."""
        corner = widget.mapToGlobal(QtCore.QPoint(-self.width() - BESIDE, 0))
        room = self.parentWidget().frameGeometry()
        x, y = max(room.left(), corner.x()), min(corner.y(), room.bottom() - self.height())
        self.move(x, max(room.top(), y))

    # ---- what Qt calls

    def paintEvent(self, event: Any) -> None:
        painter = QtGui.QPainter(self)
        painter.fillRect(self.rect(), self.palette().color(QtGui.QPalette.ColorRole.Dark))
        if self._shown is None:
            painter.drawText(self.rect(), Qt.AlignmentFlag.AlignCenter, tr("No picture yet"))
        elif self._zoom == 1.0:
            self._paint_whole(painter, self._shown)
        else:
            self._paint_part(painter, self._shown)
        painter.end()

    def resizeEvent(self, event: Any) -> None:
        self._whole = None

    def wheelEvent(self, event: Any) -> None:
        if self._shown is None:
            return
        at = event.position()
        under = self._place(at)
        factor = ZOOM_PER_NOTCH ** (event.angleDelta().y() / NOTCH)
        self._zoom = min(MOST_ZOOM, max(1.0, self._zoom * factor))
        # What is under the pointer stays there.
        self._move(self._middle + under - self._place(at))

    def mousePressEvent(self, event: Any) -> None:
        self._held = self._place(_at(event))

    def mouseMoveEvent(self, event: Any) -> None:
        if self._held is not None and self._shown is not None:
            self._move(self._middle + self._held - self._place(_at(event)))

    def mouseReleaseEvent(self, event: Any) -> None:
        self._held = None

    def mouseDoubleClickEvent(self, event: Any) -> None:
        self._zoom = 1.0
        self._move(QtCore.QPointF(0.5, 0.5))

    def closeEvent(self, event: Any) -> None:
        super().closeEvent(event)
        self.closed.emit()

    # ---- geometry: places are shares of the picture, 0 to 1

    def _scale(self) -> float:
        """Pixels of the window for each of the picture."""
        assert self._shown is not None
        bounds = self._shown.message.bounds
        fit = min(self.width() / bounds.width, self.height() / bounds.height)
        return float(fit * self._zoom)

    def _place(self, at: Any) -> Any:
        """What of the picture is at a place of the window."""
        if self._shown is None:
            return QtCore.QPointF(self._middle)
        bounds, scale = self._shown.message.bounds, self._scale()
        return QtCore.QPointF(
            self._middle.x() + (at.x() - self.width() / 2) / (scale * bounds.width),
            self._middle.y() + (at.y() - self.height() / 2) / (scale * bounds.height),
        )

    def _move(self, middle: Any) -> None:
        """Show `middle` in the middle, or what comes next to it without leaving the picture."""
        room = 0.5 / self._zoom
        x, y = (min(1.0 - room, max(room, share)) for share in (middle.x(), middle.y()))
        self._middle = QtCore.QPointF(x, y)
        self.update()

    def _target(self) -> Any:
        """Where the whole picture lies, in window coordinates."""
        assert self._shown is not None
        bounds, scale = self._shown.message.bounds, self._scale()
        width, height = bounds.width * scale, bounds.height * scale
        x = self.width() / 2 - self._middle.x() * width
        y = self.height() / 2 - self._middle.y() * height
        return QtCore.QRectF(x, y, width, height)

    def _paint_whole(self, painter: Any, shown: Shown) -> None:
        if self._whole is None:
            bounds = shown.message.bounds
            side = max(1, round(max(bounds.width, bounds.height) * self._scale()))
            self._whole = thumbnail(shown.image, bounds, side, self.palette())
        painter.drawPixmap(self._target().topLeft(), self._whole)

    def _paint_part(self, painter: Any, shown: Shown) -> None:
        bounds, target = shown.message.bounds, self._target()
        pixels = sip.voidptr(memoryview(shown.image))
        picture = QtGui.QImage(
            pixels, bounds.width, bounds.height, bounds.width * 4, QtGui.QImage.Format.Format_ARGB32
        )
        painter.fillRect(target, self.palette().color(QtGui.QPalette.ColorRole.Mid))
        painter.setRenderHint(QtGui.QPainter.RenderHint.SmoothPixmapTransform)
        painter.drawImage(target, picture)


def _at(event: Any) -> Any:
    """Where the pointer is; PyQt5 and PyQt6 have other names for it."""
    return event.position() if hasattr(event, "position") else event.localPos()

"""What the painter sees of live painting: the picture, how far it is behind the brush, and what can be done with it."""

from __future__ import annotations

from typing import Any, Optional

from krita import Krita

from ..live.keeper import LiveKeeper
from ..live.painter import LivePainter, Shown
from ..qt import Qt, QtCore, QtWidgets, pyqtSignal
from ..text import tr
from ..words import pace_line
from .icons import krita_icon, thumbnail
from .live_window import LiveWindow
from .wrapped import WrappedLabel

LEAST_HEIGHT = 48


class LiveView(QtWidgets.QWidget):  # type: ignore[misc]
    """The whole picture, as large as the docker has room for; hidden while live painting is off."""

    keep_wanted = pyqtSignal()
    parts_wanted = pyqtSignal()
    render_wanted = pyqtSignal()
    record_wanted = pyqtSignal()

    def __init__(self) -> None:
        super().__init__()
        self._picture = _Picture()
        self._pace = WrappedLabel()
        self._pace.setObjectName("live_pace")
        self._pace.setEnabled(False)
        self._keep = _button(
            "live_keep", tr("Keep"), tr("Make a layer of this picture (Alt+Enter)")
        )
        self._parts = _button(
            "live_keep_parts",
            tr("Keep parts"),
            tr(
                "Make a layer of this picture that shows only where you paint white on its mask (Ctrl+Alt+Enter)"
            ),
        )
        self._render = _button(
            "live_render",
            tr("Render"),
            tr("Generate this picture with all steps of the preset (Alt+Shift+Enter)"),
        )
        self._record = _button(
            "live_record",
            tr("Record"),
            tr(
                "Each picture becomes a frame of an animated layer, until you click again (Ctrl+Alt+Shift+Enter)"
            ),
        )
        self._record.setCheckable(True)
        self._in_window = _button(
            "live_window", "", tr("Show the picture in a window of its own, too")
        )
        self._in_window.setIcon(krita_icon("docker_float"))
        self._in_window.setAccessibleName(tr("Window"))
        self._in_window.setAutoRaise(True)
        self._in_window.setCheckable(True)
        line = QtWidgets.QHBoxLayout()
        line.addWidget(self._pace, 1)
        line.addWidget(self._in_window)
        buttons = QtWidgets.QHBoxLayout()
        buttons.setSpacing(2)
        for button in (self._keep, self._parts, self._render, self._record):
            # Wide enough for its words, but no reason to make the docker wider.
            button.setMinimumWidth(1)
            buttons.addWidget(button, button.sizeHint().width())
        column = QtWidgets.QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(2)
        column.addWidget(self._picture, 1)
        column.addLayout(line)
        column.addLayout(buttons)
        self._keep.clicked.connect(lambda _: self.keep_wanted.emit())
        self._parts.clicked.connect(lambda _: self.parts_wanted.emit())
        self._render.clicked.connect(lambda _: self.render_wanted.emit())
        self._record.clicked.connect(lambda _: self.record_wanted.emit())
        self._in_window.toggled.connect(self._show_window)
        self._window: Optional[LiveWindow] = None
        self._shown: Optional[Shown] = None
        self.setVisible(False)

    def resizeEvent(self, event: Any) -> None:
        super().resizeEvent(event)
        self._draw()

    def show_live(self, live: LivePainter, keeper: LiveKeeper) -> None:
        self.setVisible(live.is_on)
        pace, shown = live.pace(), live.shown
        full, scale = (shown.message.full, shown.message.facts.scale) if shown else (True, 1.0)
        line = pace_line(pace.rate, pace.latency, full, scale)
        self._pace.setText(line if shown else tr("No picture yet"))
        for button in (self._keep, self._parts):
            button.setEnabled(shown is not None)
        self._record.setChecked(keeper.is_recording)
        self._record.setText(
            tr("Stop ({0})", keeper.frames()) if keeper.is_recording else tr("Record")
        )
        if not live.is_on:
            self._in_window.setChecked(False)
        if shown is not self._shown:
            self._shown = shown
            self._draw()
            if self._window is not None:
                self._window.show_picture(shown)

    def _draw(self) -> None:
        if self._shown is None:
            self._picture.clear()
            return
        bounds, room = self._shown.message.bounds, self._picture.size()
        scale = min(room.width() / bounds.width, room.height() / bounds.height)
        side = max(1, int(max(bounds.width, bounds.height) * scale))
        self._picture.setPixmap(thumbnail(self._shown.image, bounds, side, self.palette()))

    def _show_window(self, wanted: bool) -> None:
        if not wanted and self._window is not None:
            self._window.close()
            self._window = None
        elif wanted and self._window is None:
            self._window = LiveWindow(Krita.instance().activeWindow().qwindow())
            self._window.put_beside(self)
            self._window.closed.connect(lambda: self._in_window.setChecked(False))
            self._window.show_picture(self._shown)
            self._window.show()


class _Picture(QtWidgets.QLabel):  # type: ignore[misc]
    """Follows the room that there is, and not the room the picture."""

    def __init__(self) -> None:
        super().__init__()
        self.setObjectName("live_picture")
        self.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.setMinimumHeight(LEAST_HEIGHT)
        policy = QtWidgets.QSizePolicy.Policy
        self.setSizePolicy(policy.Ignored, policy.Expanding)

    def sizeHint(self) -> Any:
        # A layout with wrapped text in it counts by the hints, and not by the minimum that is set.
        return QtCore.QSize(1, LEAST_HEIGHT)

    def minimumSizeHint(self) -> Any:
        return self.sizeHint()


def _button(name: str, text: str, tip: str) -> Any:
    button = QtWidgets.QToolButton()
    button.setObjectName(name)
    button.setText(text)
    button.setToolTip(tip)
    policy = QtWidgets.QSizePolicy.Policy
    button.setSizePolicy(policy.Preferred, policy.Preferred)
    return button

"""What the painter sees of live painting: the picture, and how far it is behind the brush."""

from __future__ import annotations

from typing import Any, Optional

from ..live.follow import Pace
from ..live.painter import LivePainter, Shown
from ..qt import Qt, QtWidgets
from ..text import tr
from .icons import thumbnail

LEAST_HEIGHT = 100


class LiveView(QtWidgets.QWidget):  # type: ignore[misc]
    """The whole picture, as large as the docker has room for; hidden while live painting is off."""

    def __init__(self) -> None:
        super().__init__()
        self._picture = QtWidgets.QLabel()
        self._picture.setObjectName("live_picture")
        self._picture.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self._picture.setMinimumHeight(LEAST_HEIGHT)
        # The picture follows the room and not the room the picture.
        ignored = QtWidgets.QSizePolicy.Policy.Ignored
        self._picture.setSizePolicy(ignored, ignored)
        self._pace = QtWidgets.QLabel()
        self._pace.setObjectName("live_pace")
        self._pace.setEnabled(False)
        column = QtWidgets.QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(2)
        column.addWidget(self._picture, 1)
        column.addWidget(self._pace)
        self._shown: Optional[Shown] = None
        self.setVisible(False)

    def resizeEvent(self, event: Any) -> None:
        super().resizeEvent(event)
        self._draw()

    def show_live(self, live: LivePainter) -> None:
        self.setVisible(live.is_on)
        self._pace.setText(pace_line(live.pace()))
        if live.shown is not self._shown:
            self._shown = live.shown
            self._draw()

    def _draw(self) -> None:
        if self._shown is None:
            self._picture.clear()
            return
        bounds, room = self._shown.message.bounds, self._picture.size()
        scale = min(room.width() / bounds.width, room.height() / bounds.height)
        side = max(1, int(max(bounds.width, bounds.height) * scale))
        self._picture.setPixmap(thumbnail(self._shown.image, bounds, side, self.palette()))


def pace_line(pace: Pace) -> str:
    """For the docker: pictures a second, and how long after the brush."""
    parts = []
    if pace.rate is not None:
        parts.append(tr("{0} pictures a second", f"{pace.rate:.1f}"))
    if pace.latency is not None:
        parts.append(tr("{0} s after the brush", f"{pace.latency:.2f}"))
    return ", ".join(parts)

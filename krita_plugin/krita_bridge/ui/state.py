"""How things stand: the thin bar of progress and one line in words."""

from __future__ import annotations

from html import escape
from typing import Any

from ..client import ConnectionState
from ..painting import Painting, Stage
from ..qt import Qt, QtWidgets, pyqtSignal
from ..text import tr
from ..words import progress_line
from .wrapped import WrappedLabel


class StateView(QtWidgets.QWidget):  # type: ignore[misc]
    """Progress of the job in front, and a sentence: what went wrong, what is under way, or that all is ready."""

    settings_wanted = pyqtSignal()
    """The link beside a failure was clicked."""

    def __init__(self) -> None:
        super().__init__()
        self._progress = QtWidgets.QProgressBar()
        self._progress.setObjectName("progress")
        self._progress.setTextVisible(False)
        self._progress.setFixedHeight(6)
        self._state = WrappedLabel()
        self._state.setObjectName("state")
        self._state.linkActivated.connect(lambda _: self.settings_wanted.emit())
        column = QtWidgets.QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(6)
        column.addWidget(self._progress)
        column.addWidget(self._state)

    def show_painting(self, painting: Painting) -> None:
        front = painting.front()
        self._progress.setEnabled(front is not None)
        self._progress.setMaximum(front.steps if front and front.steps else 1)
        self._progress.setValue(front.step if front and front.steps else 0)
        self._show_sentence(painting)

    def _show_sentence(self, painting: Painting) -> None:
        front = painting.front()
        connection = painting.connection
        connected = connection is not None and connection.state is ConnectionState.CONNECTED
        sentence = painting.sentence()
        if front is not None and connected and not painting.notice:
            if front.stage is Stage.CANCELLING:
                sentence = tr("Cancelling...")
            elif front.stage is Stage.RUNNING:
                waiting = len(painting.jobs()) - 1
                tiles = front.request.upscale > 1
                sentence = progress_line(
                    front.step, front.steps, front.seconds_left, waiting, tiles
                )
        failed = connection is not None and connection.state is ConnectionState.FAILED
        if failed and not painting.notice:
            link = f'<a href="settings">{escape(tr("Settings"))}</a>'
            self._set(f"{escape(sentence)} {link}", Qt.TextFormat.RichText)
        else:
            self._set(sentence, Qt.TextFormat.PlainText)

    def _set(self, text: str, text_format: Any) -> None:
        if text != self._state.text():
            self._state.setTextFormat(text_format)
            self._state.setText(text)

"""The few settings that are not about one picture, in the docker itself: no dialog."""

from __future__ import annotations

from dataclasses import replace
from typing import Sequence

from ..qt import Qt, QtWidgets, pyqtSignal
from ..settings import Settings
from ..text import tr
from .files import show_painters_folders


class SettingsPanel(QtWidgets.QFrame):  # type: ignore[misc]
    """Opened and closed by the gear."""

    changed = pyqtSignal(object)

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        self._settings = settings
        self.setFrameShape(QtWidgets.QFrame.Shape.StyledPanel)
        self._on_canvas = QtWidgets.QCheckBox(tr("Previews on the canvas"))
        self._on_canvas.setObjectName("previews_on_canvas")
        self._on_canvas.setChecked(settings.previews_on_canvas)
        self._in_docker = QtWidgets.QCheckBox(tr("Preview in the docker"))
        self._in_docker.setObjectName("previews_in_docker")
        self._in_docker.setChecked(settings.previews_in_docker)
        label = QtWidgets.QLabel(tr("Command that starts the bridge"))
        self._command = QtWidgets.QLineEdit(settings.bridge_command)
        self._command.setObjectName("bridge_command")
        self._command.setPlaceholderText(tr("found by itself"))
        self._command.setToolTip(tr("Used from now on; a bridge that runs already stays"))
        label.setBuddy(self._command)
        column = QtWidgets.QVBoxLayout(self)
        column.setContentsMargins(6, 6, 6, 6)
        self._skipped = QtWidgets.QLabel()
        self._skipped.setObjectName("skipped")
        self._skipped.setWordWrap(True)
        self._skipped.setTextFormat(Qt.TextFormat.PlainText)
        self._skipped.setVisible(False)
        folder = QtWidgets.QPushButton(tr("Folder of Presets, LoRAs, VAEs..."))
        folder.setObjectName("painters_folders")
        folder.setToolTip(
            tr(
                "Where checkpoints go too. Read when Krita connects to the bridge; models and presets when the bridge starts"
            )
        )
        folder.clicked.connect(lambda _=False: show_painters_folders())
        for widget in (
            self._on_canvas,
            self._in_docker,
            label,
            self._command,
            folder,
            self._skipped,
        ):
            column.addWidget(widget)
        self._on_canvas.toggled.connect(lambda _: self._emit())
        self._in_docker.toggled.connect(lambda _: self._emit())
        self._command.editingFinished.connect(self._emit)

    def show_skipped(self, sentences: Sequence[str]) -> None:
        """Say which preset files cannot be used, and why."""
        self._skipped.setText("\n".join(sentences))
        self._skipped.setVisible(bool(sentences))

    def _emit(self) -> None:
        settings = replace(
            self._settings,
            previews_on_canvas=self._on_canvas.isChecked(),
            previews_in_docker=self._in_docker.isChecked(),
            bridge_command=self._command.text().strip(),
        )
        if settings != self._settings:
            self._settings = settings
            self.changed.emit(settings)

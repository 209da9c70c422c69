"""What a painter seldom changes: the edge of what is painted, its colours, and the settings of a layer or a file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..qt import QtCore, QtWidgets, pyqtSignal
from ..text import tr
from ..wire.modes import Blend
from .files import choose_file


class MoreSettings(QtWidgets.QWidget):  # type: ignore[misc]
    """`Edge [Soft v]`, `[x] Match the colours around`, and a button each for the settings of a layer, those of a file, and a
    PNG of a layer."""

    layer_wanted = pyqtSignal()
    """The settings of the active layer shall be used."""

    png_wanted = pyqtSignal()
    """The active layer shall be saved with its settings."""

    file_chosen = pyqtSignal(object)
    """The Path of a file that shall tell its settings."""

    def __init__(self) -> None:
        super().__init__()
        self._folder = QtCore.QDir.homePath()
        self._blend = QtWidgets.QComboBox()
        self._blend.setObjectName("blend")
        self._blend.addItem(tr("Soft"), Blend.SOFT.value)
        self._blend.addItem(tr("Exact"), Blend.EXACT.value)
        self._blend.setToolTip(
            tr(
                "Soft: just inside the selection's edge the new goes over into the old.\n"
                "Exact: all that is selected is new.\n"
                "Outside the selection nothing changes either way."
            )
        )
        label = QtWidgets.QLabel(tr("Edge"))
        label.setBuddy(self._blend)
        self._match = QtWidgets.QCheckBox(tr("Match the colours around"))
        self._match.setObjectName("match_colors")
        self._match.setChecked(True)
        self._match.setToolTip(
            tr("Undo what the model does to the colours, measured around the selection")
        )
        layer = _button(
            "settings_of_layer",
            tr("Settings of This Layer"),
            tr(
                "Prompt, seed and so on of the active layer, if it is a result, whenever it was made"
            ),
        )
        file = _button(
            "settings_from",
            tr("Settings from a File..."),
            tr(
                "Prompt, seed and so on of a PNG that tells how it was made, or of a text with such parameters"
            ),
        )
        png = _button(
            "layer_as_png",
            tr("Save This Layer as PNG..."),
            tr("The active layer alone, if it is a result, in a file that tells its settings"),
        )
        edge = QtWidgets.QHBoxLayout()
        edge.addWidget(label)
        edge.addWidget(self._blend, 1)
        column = QtWidgets.QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(4)
        column.addLayout(edge)
        column.addWidget(self._match)
        for button in (layer, file, png):
            column.addWidget(button)
        layer.clicked.connect(lambda _=False: self.layer_wanted.emit())
        file.clicked.connect(lambda _=False: self._choose_file())
        png.clicked.connect(lambda _=False: self.png_wanted.emit())

    def blend(self) -> str:
        """The name of a Blend."""
        return str(self._blend.currentData())

    def match_colors(self) -> bool:
        return bool(self._match.isChecked())

    def load(self, blend: str, match_colors: bool) -> None:
        self._blend.setCurrentIndex(self._blend.findData(blend))
        self._match.setChecked(match_colors)

    def _choose_file(self) -> None:
        kinds = (tr("Pictures and texts (*.png *.txt)"), tr("All files (*)"))
        choose_file(self, tr("Settings from a File"), self._folder, kinds, self._on_file)

    def _on_file(self, path: Path) -> None:
        self._folder = str(path.parent)
        self.file_chosen.emit(path)


def _button(name: str, text: str, tip: str) -> Any:
    button = QtWidgets.QPushButton(text)
    button.setObjectName(name)
    button.setToolTip(tip)
    return button

"""A part of the docker under a heading that opens and closes it."""

from __future__ import annotations

from typing import Any

from ..qt import Qt, QtWidgets, pyqtSignal
from ..text import tr
from .flat import FlatButton


class Fold(QtWidgets.QWidget):  # type: ignore[misc]
    """`> Seed`: closed until it is used; the docker remembers which are open."""

    toggled = pyqtSignal(bool)

    def __init__(self, name: str, title: str, content: Any) -> None:
        super().__init__()
        self._content = content
        self._title = title
        self._heading = FlatButton()
        self._heading.setObjectName(name)
        self._heading.setText(title)
        self._heading.setCheckable(True)
        self._heading.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        column = QtWidgets.QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(2)
        column.addWidget(self._heading)
        column.addWidget(content)
        self._heading.toggled.connect(self._on_toggled)
        self._on_toggled(False)

    def is_open(self) -> bool:
        return bool(self._heading.isChecked())

    def set_open(self, is_open: bool) -> None:
        self._heading.setChecked(is_open)

    def set_count(self, count: int) -> None:
        """Say how many things are in it, so that none of them is a secret while it is closed."""
        self._heading.setText(tr("{0} ({1})", self._title, count) if count else self._title)

    def _on_toggled(self, is_open: bool) -> None:
        self._heading.setArrowType(Qt.ArrowType.DownArrow if is_open else Qt.ArrowType.RightArrow)
        self._content.setVisible(is_open)
        self.toggled.emit(is_open)

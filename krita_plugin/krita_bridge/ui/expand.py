"""How far the canvas grows on each side, and the button that does it."""

from __future__ import annotations

from typing import List

from ..qt import QtWidgets, pyqtSignal
from ..text import tr
from ..wire.geometry import Margins

SIDES = ("left", "top", "right", "bottom")
DEFAULT_MARGIN = 128
LARGEST_MARGIN = 8192
_STEP = 64


class ExpandPanel(QtWidgets.QWidget):  # type: ignore[misc]
    """Four margins in pixels of the document."""

    wanted = pyqtSignal()

    def __init__(self, margins: List[int]) -> None:
        super().__init__()
        names = (tr("Left"), tr("Top"), tr("Right"), tr("Bottom"))
        grid = QtWidgets.QGridLayout(self)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setSpacing(4)
        self._fields = []
        for index, side in enumerate(SIDES):
            field = QtWidgets.QSpinBox()
            field.setObjectName(f"expand_{side}")
            field.setAccessibleName(names[index])
            field.setRange(0, LARGEST_MARGIN)
            field.setSingleStep(_STEP)
            field.setSuffix(tr(" px"))
            field.setValue(margins[index])
            row, column = divmod(index, 2)
            grid.addWidget(QtWidgets.QLabel(names[index]), row, 2 * column)
            grid.addWidget(field, row, 2 * column + 1)
            self._fields.append(field)
        button = QtWidgets.QPushButton(tr("Expand"))
        button.setObjectName("expand")
        button.setToolTip(tr("Grow the canvas and paint what is new"))
        button.clicked.connect(lambda _=False: self.wanted.emit())
        grid.addWidget(button, 2, 0, 1, 4)

    def margins(self) -> Margins:
        return Margins(*(int(field.value()) for field in self._fields))

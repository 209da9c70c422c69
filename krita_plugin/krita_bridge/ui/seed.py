"""The seed: a number, a die for a new one, a lock that keeps it."""

from __future__ import annotations

import random

from ..qt import QtCore, QtGui, QtWidgets, pyqtSignal
from ..text import tr
from ..wire.limits import MAX_SEED
from .icons import die_icon, krita_icon

LARGEST_THROWN = 2**32 - 1


class SeedRow(QtWidgets.QWidget):  # type: ignore[misc]
    """The same seed with the same settings gives the same picture."""

    changed = pyqtSignal()

    def __init__(self) -> None:
        super().__init__()
        self._number = QtWidgets.QLineEdit("0")
        self._number.setObjectName("seed")
        self._number.setAccessibleName(tr("Seed"))
        self._number.setMaxLength(len(str(MAX_SEED)))
        digits = QtCore.QRegularExpression("[0-9]*")
        self._number.setValidator(QtGui.QRegularExpressionValidator(digits, self))
        self._number.setToolTip(tr("The same seed with the same settings gives the same picture"))
        self._die = QtWidgets.QToolButton()
        self._die.setObjectName("seed_die")
        self._die.setAutoRaise(True)
        self._die.setIcon(die_icon(self.palette()))
        self._die.setToolTip(tr("Throw a new seed"))
        self._lock = QtWidgets.QToolButton()
        self._lock.setObjectName("seed_lock")
        self._lock.setAutoRaise(True)
        self._lock.setCheckable(True)
        self._lock.setToolTip(tr("Keep this seed for the next picture"))
        row = QtWidgets.QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(2)
        row.addWidget(self._number, 1)
        row.addWidget(self._die)
        row.addWidget(self._lock)
        self._die.clicked.connect(lambda: self.set_seed(random.randint(0, LARGEST_THROWN)))
        self._lock.toggled.connect(lambda _: self._show_lock())
        self._number.textEdited.connect(lambda _: self._lock.setChecked(True))
        self._number.textChanged.connect(lambda _: self.changed.emit())
        self._show_lock()

    def seed(self) -> int:
        return min(int(self._number.text() or 0), MAX_SEED)

    def is_locked(self) -> bool:
        return bool(self._lock.isChecked())

    def set_seed(self, seed: int) -> None:
        if self._number.text() != str(seed):
            self._number.setText(str(seed))

    def set_locked(self, locked: bool) -> None:
        self._lock.setChecked(locked)

    def _show_lock(self) -> None:
        self._lock.setIcon(krita_icon("layer-locked" if self.is_locked() else "layer-unlocked"))
        self.changed.emit()

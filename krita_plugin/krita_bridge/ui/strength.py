"""The mode in words and the strength that makes it, in whole steps of the preset."""

from __future__ import annotations

from ..qt import Qt, QtWidgets, pyqtSignal
from ..text import tr
from ..words import mode_name, snapped_strength

DEFAULT_STEPS = 20


class StrengthRow(QtWidgets.QWidget):  # type: ignore[misc]
    """`Fill selection ====o 100 %`. The slider counts steps, so that each position is a different picture."""

    changed = pyqtSignal()

    def __init__(self) -> None:
        super().__init__()
        self._has_selection = False
        self._mode = QtWidgets.QLabel()
        self._mode.setObjectName("mode")
        self._slider = QtWidgets.QSlider(Qt.Orientation.Horizontal)
        self._slider.setObjectName("strength")
        self._slider.setAccessibleName(tr("Strength"))
        self._slider.setRange(1, DEFAULT_STEPS)
        self._slider.setValue(DEFAULT_STEPS)
        self._slider.setPageStep(max(1, DEFAULT_STEPS // 5))
        self._percent = QtWidgets.QLabel()
        self._percent.setObjectName("strength_percent")
        self._percent.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        self._percent.setMinimumWidth(self._percent.fontMetrics().boundingRect("100 % ").width())
        row = QtWidgets.QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self._mode)
        row.addWidget(self._slider, 1)
        row.addWidget(self._percent)
        tip = tr("How much of what is there may change: at 100 % nothing of it is kept")
        for widget in (self._mode, self._slider, self._percent):
            widget.setToolTip(tip)
        self._reserve()
        self._slider.valueChanged.connect(self._on_value)
        self._on_value()

    def strength(self) -> float:
        """Above 0, up to 1."""
        return float(self._slider.value() / self._slider.maximum())

    def set_strength(self, strength: float) -> None:
        self._slider.setValue(snapped_strength(strength, self._slider.maximum()))

    def set_steps(self, steps: int) -> None:
        """The preset's steps; the strength stays as near as it can."""
        if steps == self._slider.maximum():
            return
        strength = self.strength()
        self._slider.blockSignals(True)
        self._slider.setRange(1, steps)
        self._slider.setPageStep(max(1, steps // 5))
        self._slider.setValue(snapped_strength(strength, steps))
        self._slider.blockSignals(False)
        self._on_value()

    def set_has_selection(self, has_selection: bool) -> None:
        if has_selection != self._has_selection:
            self._has_selection = has_selection
            self._label()

    def step(self, steps: int) -> None:
        self._slider.setValue(self._slider.value() + steps)

    def _on_value(self) -> None:
        self._label()
        self.changed.emit()

    def _label(self) -> None:
        self._mode.setText(mode_name(self.strength(), self._has_selection))
        self._percent.setText(tr("{0} %", round(100 * self.strength())))

    def _reserve(self) -> None:
        """Room for the longest mode, so that the slider does not jump."""
        metrics = self._mode.fontMetrics()
        names = [mode_name(s, has) for s in (0.5, 1.0) for has in (False, True)]
        self._mode.setMinimumWidth(max(metrics.boundingRect(name).width() for name in names) + 4)

"""The mode in a word and the strength that goes with it, in whole steps of the preset."""

from __future__ import annotations

from typing import Optional

from ..choice import ModeChoice
from ..qt import Qt, QtWidgets, pyqtSignal
from ..text import tr
from ..wire.modes import Mode, Situation
from ..words import mode_name, snapped_strength
from .mode import ModeButton

DEFAULT_STEPS = 20


class StrengthRow(QtWidgets.QWidget):  # type: ignore[misc]
    """`Fill ====o 100 %`. The slider counts steps, so that each position is a different picture."""

    changed = pyqtSignal()

    def __init__(self) -> None:
        super().__init__()
        self._choice = ModeChoice()
        self._mode = ModeButton(self._choice)
        self._slider = QtWidgets.QSlider(Qt.Orientation.Horizontal)
        self._slider.setObjectName("strength")
        self._slider.setAccessibleName(tr("Strength"))
        self._percent = QtWidgets.QLabel()
        self._percent.setObjectName("strength_percent")
        self._percent.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        self._percent.setMinimumWidth(self._percent.fontMetrics().boundingRect("100 % ").width())
        row = QtWidgets.QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self._mode)
        row.addWidget(self._slider, 1)
        row.addWidget(self._percent)
        self._mode.setToolTip(tr("What Generate will do; click to choose"))
        tip = tr("How much of what is there may change: at 100 % nothing of it is kept")
        for widget in (self._slider, self._percent):
            widget.setToolTip(tip)
        self._reserve()
        self._slider.valueChanged.connect(self._on_value)
        self._mode.chosen.connect(self._on_chosen)
        self.set_steps(DEFAULT_STEPS)

    def mode(self) -> Mode:
        """What Generate will do."""
        return self._choice.mode()

    def mode_by_hand(self) -> Optional[Mode]:
        """The painter's own choice of mode; None while it is found from selection and canvas."""
        return self._choice.by_hand

    def strength(self) -> float:
        """Above 0, up to 1."""
        return float(self._slider.value() / self._slider.maximum())

    def strength_to_keep(self) -> float:
        """What belongs into the form, for `load`."""
        return self._choice.strength_to_keep()

    def load(self, mode: Optional[Mode], strength: float) -> None:
        """What was asked for before; `mode` None: found from selection and canvas."""
        self._choice.load(mode, strength)
        self._show_choice()

    def set_steps(self, steps: int) -> None:
        """The preset's steps; the strength stays as near as it can."""
        if steps != self._slider.maximum():
            self._slider.blockSignals(True)
            self._slider.setRange(1, steps)
            self._slider.setPageStep(max(1, steps // 5))
            self._slider.blockSignals(False)
            self._show_choice()

    def see(self, situation: Situation) -> None:
        """Selection and canvas look like this now."""
        before = self._choice.mode(), self._choice.strength()
        self._choice.see(situation)
        if before != (self._choice.mode(), self._choice.strength()):
            self._show_choice()

    def step(self, steps: int) -> None:
        self._slider.setValue(self._slider.value() + steps)

    def choose_next_mode(self) -> None:
        self._mode.choose_next()

    def _on_value(self) -> None:
        self._choice.set_strength(self.strength())
        self._label()

    def _on_chosen(self, mode: Optional[Mode]) -> None:
        self._choice.take(mode)
        self._show_choice()

    def _show_choice(self) -> None:
        """Bring slider and words to what the choice is; a rounded strength is not the painter's own."""
        self._slider.blockSignals(True)
        self._slider.setValue(snapped_strength(self._choice.strength(), self._slider.maximum()))
        self._slider.blockSignals(False)
        self._label()

    def _label(self) -> None:
        self._mode.show_mode()
        self._percent.setText(tr("{0} %", round(100 * self.strength())))
        self.changed.emit()

    def _reserve(self) -> None:
        """Room for the everyday modes, so that the slider does not jump."""
        metrics = self._mode.fontMetrics()
        names = [mode_name(mode) for mode in (Mode.FILL, Mode.REFINE, Mode.EXPAND, Mode.REMOVE)]
        self._mode.setMinimumWidth(max(metrics.boundingRect(name).width() for name in names) + 24)

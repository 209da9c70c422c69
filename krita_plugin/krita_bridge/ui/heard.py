"""How strongly a control or a reference is heard, and in which of the steps."""

from __future__ import annotations

from typing import Any

from ..qt import Qt, QtWidgets
from ..text import tr

_HUNDREDTHS = 100
_PAGE = 25


class HeardPanel(QtWidgets.QWidget):  # type: ignore[misc]
    """`Strength ===o 100 %  ...`: the range of steps is behind the dots."""

    def __init__(self, name: str, label: str, most: float) -> None:
        """Its widgets are called `name`_strength and so on; the slider goes from 0 to `most`."""
        super().__init__()
        self._slider = QtWidgets.QSlider(Qt.Orientation.Horizontal)
        self._slider.setObjectName(f"{name}_strength")
        self._slider.setAccessibleName(label)
        self._slider.setRange(0, round(most * _HUNDREDTHS))
        self._slider.setPageStep(_PAGE)
        self._percent = QtWidgets.QLabel()
        self._percent.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        self._percent.setMinimumWidth(self._percent.fontMetrics().boundingRect("200 % ").width())
        self._dots = QtWidgets.QToolButton()
        self._dots.setObjectName(f"{name}_details")
        self._dots.setText("\u2026")
        self._dots.setAutoRaise(True)
        self._dots.setCheckable(True)
        self._dots.setToolTip(tr("In which of the steps it is heard"))
        row = QtWidgets.QHBoxLayout()
        row.setSpacing(4)
        row.addWidget(QtWidgets.QLabel(label))
        row.addWidget(self._slider, 1)
        row.addWidget(self._percent)
        row.addWidget(self._dots)
        self._start = self._field(f"{name}_start", tr("Heard from"))
        self._end = self._field(f"{name}_end", tr("Heard until"))
        self._end.setValue(_HUNDREDTHS)
        steps = QtWidgets.QHBoxLayout()
        steps.setSpacing(4)
        steps.addWidget(QtWidgets.QLabel(tr("Steps")))
        steps.addWidget(self._start, 1)
        steps.addWidget(QtWidgets.QLabel(tr("to")))
        steps.addWidget(self._end, 1)
        self._details = QtWidgets.QWidget()
        self._detail_column = QtWidgets.QVBoxLayout(self._details)
        self._detail_column.setContentsMargins(0, 0, 0, 0)
        self._detail_column.setSpacing(4)
        self._detail_column.addLayout(steps)
        self._details.setVisible(False)
        self._whole = False
        column = QtWidgets.QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(2)
        column.addLayout(row)
        column.addWidget(self._details)
        self._slider.valueChanged.connect(lambda _: self._on_value())
        self._start.valueChanged.connect(self._end.setMinimum)
        self._end.valueChanged.connect(self._start.setMaximum)
        self._dots.toggled.connect(self._details.setVisible)

    def add_detail(self, widget: Any) -> None:
        """Put something more behind the dots."""
        self._detail_column.addWidget(widget)

    def heard_whole(self, reason: str) -> None:
        """Strength 1 in all of the steps, and nothing to be set: `reason` says why. Empty: as the painter sets it."""
        self._whole = bool(reason)
        self.setToolTip(reason)
        for widget in (self._slider, self._start, self._end):
            widget.setEnabled(not reason)
        self._on_value()

    def strength(self) -> float:
        return 1.0 if self._whole else float(self._slider.value() / _HUNDREDTHS)

    def start(self) -> float:
        """0 to 1, of the steps that are run."""
        return 0.0 if self._whole else float(self._start.value() / _HUNDREDTHS)

    def end(self) -> float:
        """0 to 1, not before the start."""
        return 1.0 if self._whole else float(self._end.value() / _HUNDREDTHS)

    def load(self, strength: float, start: float, end: float) -> None:
        self._slider.setValue(round(strength * _HUNDREDTHS))
        self._start.setMaximum(_HUNDREDTHS)
        self._end.setMinimum(0)
        self._end.setValue(round(end * _HUNDREDTHS))
        self._start.setValue(round(start * _HUNDREDTHS))
        self._on_value()
        if (start, end) != (0.0, 1.0):
            self._dots.setChecked(True)

    def _on_value(self) -> None:
        self._percent.setText(tr("{0} %", round(_HUNDREDTHS * self.strength())))

    def _field(self, name: str, label: str) -> Any:
        field = QtWidgets.QSpinBox()
        field.setObjectName(name)
        field.setAccessibleName(label)
        field.setRange(0, _HUNDREDTHS)
        field.setSingleStep(5)
        field.setSuffix(tr(" %"))
        return field

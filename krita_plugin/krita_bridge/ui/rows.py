"""A list of things of one kind under a heading: a row each, and a button that adds one."""

from __future__ import annotations

from typing import Any, Callable, List, Optional, Sequence, Tuple

from ..qt import Qt, QtWidgets, pyqtSignal
from ..text import tr
from ..wire.messages import PresetInfo
from .icons import krita_icon


class RowList(QtWidgets.QWidget):  # type: ignore[misc]
    """Rows from the top, the button below them. `changed`: there is another number of rows."""

    changed = pyqtSignal()

    def __init__(
        self,
        name: str,
        add: str,
        most: int,
        new_row: Callable[[], Any],
        lacking: Callable[[PresetInfo], str],
    ) -> None:
        """`new_row` makes a row: a widget with a signal `removed`, what is chosen in it as `chosen()` and `load(chosen)`,
        and `show_preset`. There are at most `most`. `lacking`: why a preset can do none of them, empty when it can."""
        super().__init__()
        self._new_row = new_row
        self._most = most
        self._lacking = lacking
        self._rows: List[Any] = []
        self._preset: Optional[PresetInfo] = None
        self._note = QtWidgets.QLabel()
        self._note.setObjectName(f"{name}_note")
        self._note.setWordWrap(True)
        self._note.setTextFormat(Qt.TextFormat.PlainText)
        self._add = QtWidgets.QPushButton(add)
        self._add.setObjectName(f"{name}_add")
        self._add.clicked.connect(lambda _=False: self.add())
        column = QtWidgets.QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(6)
        self._column = QtWidgets.QVBoxLayout()
        self._column.setSpacing(8)
        column.addLayout(self._column)
        column.addWidget(self._note)
        column.addWidget(self._add)

    def chosen(self) -> Tuple[Any, ...]:
        """What is chosen in each row, from the top."""
        return tuple(row.chosen() for row in self._rows)

    def load(self, chosen: Sequence[Any]) -> None:
        """As many rows as `chosen` has, each with what it says."""
        for row in self._rows[len(chosen) :]:
            self._remove(row)
        for number, each in enumerate(chosen):
            row = self._rows[number] if number < len(self._rows) else self._append()
            if row.chosen() != each:
                row.load(each)

    def add(self) -> Any:
        """Another row at the end, as a painter may want it; returns it."""
        return self._append()

    def show_preset(self, preset: Optional[PresetInfo]) -> None:
        """What of it all this preset can do; None: not known yet. Nothing is added that it cannot."""
        self._preset = preset
        for row in self._rows:
            row.show_preset(preset)
        self._note.setText(self._lacking(preset) if preset is not None else "")
        self._on_number()

    def _append(self) -> Any:
        row = self._new_row()
        row.show_preset(self._preset)
        row.removed.connect(lambda: self._remove(row))
        self._rows.append(row)
        self._column.addWidget(row)
        self._on_number()
        return row

    def _remove(self, row: Any) -> None:
        self._rows.remove(row)
        self._column.removeWidget(row)
        row.setVisible(False)
        row.deleteLater()
        self._on_number()

    def _on_number(self) -> None:
        lacking = bool(self._note.text())
        self._note.setVisible(lacking)
        self._add.setEnabled(len(self._rows) < self._most and not lacking)
        self.changed.emit()


def lay_out(row: Any, boxes: Sequence[Any], remove: Any, below: Sequence[Any]) -> None:
    """The widgets of a row: `boxes` share the first line with the button that removes it."""
    line = QtWidgets.QHBoxLayout()
    line.setSpacing(4)
    for box in boxes:
        line.addWidget(box, 1)
    line.addWidget(remove)
    column = QtWidgets.QVBoxLayout(row)
    column.setContentsMargins(0, 0, 0, 0)
    column.setSpacing(2)
    column.addLayout(line)
    for widget in below:
        column.addWidget(widget)


def narrow_box(name: str, label: str) -> Any:
    """A combo box that shrinks with the docker."""
    box = QtWidgets.QComboBox()
    box.setObjectName(name)
    box.setAccessibleName(label)
    box.setMinimumContentsLength(4)
    box.setSizeAdjustPolicy(
        QtWidgets.QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon
    )
    return box


def enable_item(box: Any, index: int, problem: str) -> None:
    """Whether an entry can be chosen: `problem` says why not, empty when it can."""
    box.model().item(index).setEnabled(not problem)
    box.setItemData(index, problem or None, Qt.ItemDataRole.ToolTipRole)


def remove_button(name: str) -> Any:
    button = QtWidgets.QToolButton()
    button.setObjectName(name)
    button.setIcon(krita_icon("deletelayer"))
    button.setAutoRaise(True)
    button.setToolTip(tr("Remove"))
    return button

"""The one word that says what Generate will do, and the menu behind it."""

from __future__ import annotations

from typing import Any

from ..choice import ModeChoice
from ..qt import Qt, QtWidgets, pyqtSignal
from ..text import tr
from ..wire.modes import MEANINGS, Mode
from ..words import mode_name, mode_tip
from .flat import FlatButton


class ModeButton(FlatButton):
    """Shows the mode; a click offers the others."""

    chosen = pyqtSignal(object)
    """A Mode, or None for: find it again."""

    def __init__(self, choice: ModeChoice) -> None:
        super().__init__()
        self._choice = choice
        self.setObjectName("mode")
        self.setAccessibleName(tr("Mode"))
        self.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextOnly)
        self.setPopupMode(QtWidgets.QToolButton.ToolButtonPopupMode.InstantPopup)
        menu = QtWidgets.QMenu(self)
        menu.setObjectName("modes")
        menu.setToolTipsVisible(True)
        self._automatic = self._add(menu, None)
        menu.addSeparator()
        self._actions = {mode: self._add(menu, mode) for mode in Mode}
        menu.aboutToShow.connect(self._prepare)
        self.setMenu(menu)
        self.show_mode()

    def show_mode(self) -> None:
        """Show what the choice is now."""
        self.setText(mode_name(self._choice.mode()))

    def choose_next(self) -> None:
        """The next mode that there is something for."""
        possible = [mode for mode in Mode if self._is_possible(mode)]
        now = self._choice.mode()
        after = possible.index(now) + 1 if now in possible else 0
        self.chosen.emit(possible[after % len(possible)])

    def _add(self, menu: Any, mode: Any) -> Any:
        action = menu.addAction("" if mode is None else mode_name(mode))
        action.setCheckable(True)
        action.triggered.connect(lambda _=False: self.chosen.emit(mode))
        return action

    def _prepare(self) -> None:
        by_hand = self._choice.by_hand
        self._automatic.setText(tr("Automatic ({0})", mode_name(self._choice.suggested())))
        self._automatic.setChecked(by_hand is None)
        for mode, action in self._actions.items():
            action.setChecked(mode is by_hand)
            possible = self._is_possible(mode)
            action.setEnabled(possible)
            action.setToolTip(mode_tip(mode) if possible else tr("Select something first"))

    def _is_possible(self, mode: Mode) -> bool:
        return self._choice.has_selection or not MEANINGS[mode].needs_selection

"""A button that looks like a heading."""

from __future__ import annotations

from typing import Any

from ..qt import QtWidgets

_Option = QtWidgets.QStyleOptionToolButton


class FlatButton(QtWidgets.QToolButton):  # type: ignore[misc]
    """Never drawn as held down; the arrow of its menu stands beside the text, not in the lower corner.

    Not by a style sheet: a widget that has one keeps the window's font, and Krita's dockers have a smaller one.
    """

    def __init__(self) -> None:
        super().__init__()
        self.setAutoRaise(True)

    def paintEvent(self, event: Any) -> None:
        option = _Option()
        self.initStyleOption(option)
        option.state &= ~QtWidgets.QStyle.StateFlag.State_On
        if self.menu() is not None:
            option.features &= ~_Option.ToolButtonFeature.HasMenu
            option.text += " \u25be"
        painter = QtWidgets.QStylePainter(self)
        painter.drawComplexControl(QtWidgets.QStyle.ComplexControl.CC_ToolButton, option)

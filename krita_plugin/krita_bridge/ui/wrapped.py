"""A sentence in as many lines as it needs."""

from __future__ import annotations

from typing import Any

from ..qt import QtWidgets


class WrappedLabel(QtWidgets.QLabel):  # type: ignore[misc]
    """Never lower than its text: a dock widget does not ask how high wrapped text is, and in a low one it would be cut off."""

    def __init__(self) -> None:
        super().__init__()
        self.setWordWrap(True)
        self._fit()

    def setText(self, text: str) -> None:
        super().setText(text)
        self._fit()

    def resizeEvent(self, event: Any) -> None:
        super().resizeEvent(event)
        if event.size().width() != event.oldSize().width():
            self._fit()

    def _fit(self) -> None:
        self.setMinimumHeight(0)  # else Qt counts it as a part of the text's height
        lines = self.heightForWidth(self.width())
        self.setMinimumHeight(max(lines, self.fontMetrics().lineSpacing()))

"""A text field that grows with its text."""

from __future__ import annotations

from math import ceil
from typing import Any, Callable, Sequence

from ..history import PromptHistory
from ..qt import Qt, QtCore, QtGui, QtWidgets, pyqtSignal
from ..text import tr

LEAST_LINES = 2
MOST_LINES = 8


class PromptField(QtWidgets.QPlainTextEdit):  # type: ignore[misc]
    """Shift+Enter submits; Alt+Up and Alt+Down walk through earlier prompts; Tab leaves the field. The menu of the right button
    offers `tags`: what can stand in a prompt beside words, as `<lora:ink>`.

    Undo and redo are Krita's as long as the text is what was used last: Ctrl+Z right after Shift+Enter takes the
    picture away and not the words.
    """

    submitted = pyqtSignal()

    def __init__(
        self,
        name: str,
        placeholder: str,
        history: PromptHistory,
        tags: Callable[[], Sequence[str]],
        least_lines: int = LEAST_LINES,
    ) -> None:
        super().__init__()
        self._history = history
        self._least_lines = least_lines
        self._tags = tags
        self.setObjectName(name)
        self.setPlaceholderText(placeholder)
        self.setAccessibleName(placeholder)
        self.setTabChangesFocus(True)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setSizePolicy(
            QtWidgets.QSizePolicy.Policy.Expanding, QtWidgets.QSizePolicy.Policy.Fixed
        )
        self.document().documentLayout().documentSizeChanged.connect(lambda _: self._grow())
        self._grow()

    def set_text(self, text: str) -> None:
        """Replace the text, unless it is the same: the cursor stays where it is then."""
        if text != self.toPlainText():
            self.setPlainText(text)

    def used(self) -> None:
        """The text as it is now was asked for."""
        self.document().setModified(False)

    def event(self, event: Any) -> bool:
        if event.type() == QtCore.QEvent.Type.ShortcutOverride and not self.document().isModified():
            keys = QtGui.QKeySequence.StandardKey
            if event.matches(keys.Undo) or event.matches(keys.Redo):
                event.ignore()
                return True
        return bool(super().event(event))

    def keyPressEvent(self, event: Any) -> None:
        modifiers, key = event.modifiers(), event.key()
        if key in (Qt.Key.Key_Return, Qt.Key.Key_Enter) and (
            modifiers & (Qt.KeyboardModifier.ShiftModifier | Qt.KeyboardModifier.ControlModifier)
        ):
            self.submitted.emit()
        elif modifiers & Qt.KeyboardModifier.AltModifier and key == Qt.Key.Key_Up:
            self._recall(self._history.older(self.toPlainText()))
        elif modifiers & Qt.KeyboardModifier.AltModifier and key == Qt.Key.Key_Down:
            self._recall(self._history.newer(self.toPlainText()))
        else:
            super().keyPressEvent(event)

    def contextMenuEvent(self, event: Any) -> None:
        self.menu().popup(event.globalPos())

    def menu(self) -> Any:
        """A menu for the right button: Qt's own, and what can be inserted."""
        menu = self.createStandardContextMenu()
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        insert = menu.addMenu(tr("Insert"))
        tags = self._tags()
        insert.setEnabled(bool(tags))
        for tag in tags:
            # A single & would underline the letter after it.
            action = insert.addAction(tag.replace("&", "&&"))
            action.triggered.connect(lambda _=False, tag=tag: self.insertPlainText(tag))
        return menu

    def resizeEvent(self, event: Any) -> None:
        super().resizeEvent(event)
        self._grow()

    def _recall(self, text: Any) -> None:
        if text is not None:
            self.setPlainText(text)
            self.moveCursor(QtGui.QTextCursor.MoveOperation.End)

    def _grow(self) -> None:
        wanted = int(self.document().size().height())
        lines = max(self._least_lines, min(MOST_LINES, wanted))
        around = 2 * self.frameWidth() + 2 * int(self.document().documentMargin())
        height = ceil(lines * QtGui.QFontMetricsF(self.font()).lineSpacing()) + around
        # Before it is as tall as its text it would show a scroll bar for a moment.
        policy = Qt.ScrollBarPolicy
        shows_all = wanted <= MOST_LINES
        self.setVerticalScrollBarPolicy(
            policy.ScrollBarAlwaysOff if shows_all else policy.ScrollBarAsNeeded
        )
        if height != self.height():
            self.setFixedHeight(height)

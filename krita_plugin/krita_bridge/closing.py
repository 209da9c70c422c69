"""Keeps Krita from falling over when a document closes right after one of its layers was changed.

Krita's layers docker notes each layer whose name, lock or other property changed and looks at them 0.1 s later, also at
those whose document has gone in between: a crash in `KisNodeModel::processUpdateQueue` (seen with 5.1.5; plain
scripts run into it as well). So a window that closes within that time waits until the docker has caught up.
"""

from __future__ import annotations

import time
from typing import Any

from krita import Krita

from .qt import QtCore, QtWidgets

SETTLED_SECONDS = 0.25


class CloseGuard(QtCore.QObject):  # type: ignore[misc]
    """Watches the windows of documents for their closing."""

    def __init__(self) -> None:
        super().__init__()
        self._changed = 0.0
        self.is_waiting = False

    def layer_changed(self) -> None:
        """A property of a layer was changed just now."""
        self._changed = time.monotonic()

    def watch(self) -> None:
        """Watch the windows that are open now, this one for the first time or not."""
        window = Krita.instance().activeWindow()
        if window is None:
            return
        for area in window.qwindow().centralWidget().findChildren(QtWidgets.QMdiArea):
            for document_window in area.subWindowList():
                document_window.installEventFilter(self)

    def eventFilter(self, watched: Any, event: Any) -> bool:
        if event.type() == QtCore.QEvent.Type.Close and not self.is_waiting:
            left = self._changed + SETTLED_SECONDS - time.monotonic()
            if left > 0:
                self._wait(left)
        return False

    def _wait(self, seconds: float) -> None:
        self.is_waiting = True
        try:
            let_krita_catch_up(seconds)
        finally:
            self.is_waiting = False


close_guard = CloseGuard()


def let_krita_catch_up(seconds: float) -> None:
    """Let Krita do for so long what it has put off. What the painter does meanwhile waits, and is not lost."""
    loop = QtCore.QEventLoop()
    QtCore.QTimer.singleShot(int(seconds * 1000) + 1, loop.quit)
    run = getattr(loop, "exec", None) or loop.exec_
    run(QtCore.QEventLoop.ProcessEventsFlag.ExcludeUserInputEvents)


def in_dialog() -> bool:
    """Whether a dialog has the painter's attention, or a document is closing."""
    return close_guard.is_waiting or QtWidgets.QApplication.activeModalWidget() is not None

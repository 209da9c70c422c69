"""Keeps the painter's layer the active one while another layer is added.

Krita makes a new layer the active one some events after it was added, and a stroke that begins before the painter's own
is active again would land on the new one: a window of 20 to 40 ms on large canvases (5.1.5, 5.2.9), 10 ms (5.3.4), up to
100 ms (6.0.4). So until that is over, whatever begins a stroke or asks for something by key finds the painter's layer
active first. Holding input back in an event loop of its own is no way: 5.1.5 and 5.2.9 do not activate the layer in it.
"""

from __future__ import annotations

from typing import Any

from .document import CanvasDocument
from .qt import Qt, QtCore, QtWidgets
from .turns import Task

POLL_SECONDS = 0.002
MOST_POLLS = 500
"""After so many turns of the event loop Krita is taken not to activate the layer at all."""

_EVENT = QtCore.QEvent.Type
_BEGINNINGS = (
    _EVENT.MouseButtonPress,
    _EVENT.TabletPress,
    _EVENT.TouchBegin,
    _EVENT.ShortcutOverride,
    _EVENT.KeyPress,
)


def is_pressed() -> bool:
    """Whether a button of the mouse is held down anywhere in Krita."""
    return bool(QtWidgets.QApplication.mouseButtons() != Qt.MouseButton.NoButton)


class SteadyLayer(QtCore.QObject):  # type: ignore[misc]
    """Watches from when it is made, before the layer is added, until `stop`."""

    def __init__(self, document: CanvasDocument) -> None:
        super().__init__()
        self._document = document
        self._own = document.active_node()
        self._known = [node.uniqueId() for node in document.nodes()]
        self._given_back = False
        QtWidgets.QApplication.instance().installEventFilter(self)

    def restored(self) -> Task:
        """Wait until Krita has activated the new layer and the painter's is active again.

        Nothing is activated in the middle of a drag: which layer that is meant for is settled.
        """
        for _ in range(MOST_POLLS):
            if not self._document.is_open() or not self._document.is_active():
                return
            if not is_pressed():
                self._give_back()
            if self._given_back:
                return
            yield POLL_SECONDS

    def stop(self) -> None:
        """Watch no longer."""
        QtWidgets.QApplication.instance().removeEventFilter(self)

    def eventFilter(self, watched: Any, event: Any) -> bool:
        if event.type() in _BEGINNINGS and self._document.is_active():
            self._give_back()
        return False

    def _give_back(self) -> None:
        active = self._document.active_node()
        if active is None:
            return
        if active.uniqueId() in self._known:
            self._own = active  # also when the painter has chosen another one meanwhile
        elif self._own is not None and self._document.holds(self._own):
            self._document.activate(self._own)
            self._given_back = True

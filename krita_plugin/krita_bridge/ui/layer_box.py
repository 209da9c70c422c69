"""A choice among the layers of the document."""

from __future__ import annotations

from typing import Any, List, Optional, Tuple

from ..document import CanvasDocument
from ..qt import QtWidgets
from ..text import tr


class Layers:
    """The layers of the document in front, for as many boxes as there are."""

    def __init__(self) -> None:
        self.document: Optional[CanvasDocument] = None

    def names(self) -> List[Tuple[str, str]]:
        """The uniqueId and the name of each, topmost first."""
        if self.document is None or not self.document.is_open():
            return []
        return self.document.layers()

    def active(self) -> str:
        """The uniqueId of the layer that the painter is on, the topmost one while that is a mask; empty for none."""
        known = [unique_id for unique_id, _ in self.names()]
        node = self.document.active_node() if known and self.document is not None else None
        found = str(node.uniqueId().toString()) if node is not None else ""
        return found if found in known else next(iter(known), "")


class LayerBox(QtWidgets.QComboBox):  # type: ignore[misc]
    """Lists the layers as they are when it is opened or gets the keyboard."""

    def __init__(self, name: str, layers: Layers) -> None:
        super().__init__()
        self._layers = layers
        self.setObjectName(name)
        self.setAccessibleName(tr("Layer"))
        self.setMinimumContentsLength(6)
        self.setSizeAdjustPolicy(
            QtWidgets.QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon
        )

    def layer(self) -> str:
        """The uniqueId of the layer; empty while none is chosen."""
        return self.currentData() or ""

    def set_layer(self, unique_id: str) -> None:
        self._list(unique_id)

    def choose_active(self) -> None:
        """The layer that the painter is on."""
        self._list(self._layers.active())

    def showPopup(self) -> None:
        self._list(self.layer())
        super().showPopup()

    def focusInEvent(self, event: Any) -> None:
        self._list(self.layer())
        super().focusInEvent(event)

    def _list(self, chosen: str) -> None:
        self.blockSignals(True)
        self.clear()
        for unique_id, name in self._layers.names():
            self.addItem(name, unique_id)
        index = self.findData(chosen) if chosen else -1
        if chosen and index < 0:
            self.addItem(tr("(this layer is gone)"), chosen)
            index = self.count() - 1
        self.setCurrentIndex(index)
        self.blockSignals(False)

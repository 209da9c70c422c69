"""Reference images: pictures that the result is to resemble."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Optional

from ..conditions import ChosenReference, lacks_mode, lacks_references, mode_label
from ..pictures import readable_formats
from ..qt import QtCore, QtWidgets, pyqtSignal
from ..text import tr
from ..wire.limits import MAX_REFERENCES
from ..wire.messages import PresetInfo
from ..wire.reference import MAX_WEIGHT, Reference, ReferenceMode
from .files import choose_file
from .heard import HeardPanel
from .layer_box import LayerBox, Layers
from .rows import RowList, enable_item, lay_out, narrow_box, remove_button

_LAYER, _FILE = "layer", "file"


class ReferencesPanel(RowList):
    """The references of the form."""

    def __init__(self, layers: Layers) -> None:
        super().__init__(
            "reference",
            tr("Add Reference"),
            MAX_REFERENCES,
            lambda: ReferenceRow(layers),
            lacks_references,
        )

    def add(self) -> Any:
        """The layer that the painter is on."""
        row = super().add()
        row.choose_active()
        return row


class ReferenceRow(QtWidgets.QWidget):  # type: ignore[misc]
    """`[Layer v] [All of it v] x`, which layer or file, and how strongly it is heard."""

    removed = pyqtSignal()

    def __init__(self, layers: Layers) -> None:
        super().__init__()
        self._path = ""
        self._source = narrow_box("reference_source", tr("Where the picture is"))
        self._source.addItem(tr("Layer"), _LAYER)
        self._source.addItem(tr("File"), _FILE)
        self._mode = narrow_box("reference_mode", tr("What is taken from it"))
        for mode in ReferenceMode:
            self._mode.addItem(mode_label(mode), mode)
        remove = remove_button("reference_remove")
        self._layer = LayerBox("reference_layer", layers)
        self._file = QtWidgets.QPushButton()
        self._file.setObjectName("reference_file")
        self._heard = HeardPanel("reference", tr("Weight"), MAX_WEIGHT)
        below = (self._layer, self._file, self._heard)
        lay_out(self, (self._source, self._mode), remove, below)
        self._source.currentIndexChanged.connect(lambda _: self._on_source())
        self._file.clicked.connect(lambda _=False: self._choose_file())
        remove.clicked.connect(lambda _=False: self.removed.emit())
        self.load(ChosenReference(Reference()))

    def chosen(self) -> ChosenReference:
        reference = Reference(
            self._heard.strength(),
            self._mode.currentData(),
            self._heard.start(),
            self._heard.end(),
        )
        if self._source.currentData() == _FILE:
            return ChosenReference(reference, file=self._path)
        return ChosenReference(reference, layer=self._layer.layer())

    def load(self, chosen: ChosenReference) -> None:
        reference = chosen.reference
        self._source.setCurrentIndex(self._source.findData(_FILE if chosen.file else _LAYER))
        self._mode.setCurrentIndex(self._mode.findData(reference.mode))
        self._layer.set_layer(chosen.layer)
        self._heard.load(reference.weight, reference.start, reference.end)
        self._set_path(chosen.file)
        self._on_source()

    def choose_active(self) -> None:
        """The layer that the painter is on."""
        self._layer.choose_active()

    def show_preset(self, preset: Optional[PresetInfo]) -> None:
        for index in range(self._mode.count()):
            mode = self._mode.itemData(index)
            enable_item(self._mode, index, lacks_mode(mode, preset) if preset else "")

    def resizeEvent(self, event: Any) -> None:
        super().resizeEvent(event)
        self._set_path(self._path)

    def _on_source(self) -> None:
        of_file = self._source.currentData() == _FILE
        self._layer.setVisible(not of_file)
        self._file.setVisible(of_file)

    def _choose_file(self) -> None:
        folder = str(Path(self._path).parent) if self._path else QtCore.QDir.homePath()
        endings = " ".join(f"*.{ending}" for ending in readable_formats())
        kinds = (tr("Pictures ({0})", endings), tr("All files (*)"))
        choose_file(self, tr("Reference"), folder, kinds, lambda path: self._set_path(str(path)))

    def _set_path(self, path: str) -> None:
        self._path = path
        name = Path(path).name if path else tr("Choose a File...")
        room = max(60, self.width() - 24)
        self._file.setText(
            self._file.fontMetrics().elidedText(name, QtCore.Qt.TextElideMode.ElideMiddle, room)
        )
        self._file.setToolTip(path)

"""Control layers: what is where, said by pictures."""

from __future__ import annotations

from typing import Any, Optional, Sequence, Tuple

from ..conditions import (
    ChosenControl,
    control_name,
    heard_whole,
    lacks_control,
    lacks_controls,
    lacks_detector,
    lacks_from,
)
from ..qt import QtWidgets, pyqtSignal
from ..text import tr
from ..wire.control import MAX_STRENGTH, Control, ControlKind, ControlSource
from ..wire.limits import MAX_CONTROLS
from ..wire.messages import PresetInfo
from .heard import HeardPanel
from .layer_box import LayerBox, Layers
from .rows import RowList, enable_item, lay_out, narrow_box, remove_button


class ControlsPanel(RowList):
    """The controls of the form."""

    def __init__(self, layers: Layers) -> None:
        super().__init__(
            "control",
            tr("Add Control"),
            MAX_CONTROLS,
            lambda: ControlRow(layers),
            lacks_controls,
        )

    def add(self) -> Any:
        """The first kind that is not there yet and that the preset can do."""
        taken = {chosen.control.kind for chosen in self.chosen()}
        row = super().add()
        preset = self._preset
        possible = [kind for kind in ControlKind if preset is None or kind in preset.controls]
        fresh = [kind for kind in possible if kind not in taken]
        for kind in (fresh or possible)[:1]:
            row.choose(kind)
        return row


class ControlRow(QtWidgets.QWidget):  # type: ignore[misc]
    """`[Depth v] [Canvas v] x`, the layer where there is one, and how strongly it is heard."""

    removed = pyqtSignal()

    def __init__(self, layers: Layers) -> None:
        super().__init__()
        self._preset: Optional[PresetInfo] = None
        self._kind = narrow_box("control_kind", tr("Kind of control"))
        for kind in ControlKind:
            self._kind.addItem(control_name(kind), kind)
        self._source = narrow_box("control_source", tr("Where its map comes from"))
        for source, text in _sources():
            self._source.addItem(text, source)
        remove = remove_button("control_remove")
        self._layer = LayerBox("control_layer", layers)
        self._heard = HeardPanel("control", tr("Strength"), MAX_STRENGTH)
        self._keep = QtWidgets.QCheckBox(tr("Keep the map as a layer"))
        self._keep.setObjectName("control_keep")
        self._keep.setToolTip(
            tr(
                "With the next picture comes its map, on a hidden layer, to be changed or used again; not while upscaling"
            )
        )
        self._heard.add_detail(self._keep)
        self._lack = QtWidgets.QLabel()
        self._lack.setObjectName("control_lack")
        self._lack.setWordWrap(True)
        below = (self._layer, self._lack, self._heard)
        lay_out(self, (self._kind, self._source), remove, below)
        self._kind.currentIndexChanged.connect(lambda _: self._on_chosen_kind())
        self._source.currentIndexChanged.connect(lambda _: self._on_source())
        remove.clicked.connect(lambda _=False: self.removed.emit())
        self.load(ChosenControl(Control(ControlKind.DEPTH)))

    def chosen(self) -> ChosenControl:
        source = self._source.currentData()
        control = Control(
            self._kind.currentData(),
            source,
            self._heard.strength(),
            self._heard.start(),
            self._heard.end(),
            self._keep.isChecked() and source is not ControlSource.MAP,
        )
        return ChosenControl(control, self._layer.layer() if control.brings_picture else "")

    def load(self, chosen: ChosenControl) -> None:
        control = chosen.control
        self._kind.setCurrentIndex(self._kind.findData(control.kind))
        self._source.setCurrentIndex(self._source.findData(control.source))
        self._layer.set_layer(chosen.layer)
        self._heard.load(control.strength, control.start, control.end)
        self._keep.setChecked(control.keep)
        self._on_kind()

    def choose(self, kind: ControlKind) -> None:
        self._kind.setCurrentIndex(self._kind.findData(kind))
        self._on_chosen_kind()

    def show_preset(self, preset: Optional[PresetInfo]) -> None:
        self._preset = preset
        for index in range(self._kind.count()):
            kind = self._kind.itemData(index)
            enable_item(self._kind, index, lacks_control(kind, preset) if preset else "")
        self._on_kind()

    def _on_chosen_kind(self) -> None:
        """A kind whose map is only given begins with a layer; a preset that is chosen later leaves the source as it is."""
        if self._preset is not None and self._kind.currentData() in self._preset.map_only:
            self._source.setCurrentIndex(self._source.findData(ControlSource.MAP))
        self._on_kind()

    def _on_kind(self) -> None:
        kind, preset = self._kind.currentData(), self._preset
        unseen = lacks_detector(kind, preset) if preset is not None else ""
        for index in range(self._source.count()):
            makes = self._source.itemData(index) is not ControlSource.MAP
            enable_item(self._source, index, unseen if makes else "")
        self._heard.heard_whole(heard_whole(kind, preset) if preset is not None else "")
        self._on_source()

    def _on_source(self) -> None:
        source, preset = self._source.currentData(), self._preset
        brings = source is not ControlSource.CANVAS
        if brings and not self._layer.layer():
            self._layer.choose_active()
        self._layer.setVisible(brings)
        self._keep.setVisible(source is not ControlSource.MAP)
        # Of a preset without any ControlNet the list says it, once.
        lack = ""
        if preset is not None and preset.controls:
            lack = lacks_from(self._kind.currentData(), source, preset)
        self._lack.setText(lack)
        self._lack.setVisible(bool(lack))


def _sources() -> Sequence[Tuple[ControlSource, str]]:
    return (
        (ControlSource.CANVAS, tr("Canvas")),
        (ControlSource.PICTURE, tr("Layer")),
        (ControlSource.MAP, tr("Layer as is")),
    )

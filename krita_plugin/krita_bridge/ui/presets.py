"""The list of presets."""

from __future__ import annotations

from typing import Optional, Tuple

from ..painting import Painting
from ..qt import Qt, QtWidgets
from ..text import tr
from ..wire.messages import PresetInfo


class PresetBox(QtWidgets.QComboBox):  # type: ignore[misc]
    """Shows what the bridge has; remembers what is wanted while there is no bridge yet."""

    def __init__(self, painting: Painting) -> None:
        super().__init__()
        self._painting = painting
        self._wanted = ""
        self._shown: Tuple[PresetInfo, ...] = ()
        self.setObjectName("preset")
        self.setAccessibleName(tr("Preset"))
        self.setMinimumContentsLength(8)
        self.setSizeAdjustPolicy(
            QtWidgets.QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon
        )
        self.currentIndexChanged.connect(lambda _: self._on_chosen())

    def name(self) -> str:
        """The name of the preset that is wanted; empty for the default one before the bridge has said its name."""
        return self.currentData() or self._wanted

    def chosen(self) -> Optional[PresetInfo]:
        """What is known of the preset that is wanted."""
        return self._painting.preset(self._wanted)

    def choose(self, name: str) -> None:
        """Show the preset `name` as soon as the bridge says that there is one."""
        self._wanted = name
        preset = self.chosen()
        if preset is not None:
            self.setCurrentIndex(self.findData(preset.name))

    def show_known(self) -> bool:
        """Bring the list in line with what the bridge has; returns whether that changed."""
        presets = self._painting.presets
        if presets == self._shown:
            return False
        self._shown = presets
        self.blockSignals(True)
        self.clear()
        for preset in presets:
            self.addItem(preset.label, preset.name)
            tip = tr("{0}, {1} steps", preset.model, preset.steps)
            self.setItemData(self.count() - 1, tip, Qt.ItemDataRole.ToolTipRole)
        self.blockSignals(False)
        self.choose(self._wanted)
        return True

    def _on_chosen(self) -> None:
        self._wanted = self.name()

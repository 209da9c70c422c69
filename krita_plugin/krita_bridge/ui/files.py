"""Choosing a file without stopping Krita."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Callable, Sequence

from ..qt import QtWidgets


def choose_file(
    parent: Any, title: str, folder: str, kinds: Sequence[str], chosen: Callable[[Path], None]
) -> None:
    """Open a dialog for one file; `chosen` is called with it, later or never. `kinds`: as `Pictures (*.png)`."""
    dialog = QtWidgets.QFileDialog(parent, title, folder)
    dialog.setNameFilters(list(kinds))
    dialog.setFileMode(QtWidgets.QFileDialog.FileMode.ExistingFile)
    dialog.fileSelected.connect(lambda name: chosen(Path(name)))
    dialog.finished.connect(lambda _: dialog.deleteLater())
    dialog.open()

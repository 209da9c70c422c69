"""Choosing a file, to be read or written, without stopping Krita."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Callable, Sequence

from ..qt import QtWidgets
from ..text import tr


def choose_file(
    parent: Any, title: str, folder: str, kinds: Sequence[str], chosen: Callable[[Path], None]
) -> None:
    """Open a dialog for one file; `chosen` is called with it, later or never. `kinds`: as `Pictures (*.png)`."""
    dialog = QtWidgets.QFileDialog(parent, title, folder)
    dialog.setNameFilters(list(kinds))
    dialog.setFileMode(QtWidgets.QFileDialog.FileMode.ExistingFile)
    _open(dialog, chosen)


def choose_png_to_write(
    parent: Any, title: str, proposed: Path, chosen: Callable[[Path], None]
) -> None:
    """The same for a PNG that need not be there yet; it asks before one is replaced."""
    dialog = QtWidgets.QFileDialog(parent, title, str(proposed.parent))
    dialog.setNameFilters([tr("Pictures (*.png)")])
    dialog.setAcceptMode(QtWidgets.QFileDialog.AcceptMode.AcceptSave)
    dialog.setDefaultSuffix("png")
    dialog.selectFile(proposed.name)
    _open(dialog, chosen)


def _open(dialog: Any, chosen: Callable[[Path], None]) -> None:
    dialog.fileSelected.connect(lambda name: chosen(Path(name)))
    dialog.finished.connect(lambda _: dialog.deleteLater())
    dialog.open()

"""Choosing a file, to be read or written, without stopping Krita; and the way to the painter's own."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any, Callable, Sequence

from ..launcher import bridge_home
from ..qt import QtCore, QtGui, QtWidgets
from ..text import tr
from ..wire.folders import PAINTERS_OWN


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


def show_painters_folders() -> None:
    """Show the bridge's folder in the computer's own file manager, with a place in it for each kind of file."""
    home = bridge_home()
    with suppress(OSError):  # then there is nothing to show, and the file manager says so
        for name in PAINTERS_OWN:
            (home / name).mkdir(mode=0o700, parents=True, exist_ok=True)
    QtGui.QDesktopServices.openUrl(QtCore.QUrl.fromLocalFile(str(home)))


def _open(dialog: Any, chosen: Callable[[Path], None]) -> None:
    dialog.fileSelected.connect(lambda name: chosen(Path(name)))
    dialog.finished.connect(lambda _: dialog.deleteLater())
    dialog.open()

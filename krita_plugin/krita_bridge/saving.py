"""Results as PNG files that tell how they were made."""

from __future__ import annotations

import contextlib
import errno
import os
import threading
from pathlib import Path
from typing import List

from .history import Entry
from .painting import Painting
from .pngtext import add_texts
from .qt import QtCore, QtGui, sip
from .recipe import texts
from .text import tr
from .turns import Task
from .wire.schedulers import LABELS

_POLL_SECONDS = 0.05


def save_png(entry: Entry, path: Path, painting: Painting) -> Task:
    """Write the result to `path`, whole or not at all, and say what came of it. Packing runs beside Krita."""
    problems: List[str] = []

    def write() -> None:
        beside = path.with_name(f".{path.name}.partial")
        try:
            beside.write_bytes(_png(entry))
            beside.replace(path)
        except OSError as error:
            problems.append(error.strerror or str(error))
            with contextlib.suppress(OSError):
                beside.unlink()

    thread = threading.Thread(target=write, name="krita-bridge-png", daemon=True)
    thread.start()
    while thread.is_alive():
        yield _POLL_SECONDS
    if problems:
        painting.say(tr("{0} could not be written: {1}.", path.name, problems[0]))
    else:
        painting.say(tr("Saved as {0}, with its settings.", path.name))


def _png(entry: Entry) -> bytes:
    """The result alone, transparent where nothing was selected. Raises OSError; Qt gives no reason but want of memory."""
    size = entry.bounds
    pixels = sip.voidptr(memoryview(entry.image))
    picture = QtGui.QImage(
        pixels, size.width, size.height, size.width * 4, QtGui.QImage.Format.Format_ARGB32
    )
    data = QtCore.QByteArray()
    buffer = QtCore.QBuffer(data)
    buffer.open(QtCore.QIODevice.OpenModeFlag.WriteOnly)
    if not picture.save(buffer, "PNG"):
        raise OSError(errno.ENOMEM, os.strerror(errno.ENOMEM))
    facts = entry.facts
    label = LABELS.get(facts.scheduler, facts.scheduler)
    return add_texts(bytes(data), texts(facts, label, entry.canvas, entry.bounds))

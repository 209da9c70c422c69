"""Layers that are read from small Krita files which the plugin has written itself (see `kra.py`)."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from krita import Krita

from . import kra
from .text import tr

_masked: Any = None


def layer_from(path: Path) -> Any:
    """A copy of the only layer of a Krita file, in no document yet.

    The file is opened out of sight. That keeps the UI thread for 0.5 s, and 5 ms more for each frame of 512 x 512 px.
    """
    krita = Krita.instance()
    # Else Krita asks about whatever it misses in the file.
    was_batch = krita.batchmode()
    krita.setBatchmode(True)
    try:
        document = krita.openDocument(str(path))
    finally:
        krita.setBatchmode(was_batch)
    if document is None:
        raise OSError(f"Krita does not open {path}")
    # What still looks at the picture on another thread would outlive it.
    document.waitForDone()
    layer = document.rootNode().childNodes()[0].duplicate()
    document.close()
    return layer


def masked_layer() -> Any:
    """An empty paint layer of 8-bit sRGB with a transparency mask that hides it, in no document yet."""
    global _masked
    if _masked is None:
        with tempfile.TemporaryDirectory(prefix="krita-bridge-") as folder:
            path = Path(folder) / "masked.kra"
            kra.write_masked(path, tr("Paint White Here"))
            _masked = layer_from(path)
    return _masked.duplicate()

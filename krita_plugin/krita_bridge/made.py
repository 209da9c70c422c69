"""The active layer, when it says how it was made: its settings, and saving it as a PNG that tells them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable, Optional

from .capture import CannotCapture, read_strips
from .document import CanvasDocument, active_document
from .history import Entry
from .layers import LayerPixels
from .painting import Painting
from .provenance import Record, read
from .saving import save_png
from .text import tr
from .turns import Task
from .wire.geometry import Bounds


@dataclass(frozen=True)
class MadeLayer:
    """A layer, and how it was made."""

    document: CanvasDocument
    node: Any
    record: Record


def active_made_layer(say: Callable[[str], None]) -> Optional[MadeLayer]:
    """The active layer; None, with a sentence for `say`, where that does not say how it was made."""
    document = active_document()
    node = document.active_layer() if document is not None else None
    if document is None or node is None:
        say(tr("Open a picture first, and choose one of its layers."))
        return None
    record = read(document, node.uniqueId().toString())
    if record is None:
        say(
            tr(
                "“{0}” does not say how it was made: choose a layer that is a result, and no copy of one.",
                node.name(),
            )
        )
        return None
    return MadeLayer(document, node, record)


def save_layer(made: MadeLayer, path: Path, painting: Painting) -> Task:
    """Write what is on the layer now to `path`, as `save_png` does."""
    pixels, found = LayerPixels(made.document, made.node), made.node.bounds()
    area = Bounds(found.x(), found.y(), found.width(), found.height())
    if area.is_empty:
        painting.say(tr("The layer is empty: nothing of it can be saved."))
        return
    try:
        parts = yield from read_strips(pixels.is_idle, pixels.read, area, 4, pixels.strip_bytes)
    except CannotCapture:
        painting.say(tr("The layer is gone: undo what removed it, and save it again."))
        return
    facts, canvas = made.record.facts, made.document.canvas()
    yield from save_png(Entry("", area, canvas, facts, None, b"".join(parts)), path, painting)

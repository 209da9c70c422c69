"""May this result be put into the document, and where? A pure decision; `place.py` carries it out."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from .text import tr


class LayerFate(Enum):
    """What became of the layer on which a job shows its previews."""

    NOT_MADE = "not_made"
    PRESENT = "present"
    GONE = "gone"


class Placement(Enum):
    """Where a finished picture goes."""

    INTO_PREVIEW_LAYER = "into_preview_layer"
    NEW_LAYER_ABOVE_ANCHOR = "new_layer_above_anchor"
    NEW_LAYER_AT_ROOT = "new_layer_at_root"
    KEEP_IN_HISTORY = "keep_in_history"


@dataclass(frozen=True)
class DocumentState:
    """The document a job came from, as it is now.

    `same_canvas`: its size is what it was when the job began. `layer`: the job's preview layer. `anchor_usable`:
    the layer that was active then is still there, and everything above it in the tree is visible.
    """

    is_open: bool
    same_canvas: bool
    layer: LayerFate
    anchor_usable: bool


@dataclass(frozen=True)
class Decision:
    """Where the result goes, and a sentence for the painter when it does not go where they expect it."""

    placement: Placement
    sentence: str = ""


def decide(state: DocumentState) -> Decision:
    """Decide where a finished result goes.

    Nothing is ever written to a node that is not known to be the job's own, to another document than the job's,
    or at a place that the canvas has moved away from; a picture that has no place waits in the history, and
    the bridge keeps it too.
    """
    if not state.is_open:
        return Decision(
            Placement.KEEP_IN_HISTORY,
            tr("The document was closed; its picture waits below. Click it to place it."),
        )
    if not state.same_canvas:
        return Decision(
            Placement.KEEP_IN_HISTORY,
            tr("The canvas has another size now; the picture waits below. Click it to place it."),
        )
    if state.layer is LayerFate.GONE:
        return Decision(
            Placement.KEEP_IN_HISTORY,
            tr("Its layer was removed; the picture waits below. Click it to place it."),
        )
    if state.layer is LayerFate.PRESENT:
        return Decision(Placement.INTO_PREVIEW_LAYER)
    if state.anchor_usable:
        return Decision(Placement.NEW_LAYER_ABOVE_ANCHOR)
    return Decision(Placement.NEW_LAYER_AT_ROOT)

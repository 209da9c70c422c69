"""How the layers of a document were made, kept inside its file. Knows neither Krita nor Qt.

Krita's Python can keep something with a document (an annotation), not with a layer: each result's layer has an annotation
that is named by its uniqueId. Writing one beside 200 others takes 0.1 ms, and 2 ms once there are MOST; one annotation for all
of them would take 1.3 ms at 200, and more with each (Krita 5.1.5 and 6.0.4). It makes no undo step, and marks the document as modified, which the new layer does anyway.

The record of a layer that is gone stays as long as undo may bring the layer back: until the document is opened again,
or until there are more than MOST records and it is the oldest of those.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Iterable, List, Optional, Protocol, Set

from .notes import Form, form_of, without_files
from .plain import read_object
from .recipe import our_fields, read_our_fields
from .wire.geometry import Bounds, Extent
from .wire.messages import ResultFacts, to_fields

PREFIX = "krita_bridge_layer_"
MOST = 400
"""Records in a document as long as some are of layers that are gone: about 0.2 MB of its file (1.6 KB each, packed to a third)."""

MOST_BYTES = 1 << 20
"""Of a record that is read: a document may come from anyone."""


@dataclass(frozen=True)
class Record:
    """What a layer was made with: a picture at `bounds` of `canvas`. `asked`: the form, where it is known: of it only
    controls and references count, with the layers that they were taken from."""

    facts: ResultFacts
    canvas: Extent
    bounds: Bounds
    asked: Optional[Form] = None

    def dumps(self) -> bytes:
        """As in a PNG's text of ours (`recipe.texts`). Paths of files stay on the painter's computer."""
        fields = our_fields(self.facts, self.canvas, self.bounds)
        if self.asked is not None:
            kept = to_fields(without_files(self.asked))
            fields["asked"] = {name: kept[name] for name in ("controls", "references")}
        return json.dumps(fields).encode("utf-8")


def read_record(data: bytes) -> Optional[Record]:
    """The record as `Record.dumps` wrote it; None where there is none, or none that can be read."""
    text = data.decode("utf-8", "replace") if len(data) <= MOST_BYTES else ""
    values = read_object(text)
    found, asked = read_our_fields(values), values.get("asked")
    if found is None:
        return None
    return Record(*found, without_files(form_of(asked)) if asked else None)


class Annotated(Protocol):
    """The part of `document.CanvasDocument` that is needed here."""

    def annotations(self) -> List[str]:
        """The names of all annotations, oldest first."""

    def annotation(self, name: str) -> bytes:
        """Empty when there is none of this name."""

    def annotate(self, name: str, data: bytes) -> None: ...

    def drop_annotations(self, names: Iterable[str]) -> None:
        """Without marking the document as modified."""

    def layer_ids(self) -> Set[str]:
        """The uniqueIds of all that hangs in the layer tree."""


def write(document: Annotated, layer: str, record: Record) -> None:
    """Keep how the layer of this uniqueId was made. Only while no stroke is being painted."""
    document.annotate(_name(layer), record.dumps())
    surplus = len(_records(document)) - MOST
    if surplus > 0:
        document.drop_annotations(_of_gone_layers(document)[:surplus])


def read(document: Annotated, layer: str) -> Optional[Record]:
    """How the layer of this uniqueId was made; None when it does not say."""
    return read_record(document.annotation(_name(layer)))


def forget_gone_layers(document: Annotated) -> None:
    """For a document that was just opened: no undo brings back what is not in it."""
    gone = _of_gone_layers(document)
    if gone:
        document.drop_annotations(gone)


def _of_gone_layers(document: Annotated) -> List[str]:
    records = _records(document)
    here = {_name(layer) for layer in document.layer_ids()} if records else set()
    return [name for name in records if name not in here]


def _records(document: Annotated) -> List[str]:
    return [name for name in document.annotations() if name.startswith(PREFIX)]


def _name(layer: str) -> str:
    """Krita makes a file name of it."""
    return PREFIX + layer.strip("{}")

"""Where the pictures of jobs go: onto layers of Krita's documents.

A press of Generate has one layer: previews form on it, its results take turns on it, and it is left alone once the painter
has touched it.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from typing import Callable, Dict, Iterator, List, Optional, Sequence, Tuple

from . import document as documents
from .conditions import ChosenControl, control_name
from .document import CanvasDocument
from .forms import Forms
from .guard import Placement
from .history import Entry, KeptMap
from .larger import is_larger, open_larger
from .painting import Painting
from .place import JobLayer
from .provenance import Record
from .text import tr
from .turns import Task, Turns
from .wire.frames import Buffer
from .wire.geometry import Bounds
from .words import layer_name, title

MOST_LAYERS = 16
"""Of so many presses of Generate the results can still be shown in place of each other."""


class DocumentEasel:
    """painting.Easel for Krita: all of it is on the UI thread, and what takes time has its turn (`Turns`).

    `wants_previews`: whether they are shown on the canvas. `map_kept` is called once the map of a control is a layer, with the
    document's key.
    """

    def __init__(
        self,
        turns: Turns,
        forms: Forms,
        wants_previews: Callable[[], bool],
        map_kept: Callable[[str, ChosenControl], None],
    ) -> None:
        self._turns = turns
        self._forms = forms
        self._wants_previews = wants_previews
        self._map_kept = map_kept
        self._painting: Painting
        self._layers: Dict[str, JobLayer] = {}
        self._layer_of_job: Dict[str, JobLayer] = {}
        self._latest: Dict[str, Tuple[Bounds, Buffer]] = {}

    def attach(self, painting: Painting) -> None:
        """Name what has the results, and is told what became of them."""
        self._painting = painting

    # ---- before there is a picture

    def expect(self, jobs: Sequence[str], layer: JobLayer) -> None:
        """The pictures of `jobs`, of one press, go onto `layer`."""
        self._layer_of_job.update(dict.fromkeys(jobs, layer))

    @contextmanager
    def out_of_the_way(self, document: CanvasDocument, bounds: Bounds) -> Iterator[None]:
        """While it lasts, previews in `bounds` are hidden: they are no part of the picture yet."""
        layers = [
            layer
            for layer in set(self._layer_of_job.values())
            if layer.document.key == document.key and layer.covers(bounds)
        ]
        try:
            if layers:
                _hide(document, layers, True)
            yield
        finally:
            if layers:
                _hide(document, layers, False)

    # ---- painting.Easel

    def preview(self, job: str, bounds: Bounds, image: Buffer) -> None:
        layer = self._layer_of_job.get(job)
        if layer is None or not self._wants_previews() or not layer.is_due():
            return
        waiting = job in self._latest
        self._latest[job] = (bounds, image)
        if not waiting:
            self._turns.add(job, self._show_latest(job, layer))

    def _show_latest(self, job: str, layer: JobLayer) -> Task:
        yield from layer.until_idle()
        latest = self._latest.pop(job, None)
        if latest is not None:
            yield from layer.preview(*latest)

    def finish(self, entry: Entry) -> None:
        if is_larger(entry):
            self._turns.add("larger", open_larger(entry, self._painting, asked=False))
            return
        self._latest.pop(entry.job, None)
        layer = self._layer_of_job.get(entry.job)
        if layer is not None:
            for job in self._jobs_on(layer):
                del self._layer_of_job[job]
            self._turns.add(entry.job, self._finish(entry, layer))

    def show(self, entry: Entry) -> None:
        if is_larger(entry):
            self._turns.add("larger", open_larger(entry, self._painting, asked=True))
        else:
            self._turns.add("show", self._show(entry))

    def drop(self, job: str) -> None:
        self._latest.pop(job, None)
        layer = self._layer_of_job.pop(job, None)
        if layer is None:
            return
        layer.close()
        self._turns.add(job, layer.remove())
        others = self._jobs_on(layer)
        if others and layer.document.is_open():
            # Variations of the same press go on, and one of them will need a layer.
            self._layer_of_job.update(dict.fromkeys(others, layer.another()))

    def keep(self, entry: Entry) -> None:
        """The result stays on its layer as it is: another of its press gets its own."""
        self._layers.pop(entry.press, None)

    def _jobs_on(self, layer: JobLayer) -> List[str]:
        return [job for job, its_layer in self._layer_of_job.items() if its_layer is layer]

    def _finish(self, entry: Entry, layer: JobLayer) -> Task:
        name = _name_of(entry)
        record = self._record_of(entry)
        decision = yield from layer.finish(entry.bounds, entry.image, name, record)
        if decision.placement is Placement.KEEP_IN_HISTORY:
            self._painting.kept(entry.job, decision.sentence)
            return
        self._hang(entry, layer)
        yield from self._placed(entry, layer.document)

    def _placed(self, entry: Entry, document: CanvasDocument) -> Task:
        """The picture is on its layer; its maps follow."""
        if not self._painting.history.is_placed(entry.job):
            for kept in entry.maps:
                yield from self._keep_map(entry, kept, document)
        self._painting.placed(entry.job)

    def _keep_map(self, entry: Entry, kept: KeptMap, document: CanvasDocument) -> Task:
        """A layer of its own, hidden: it would cover the picture."""
        if not document.is_open() or document.canvas() != entry.canvas:
            return
        name = layer_name(tr("{0} map", control_name(kept.kind)), entry.facts.seed)
        layer = JobLayer(document, name)
        layer.hide(True)
        record = replace(self._record_of(entry), bounds=kept.bounds)
        yield from layer.finish(kept.bounds, kept.image, name, record)
        asked = self._forms.asked(entry.press)
        if asked is not None:
            chosen = asked.controls[kept.number]
            self._forms.map_was_kept(document.key, chosen)
            self._map_kept(document.key, chosen)

    def _hang(self, entry: Entry, layer: JobLayer) -> None:
        """Remember on which layer the results of this press are shown; only for the latest presses."""
        key = entry.press
        self._layers.pop(key, None)
        self._layers[key] = layer
        for oldest in list(self._layers)[:-MOST_LAYERS]:
            del self._layers[oldest]

    def _show(self, entry: Entry) -> Task:
        name = _name_of(entry)
        layer = self._layers.get(entry.press)
        if layer is not None and layer.is_untouched():
            yield from layer.swap(entry.bounds, entry.image, name, self._record_of(entry))
            yield from self._placed(entry, layer.document)
            return
        document = self._document_for(entry)
        if document is None:
            self._painting.say(tr("Open or create a picture first."))
            return
        left_over = document.left_over(entry.press, name) if layer is None else None
        yield from self._finish(entry, JobLayer(document, name, left_over))

    def _record_of(self, entry: Entry) -> Record:
        return Record(entry.facts, entry.canvas, entry.bounds, self._forms.asked(entry.press))

    def _document_for(self, entry: Entry) -> Optional[CanvasDocument]:
        """The document a result belongs to when it is open, else the one in front."""
        layer = self._layers.get(entry.press)
        if layer is not None and layer.document.is_open():
            return layer.document
        own = documents.open_document_with(entry.note.document) if entry.note else None
        return own or documents.active_document()


def _name_of(entry: Entry) -> str:
    return layer_name(title(entry.facts.prompt, entry.facts.mode), entry.facts.seed)


def _hide(document: CanvasDocument, layers: List[JobLayer], hidden: bool) -> None:
    for layer in layers:
        layer.hide(hidden)
    document.refresh()

"""Brings the parts together inside Krita: one for the whole program, whatever the number of windows."""

from __future__ import annotations

import logging
import random
import uuid
from dataclasses import replace
from typing import Callable, Dict, List, Optional, Tuple

from . import document as documents
from . import settings as stored
from .capture import NothingSelected, Plan, capture, plan_capture, plan_growth
from .client import Client, Event
from .document import CanvasDocument
from .guard import Placement
from .history import Entry, PromptHistory
from .launcher import Launcher, bridge_home
from .live.follow import Wanted
from .live.painter import LivePainter, Shown
from .notes import DocumentMemory, DocumentNote, Form, new_memory
from .painting import Job, Painting
from .place import JobLayer
from .qt import QtCore, pyqtSignal
from .text import tr
from .turns import Task, Turns
from .wire.frames import Buffer
from .wire.geometry import Bounds, Margins
from .wire.limits import MAX_SEED
from .wire.messages import MessageError, PaintRequest, Submit, check_live_area
from .wire.modes import MEANINGS, Blend, Mode
from .words import layer_name, title

LARGEST_RANDOM_SEED = 2**32 - 1
DEFAULT_NATIVE = 512
MOST_LAYERS = 16
"""Of so many presses of Generate the results can still be shown in place of each other."""

_log = logging.getLogger("krita_bridge.studio")


class _Arrivals(QtCore.QObject):  # type: ignore[misc]
    """Carries events from the link's thread to the UI thread."""

    arrived = pyqtSignal(object)


class Studio(QtCore.QObject):  # type: ignore[misc]
    """Owns the client, the jobs and their layers; the dockers show it and call it."""

    changed = pyqtSignal()

    def __init__(self) -> None:
        super().__init__()
        self.settings = stored.load()
        self.prompts = PromptHistory(stored.load_prompts())
        self._forms: Dict[str, Form] = {}
        self._layers: Dict[str, JobLayer] = {}
        self._layer_of_job: Dict[str, JobLayer] = {}
        self._latest: Dict[str, Tuple[Bounds, Buffer]] = {}
        self._epoch = 0
        self._turns = Turns(self._on_failure)
        self._arrivals = _Arrivals()
        home = bridge_home()
        self._launcher = Launcher(home)
        self._client = Client("Krita", stored.client_id(), self._arrived, home, self._launcher)
        self.painting = Painting(self._client, self, self.changed.emit)
        self.live = LivePainter(self._client, self._turns, self.painting.say, self.changed.emit)
        self._arrivals.arrived.connect(
            self.live.on_event, QtCore.Qt.ConnectionType.QueuedConnection
        )
        self._arrivals.arrived.connect(
            self.painting.on_event, QtCore.Qt.ConnectionType.QueuedConnection
        )

    def start(self) -> None:
        self._use_command()
        self._client.start()

    def stop(self) -> None:
        self._turns.stop()
        self._client.stop()

    def _arrived(self, event: Event) -> None:
        self._arrivals.arrived.emit(event)

    def _on_failure(self, error: BaseException) -> None:
        _log.error("a task failed", exc_info=error)
        self.painting.say(tr("Something went wrong inside the plugin: {0}", error))

    # ---- settings and forms

    def change_settings(self, settings: stored.Settings) -> None:
        other_command = settings.bridge_command != self.settings.bridge_command
        self.settings = settings
        stored.save(settings)
        if other_command and self._use_command():
            self._client.try_now()
        self.changed.emit()

    def _use_command(self) -> bool:
        try:
            self._launcher.use(self.settings.command())
        except ValueError:
            self.painting.say(tr("The bridge command has a quote without its other half; mend it."))
            return False
        return True

    def form_for(self, document: Optional[CanvasDocument]) -> Form:
        """What the painter had set for this document; the last values for a new one."""
        if document is None:
            return stored.load_last_form()
        if document.key not in self._forms:
            memory = document.memory()
            self._forms[document.key] = memory.form if memory else stored.load_last_form()
        return self._forms[document.key]

    def keep_form(self, key: str, form: Form) -> None:
        self._forms[key] = form

    # ---- generating

    def generate(self, form: Form, mode: Mode, strength: float, count: int = 1) -> Form:
        """Begin `count` variations of what `form` asks for; returns the form with the seed that is used."""

        def plan(document: CanvasDocument, native: int) -> Plan:
            canvas, selection = document.canvas(), document.selection_bounds()
            found = plan_capture(canvas, selection, native, strength, mode)
            _check_size(found)
            return found

        return self._press(form, mode, strength, count, plan)

    def expand(self, form: Form, margins: Margins) -> Form:
        """Grow the canvas and paint what is new; returns the form with the seed that is used."""

        def plan(document: CanvasDocument, native: int) -> Plan:
            growth = plan_growth(document.canvas(), margins, native)
            _check_size(growth)
            document.grow(margins)
            return growth

        return self._press(form, Mode.EXPAND, MEANINGS[Mode.EXPAND].strength, 1, plan)

    def _press(
        self,
        form: Form,
        mode: Mode,
        strength: float,
        count: int,
        plan: Callable[[CanvasDocument, int], Plan],
    ) -> Form:
        document = documents.active_document()
        if document is None:
            self.painting.say(tr("Open or create a picture first."))
            return form
        if not form.seed_locked:
            form = replace(form, seed=random.randint(0, LARGEST_RANDOM_SEED))
        preset = self.painting.preset(form.preset)
        try:
            name = preset.name if preset else ""
            requests = [_request(form, name, mode, strength, n) for n in range(count)]
            wanted = plan(document, preset.native if preset else DEFAULT_NATIVE)
            self._begin(document, form, wanted, requests)
        except MessageError as error:
            self.painting.say(tr(str(error)))
        return form

    def _begin(
        self, document: CanvasDocument, form: Form, plan: Plan, requests: List[PaintRequest]
    ) -> None:
        memory = document.memory()
        memory = DocumentMemory(memory.document, form) if memory else new_memory(form)
        first = requests[0]
        name = layer_name(title(first.prompt, first.mode or Mode.FILL), first.seed)
        layer = JobLayer(document, name)
        self._epoch += 1
        note = DocumentNote(memory.document, layer.id, self._epoch)
        jobs = [Job(uuid.uuid4().hex, request, note) for request in requests]
        document.remember(memory)
        self.keep_form(document.key, form)
        self.prompts.used(form.prompt)
        stored.save_used(form, self.prompts.prompts())
        self._layer_of_job.update((job.job, layer) for job in jobs)
        self.painting.begin(jobs)
        self._turns.add("capture", self._capture(document, plan, [job.job for job in jobs]))

    def _capture(self, document: CanvasDocument, plan: Plan, jobs: List[str]) -> Task:
        in_the_way = [
            layer
            for layer in set(self._layer_of_job.values())
            if layer.document.key == document.key and layer.covers(plan.bounds)
        ]
        try:
            if in_the_way:
                _hide(document, in_the_way, True)
            snapshot = yield from capture(document, plan)
        except NothingSelected as error:
            self.painting.not_captured(jobs, tr(str(error)))
            return
        finally:
            if in_the_way:
                _hide(document, in_the_way, False)
        wants_previews = self.settings.previews_on_canvas or self.settings.previews_in_docker
        self.painting.captured(jobs, snapshot, wants_previews)

    # ---- live painting

    def aim_live(self, document: CanvasDocument, form: Form, mode: Mode, strength: float) -> Wanted:
        """What Generate would paint, as it is to be painted live. Raises MessageError with a sentence."""
        preset = self.painting.preset(form.preset)
        native = preset.native if preset else DEFAULT_NATIVE
        canvas, selection = document.canvas(), document.selection_bounds()
        plan = plan_capture(canvas, selection, native, strength, mode)
        check_live_area(plan.bounds)
        request = _request(form, preset.name if preset else "", mode, strength, 0)
        return Wanted(document.key, plan, request)

    def _keep_live(self, shown: Shown) -> Task:
        """The live picture becomes a layer: one undo step."""
        facts, document = shown.message.facts, shown.document
        if not document.is_open() or document.canvas() != shown.message.canvas:
            self.painting.say(
                tr("The canvas has another size now; let the picture catch up first.")
            )
            return
        name = layer_name(title(facts.prompt, facts.mode), facts.seed)
        decision = yield from JobLayer(document, name).finish(
            shown.message.bounds, shown.image, name
        )
        if decision.sentence:
            self.painting.say(decision.sentence)

    # ---- painting.Easel

    def preview(self, job: str, bounds: Bounds, image: Buffer) -> None:
        layer = self._layer_of_job.get(job)
        if layer is None or not self.settings.previews_on_canvas or not layer.is_due():
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
        self._latest.pop(entry.job, None)
        layer = self._layer_of_job.get(entry.job)
        if layer is not None:
            for job in self._jobs_on(layer):
                del self._layer_of_job[job]
            self._turns.add(entry.job, self._finish(entry, layer))

    def show(self, entry: Entry) -> None:
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

    def _jobs_on(self, layer: JobLayer) -> List[str]:
        return [job for job, its_layer in self._layer_of_job.items() if its_layer is layer]

    def keep(self) -> None:
        """The live picture becomes a layer; else the result that is shown stays as it is: another gets its own layer."""
        if self.live.shown is not None:
            self._turns.add("keep", self._keep_live(self.live.shown))
            return
        entry = self.painting.history.get(self.painting.current)
        if entry is not None:
            self._layers.pop(_press_of(entry), None)

    def _finish(self, entry: Entry, layer: JobLayer) -> Task:
        name = _name_of(entry)
        decision = yield from layer.finish(entry.bounds, entry.image, name)
        if decision.placement is Placement.KEEP_IN_HISTORY:
            self.painting.kept(entry.job, decision.sentence)
            return
        self._hang(entry, layer)
        self.painting.placed(entry.job)

    def _hang(self, entry: Entry, layer: JobLayer) -> None:
        """Remember on which layer the results of this press are shown; only for the latest presses."""
        key = _press_of(entry)
        self._layers.pop(key, None)
        self._layers[key] = layer
        for oldest in list(self._layers)[:-MOST_LAYERS]:
            del self._layers[oldest]

    def _show(self, entry: Entry) -> Task:
        name = _name_of(entry)
        layer = self._layers.get(_press_of(entry))
        if layer is not None and layer.is_untouched():
            yield from layer.swap(entry.bounds, entry.image, name)
            self.painting.placed(entry.job)
            return
        document = self._document_for(entry)
        if document is None:
            self.painting.say(tr("Open or create a picture first."))
            return
        left_over = document.left_over(_press_of(entry), name) if layer is None else None
        yield from self._finish(entry, JobLayer(document, name, left_over))

    def _document_for(self, entry: Entry) -> Optional[CanvasDocument]:
        """The document a result belongs to when it is open, else the one in front."""
        layer = self._layers.get(_press_of(entry))
        if layer is not None and layer.document.is_open():
            return layer.document
        own = documents.open_document_with(entry.note.document) if entry.note else None
        return own or documents.active_document()


def _name_of(entry: Entry) -> str:
    return layer_name(title(entry.facts.prompt, entry.facts.mode), entry.facts.seed)


def _press_of(entry: Entry) -> str:
    """Names the press of Generate that a result comes from: by the layer that was meant for it."""
    return entry.note.layer if entry.note else entry.job


def _hide(document: CanvasDocument, layers: List[JobLayer], hidden: bool) -> None:
    for layer in layers:
        layer.hide(hidden)
    document.refresh()


def _request(form: Form, preset: str, mode: Mode, strength: float, number: int) -> PaintRequest:
    """What variation `number` asks for: seeds count up from the form's."""
    seed = (form.seed + number) % (MAX_SEED + 1)
    prompt = form.prompt if MEANINGS[mode].takes_prompt else ""
    return PaintRequest(
        prompt,
        form.negative_prompt,
        preset,
        strength,
        seed,
        mode=mode,
        blend=Blend(form.blend),
        match_colors=form.match_colors,
    )


def _check_size(plan: Plan) -> None:
    """Raises MessageError with a sentence when the area is too large to be sent."""
    Submit("size", PaintRequest(""), plan.canvas, plan.bounds)

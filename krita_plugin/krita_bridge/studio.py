"""Brings the parts together inside Krita: one for the whole program, whatever the number of windows."""

from __future__ import annotations

import logging
import random
import uuid
from dataclasses import replace
from pathlib import Path
from typing import Callable, List, Optional, Set

from . import document as documents
from . import settings as stored
from .capture import CannotCapture, Plan, Snapshot, cut, plan_capture, plan_growth, plan_upscale
from .client import Client, Event
from .conditions import what_is_missing, with_conditions
from .document import CanvasDocument
from .easel import DocumentEasel
from .forms import Forms
from .gather import capture_all
from .history import Entry, PromptHistory
from .launcher import Launcher, bridge_home
from .layers import DocumentSources, close_converters
from .live.aim import aim
from .live.follow import Wanted
from .live.keeper import LiveKeeper
from .live.painter import LivePainter
from .made import MadeLayer, save_layer
from .notes import DocumentNote, Form
from .painting import Job, Painting
from .place import JobLayer
from .provenance import forget_gone_layers
from .qt import QtCore, pyqtSignal
from .saving import save_png
from .text import tr
from .turns import Task, Turns
from .wire.geometry import Margins
from .wire.limits import MAX_SEED
from .wire.messages import MessageError, PaintRequest, PresetInfo, Submit
from .wire.modes import MEANINGS, Blend, Mode
from .words import layer_name, title

LARGEST_RANDOM_SEED = 2**32 - 1
DEFAULT_NATIVE = 512
ROOM_POLL_SECONDS = 0.1
"""How often it is asked whether the bridge has room for the next part of a larger picture."""

_log = logging.getLogger("krita_bridge.studio")


class _Arrivals(QtCore.QObject):  # type: ignore[misc]
    """Carries events from the link's thread to the UI thread."""

    arrived = pyqtSignal(object)


class Studio(QtCore.QObject):  # type: ignore[misc]
    """Owns the client, the jobs and what shows their pictures; the dockers show it and call it."""

    changed = pyqtSignal()
    map_kept = pyqtSignal(str, object)
    """The map of a ChosenControl, of the document of this key, is a layer now."""

    def __init__(self) -> None:
        super().__init__()
        self.settings = stored.load()
        self.prompts = PromptHistory(stored.load_prompts())
        self.forms = Forms()
        self._seen: Set[str] = set()
        self._epoch = 0
        self._turns = Turns(self._on_failure)
        self._arrivals = _Arrivals()
        home = bridge_home()
        self._launcher = Launcher(home)
        self._client = Client("Krita", stored.client_id(), self._arrived, home, self._launcher)
        self._easel = DocumentEasel(
            self._turns,
            self.forms,
            lambda: self.settings.previews_on_canvas,
            self.map_kept.emit,
        )
        self.painting = Painting(self._client, self._easel, self.changed.emit)
        self._easel.attach(self.painting)
        say, changed = self.painting.say, self.changed.emit
        self.keeper = LiveKeeper(self._turns, say, changed, home / "recordings")
        self.live = LivePainter(self._client, self._turns, self.keeper, say, changed)
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
        self.keeper.stop()
        self._client.stop()
        close_converters()

    def _arrived(self, event: Event) -> None:
        self._arrivals.arrived.emit(event)

    def _on_failure(self, error: BaseException) -> None:
        _log.error("a task failed", exc_info=error)
        self.painting.say(tr("Something went wrong inside the plugin: {0}", error))

    # ---- settings

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

    def asked(self, entry: Entry) -> Optional[Form]:
        """The form that a result of this run of Krita was asked for with."""
        return self.forms.asked(entry.press)

    def seen(self, document: CanvasDocument) -> None:
        """The document is in front; for the first time it was just opened or made."""
        if document.key not in self._seen:
            self._seen.add(document.key)
            forget_gone_layers(document)

    # ---- generating

    def generate(
        self, form: Form, mode: Mode, strength: float, count: int = 1, same_seed: bool = False
    ) -> Form:
        """Begin `count` variations of what `form` asks for; returns the form with the seed that is used: a new one
        unless it is locked, or `same_seed`."""

        def plan(document: CanvasDocument, native: int, request: PaintRequest) -> Plan:
            canvas, selection = document.canvas(), document.selection_bounds()
            found = plan_capture(canvas, selection, native, strength, mode)
            _check_size(found, request)
            return found

        return self._press(form, mode, strength, count, plan, same_seed)

    def expand(self, form: Form, margins: Margins) -> Form:
        """Grow the canvas and paint what is new; returns the form with the seed that is used."""

        def plan(document: CanvasDocument, native: int, request: PaintRequest) -> Plan:
            growth = plan_growth(document.canvas(), margins, native)
            _check_size(growth, request)
            document.grow(margins)
            return growth

        return self._press(form, Mode.EXPAND, MEANINGS[Mode.EXPAND].strength, 1, plan)

    def upscale(self, form: Form, enlargement: stored.Enlargement) -> Form:
        """Begin a larger picture of what is selected, or of the canvas; returns the form with the seed that is used."""

        factor, strength = enlargement.factor, enlargement.strength

        def plan(document: CanvasDocument, native: int, request: PaintRequest) -> Plan:
            canvas, selection = document.canvas(), document.selection_bounds()
            found = plan_upscale(canvas, selection, factor, native)
            _check_size(found, request)
            return found

        return self._press(form, Mode.REFINE, strength, 1, plan, upscale=factor)

    def _press(
        self,
        form: Form,
        mode: Mode,
        strength: float,
        count: int,
        plan: Callable[[CanvasDocument, int, PaintRequest], Plan],
        same_seed: bool = False,
        upscale: float = 1.0,
    ) -> Form:
        document = documents.active_document()
        if document is None:
            self.painting.say(tr("Open or create a picture first."))
            return form
        if not (form.seed_locked or same_seed):
            form = replace(form, seed=random.randint(0, LARGEST_RANDOM_SEED))
        preset = self.painting.preset(form.preset)
        try:
            _check_conditions(form, preset, document)
            name = preset.name if preset else ""
            asked = [_request(form, name, mode, strength, n) for n in range(count)]
            requests = [
                with_conditions(
                    replace(request, upscale=upscale),
                    form.controls,
                    form.references,
                    # Once is enough, and the larger document has no place for a map of the canvas as it is.
                    keeps_maps=n == 0 and upscale == 1,
                )
                for n, request in enumerate(asked)
            ]
            native = preset.native if preset else DEFAULT_NATIVE
            wanted = plan(document, native, requests[0])
            if wanted.parts:
                requests = [replace(requests[0], part=part) for _, part in wanted.parts]
            self._begin(document, form, wanted, requests)
        except MessageError as error:
            self.painting.say(tr(str(error)))
        return form

    def _begin(
        self, document: CanvasDocument, form: Form, plan: Plan, requests: List[PaintRequest]
    ) -> None:
        first = requests[0]
        kinds = tuple(control.kind for control in first.controls)
        self._epoch += 1
        self.prompts.used(form.prompt)
        if first.upscale > 1:
            # It becomes a document of its own: nothing is hung into this one, and nothing written down in it.
            layer, note = None, DocumentNote("", uuid.uuid4().hex, self._epoch, plan.bounds)
        else:
            name = layer_name(title(first.prompt, first.mode or Mode.FILL), first.seed)
            layer = JobLayer(document, name)
            memory = self.forms.used(document, layer.id, form, self.prompts.prompts())
            note = DocumentNote(memory.document, layer.id, self._epoch, plan.bounds, kinds)
        jobs = [Job(uuid.uuid4().hex, request, note) for request in requests]
        if layer is not None:
            self._easel.expect([job.job for job in jobs], layer)
        self.painting.begin(jobs)
        self._turns.add("capture", self._capture(document, plan, form, [job.job for job in jobs]))

    def _capture(self, document: CanvasDocument, plan: Plan, form: Form, jobs: List[str]) -> Task:
        try:
            with self._easel.out_of_the_way(document, plan.bounds):
                sources = DocumentSources(document)
                snapshot = yield from capture_all(
                    document, plan, form.controls, form.references, sources
                )
        except CannotCapture as error:
            self.painting.not_captured(jobs, tr(str(error)))
            return
        wants_previews = self.settings.previews_on_canvas or self.settings.previews_in_docker
        if plan.parts:
            self._turns.add(jobs[0], self._send_parts(snapshot, jobs, wants_previews))
        else:
            self.painting.captured(jobs, snapshot, wants_previews)

    def _send_parts(self, snapshot: Snapshot, jobs: List[str], previews: bool) -> Task:
        """Cut them one by one, as the bridge has room: together they can be several times the picture."""
        for number, (area, _) in enumerate(snapshot.plan.parts):
            while self._client.is_full:
                yield ROOM_POLL_SECONDS
            if self.painting.is_reading(jobs[number]):
                part = yield from cut(snapshot, area)
                self.painting.captured([jobs[number]], part, previews)

    # ---- live painting

    def aim_live(self, document: CanvasDocument, form: Form, mode: Mode, strength: float) -> Wanted:
        """What Generate would paint, as it is to be painted live. Raises MessageError or CannotCapture with a sentence."""
        preset = self.painting.preset(form.preset)
        _check_conditions(form, preset, document)
        request = _request(form, preset.name if preset else "", mode, strength, 0)
        # Live painting has steps of its own, and what goes with so few.
        request = replace(request, steps=None, guidance=None, scheduler=None)
        return aim(document, form, mode, preset.native if preset else DEFAULT_NATIVE, request)

    def keep_parts(self) -> None:
        """The live picture becomes a layer that shows where its mask is painted."""
        if self.live.shown is not None:
            self.keeper.keep_parts(self.live.shown)
        else:
            self.painting.say(tr("There is no live picture: switch Live on first."))

    def toggle_recording(self) -> None:
        """Begin to record live pictures, or make a layer of those that were."""
        document = documents.active_document()
        if self.keeper.is_recording:
            self.keeper.end_recording()
        elif self.live.is_on and document is not None:
            self.keeper.record(document)
        else:
            self.painting.say(tr("There is no live picture: switch Live on first."))

    # ---- results

    def save(self, entry: Entry, path: Path) -> None:
        """Write a result into a PNG that tells how it was made."""
        self._turns.add("save", save_png(entry, path, self.painting))

    def save_layer(self, made: MadeLayer, path: Path) -> None:
        """The same for what is on a layer now."""
        self._turns.add("save", save_layer(made, path, self.painting))

    def keep(self) -> None:
        """The live picture becomes a layer; else the result that is shown stays as it is: another gets its own layer."""
        if self.live.shown is not None:
            self.keeper.keep(self.live.shown)
            return
        entry = self.painting.history.get(self.painting.current)
        if entry is not None:
            self._easel.keep(entry)


def _request(form: Form, preset: str, mode: Mode, strength: float, number: int) -> PaintRequest:
    """What variation `number` asks for: seeds count up from the form's."""
    seed = (form.seed + number) % (MAX_SEED + 1)
    prompt = form.prompt if MEANINGS[mode].takes_prompt else ""
    request = PaintRequest(
        prompt,
        form.negative_prompt,
        preset,
        strength,
        seed,
        mode=mode,
        blend=Blend(form.blend),
        match_colors=form.match_colors,
    )
    return form.sampling.fill_in(request)


def _check_conditions(form: Form, preset: Optional[PresetInfo], document: CanvasDocument) -> None:
    """Raises MessageError with a sentence when controls or references lack something."""
    sentence = what_is_missing(
        form.controls,
        form.references,
        preset,
        lambda unique_id: document.find(unique_id) is not None,
    )
    if sentence:
        raise MessageError(sentence)


def _check_size(plan: Plan, request: PaintRequest) -> None:
    """Raises MessageError with a sentence when the area is too large to be sent."""
    if not plan.parts:
        Submit("size", request, plan.canvas, plan.bounds)
    for area, part in plan.parts:
        Submit("size", replace(request, part=part), plan.canvas, area)

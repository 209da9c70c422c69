"""What the painter has asked for, how far it is and what came of it. Knows neither Krita nor Qt.

Events of the client go in (`on_event`, on the UI thread); the easel puts pictures onto the canvas and
reports back with `placed` or `kept`; `changed` is called after everything that the docker shows may differ.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Callable, Dict, List, Mapping, Optional, Protocol, Sequence, Tuple

from .capture import Snapshot
from .client import ConnectionChanged, ConnectionState, Event, Received
from .history import Entry, History, KeptMap
from .link import Pixels
from .notes import DocumentNote, read_note
from .text import tr
from .wire import messages
from .wire.frames import Buffer, Tensor
from .wire.geometry import Bounds
from .wire.messages import EngineState, EngineStatus, JobState, PresetInfo
from .wire.modes import Mode
from .words import layer_name, title


class Link(Protocol):
    """The part of `client.Client` that is needed here."""

    def submit(
        self,
        submit: messages.Submit,
        image: Optional[Sequence[Buffer]] = None,
        mask: Optional[Sequence[Buffer]] = None,
        controls: Optional[Mapping[int, Sequence[Buffer]]] = None,
        references: Sequence[Pixels] = (),
    ) -> None: ...

    def cancel(self, job: str) -> None: ...

    def acknowledge(self, job: str) -> None: ...


class Easel(Protocol):
    """Puts pictures onto the canvas; every method returns at once."""

    def preview(self, job: str, bounds: Bounds, image: Buffer) -> None: ...

    def finish(self, entry: Entry) -> None: ...

    def show(self, entry: Entry) -> None: ...

    def drop(self, job: str) -> None: ...


class Stage(Enum):
    """How far a job has come, as the painter sees it."""

    READING = "reading"
    WAITING = "waiting"
    RUNNING = "running"
    CANCELLING = "cancelling"


@dataclass
class Job:
    """A job that has not ended."""

    job: str
    request: messages.PaintRequest
    note: DocumentNote
    stage: Stage = Stage.READING
    step: int = 0
    steps: int = 0
    seconds_left: Optional[float] = None


@dataclass(frozen=True)
class PreviewPicture:
    """The latest preview, for the docker: BGRA uint8 of the size of `bounds`."""

    job: str
    bounds: Bounds
    image: Buffer


class Painting:
    """The jobs of this run of Krita and the results that are at hand."""

    def __init__(self, link: Link, easel: Easel, changed: Callable[[], None]) -> None:
        self._link = link
        self._easel = easel
        self._changed = changed
        self._jobs: Dict[str, Job] = {}
        self._leaders: Dict[int, str] = {}
        self.history = History()
        self.connection: Optional[ConnectionChanged] = None
        self.status: Optional[EngineStatus] = None
        self.presets: Tuple[PresetInfo, ...] = ()
        self.default_preset = ""
        self.skipped: Tuple[str, ...] = ()
        """Why preset files of the painter's cannot be used, a sentence each."""
        self.tags: Tuple[str, ...] = ()
        """What prompts can name beside words, whatever the preset."""
        self.notice = ""
        self.preview: Optional[PreviewPicture] = None
        self.current = ""
        """The result that is shown on its layer; next and previous start from it."""

    # ---- what the docker asks

    def jobs(self) -> List[Job]:
        return list(self._jobs.values())

    def front(self) -> Optional[Job]:
        """The job whose progress is shown: the one that runs, else the first that waits."""
        jobs = self.jobs()
        running = [job for job in jobs if job.stage is Stage.RUNNING]
        return next(iter(running + jobs), None)

    def in_hand(self) -> List[Tuple[str, List[str]]]:
        """What can be cancelled, oldest first: the name that its layer has or would have, and its jobs. The parts of a larger
        picture are no use one without the other."""
        found: Dict[str, Tuple[str, List[str]]] = {}
        for job in self.jobs():
            if job.stage is not Stage.CANCELLING:
                asked = job.request
                name = layer_name(title(asked.prompt, asked.mode or Mode.FILL), asked.seed)
                key = job.job if asked.part is None else job.note.layer
                found.setdefault(key, (name, []))[1].append(job.job)
        return list(found.values())

    def sentence(self) -> str:
        """One sentence about how things stand: what went wrong last, else the connection, else the bridge."""
        if self.notice:
            return self.notice
        if self.connection is None:
            return ""
        if self.connection.state is not ConnectionState.CONNECTED or self.status is None:
            return self.connection.sentence
        if self.status.state is EngineState.READY and self.status.model:
            return tr("Ready: {0} on {1}", self.status.model, self.status.device.upper())
        return self.status.sentence

    def preset(self, name: str) -> Optional[PresetInfo]:
        """The preset called `name`, else the default one, else none (before the first connection)."""
        for wanted in (name, self.default_preset):
            for preset in self.presets:
                if preset.name == wanted:
                    return preset
        return self.presets[0] if self.presets else None

    # ---- what the painter does

    def say(self, sentence: str) -> None:
        self.notice = sentence
        self._changed()

    def begin(self, jobs: Sequence[Job]) -> None:
        """Jobs of one press of Generate; they wait for their snapshot."""
        self.notice = ""
        for job in jobs:
            self._jobs[job.job] = job
        self._changed()

    def is_painting(self, note: Optional[DocumentNote]) -> bool:
        """Whether there are jobs yet of the press of Generate that a result with this note comes from."""
        return note is not None and any(job.note.layer == note.layer for job in self.jobs())

    def is_reading(self, job: str) -> bool:
        """Whether the job waits for its snapshot, and was not cancelled meanwhile."""
        return job in self._jobs and self._jobs[job].stage is Stage.READING

    def captured(self, jobs: Sequence[str], snapshot: Snapshot, previews: bool) -> None:
        """Send those of `jobs` that were not cancelled while the canvas was read."""
        for name in jobs:
            if not self.is_reading(name):
                continue
            job = self._jobs[name]
            job.stage = Stage.WAITING
            submit = messages.Submit(
                job.job,
                job.request,
                snapshot.plan.canvas,
                snapshot.plan.bounds,
                job.note.dumps(),
                previews,
            )
            self._link.submit(
                submit, snapshot.image, snapshot.mask, snapshot.controls, snapshot.references
            )
        self._changed()

    def not_captured(self, jobs: Sequence[str], sentence: str) -> None:
        """The canvas could not be read."""
        for job in jobs:
            self._end(job)
        self.say(sentence)

    def cancel(self, only: Optional[Sequence[str]] = None) -> None:
        """Stop everything that runs or waits, or `only` these jobs."""
        for job in self.jobs():
            if only is not None and job.job not in only:
                continue
            if job.stage is Stage.READING:
                self._end(job.job)
                self._discard_parts_with(job)
            elif job.stage is not Stage.CANCELLING:
                job.stage = Stage.CANCELLING
                self._link.cancel(job.job)
        self._changed()

    def show(self, job: str) -> None:
        """Show a result in place of its siblings, or on a layer of its own."""
        entry = self.history.get(job)
        if entry is not None:
            self.notice = ""
            self._easel.show(entry)

    def show_beside(self, step: int) -> None:
        entry = self.history.beside(self.current, step)
        if entry is not None:
            self.show(entry.job)

    def discard(self, job: str) -> None:
        """The painter does not want it: the bridge may forget it too."""
        if self.history.get(job) is not None:
            self.history.discard(job)
            self._link.acknowledge(job)
            self._changed()

    # ---- what the easel reports

    def placed(self, job: str) -> None:
        """The result is in a document, and so are the maps that came with it."""
        if self.history.placed(job):
            self._link.acknowledge(job)
        self.current = job
        self._changed()

    def kept(self, job: str, sentence: str) -> None:
        """The result found no place and waits in the history."""
        self.say(sentence)

    # ---- what the bridge says

    def on_event(self, event: Event) -> None:
        if isinstance(event, ConnectionChanged):
            if self._is_connected():
                # What was said before is older news than a lost connection.
                self.notice = ""
            self.connection = event
            if event.state is not ConnectionState.CONNECTED:
                self.status = None
                self._begin_anew()
        else:
            self._on_message(event)
        self._changed()

    def _is_connected(self) -> bool:
        return self.connection is not None and self.connection.state is ConnectionState.CONNECTED

    def _on_message(self, received: Received) -> None:
        message = received.message
        if isinstance(message, messages.Welcome):
            self.presets, self.default_preset = message.presets, message.default_preset
            self.status = message.status
            self.skipped, self.tags = message.skipped, message.tags
        elif isinstance(message, EngineStatus):
            self.status = message
            if message.state in (EngineState.STARTING, EngineState.LOADING):
                self._begin_anew()
        elif isinstance(message, messages.Progress):
            self._on_progress(message)
        elif isinstance(message, messages.Preview) and received.image is not None:
            self._on_preview(message, received.image)
        elif isinstance(message, messages.Result) and received.image is not None:
            self._on_result(message, received.image, received.maps)
        elif isinstance(message, messages.Ended):
            self._on_ended(message)
        elif isinstance(message, messages.Unknown):
            self._end(message.job)
        elif isinstance(message, messages.Fault):
            self.notice = _sentences(message.message, message.hint)
            self._end(message.job)

    def _on_progress(self, message: messages.Progress) -> None:
        job = self._jobs.get(message.job)
        if job is not None:
            if job.stage is Stage.WAITING:
                job.stage = Stage.RUNNING
            job.step, job.steps = message.step, message.steps
            job.seconds_left = message.seconds_left

    def _begin_anew(self) -> None:
        """Whoever painted is gone or has not begun: how far a job had come there says nothing any more."""
        for job in self.jobs():
            job.step = job.steps = 0
            job.seconds_left = None
            if job.stage is Stage.RUNNING:
                job.stage = Stage.WAITING

    def _on_preview(self, message: messages.Preview, image: Buffer) -> None:
        job = self._jobs.get(message.job)
        if job is None or job.stage is Stage.CANCELLING:
            return
        self.preview = PreviewPicture(message.job, message.bounds, image)
        if self._leads(job):
            self._easel.preview(message.job, message.bounds, image)

    def _on_result(
        self, message: messages.Result, image: Buffer, maps: Mapping[int, Tensor]
    ) -> None:
        note = read_note(message.document)
        entry = Entry(
            message.job,
            message.bounds,
            message.canvas,
            message.facts,
            note,
            image,
            _kept_maps(note, maps),
        )
        job = self._jobs.pop(message.job, None)
        if self.preview is not None and self.preview.job == message.job:
            self.preview = None
        self.history.add(entry)
        if job is None:
            self.notice = tr("A picture from before waits below. Click it to place it.")
        elif self._leads(job) or job.request.part is not None:
            self._easel.finish(entry)

    def _on_ended(self, message: messages.Ended) -> None:
        job = self._jobs.get(message.job)
        self._end(message.job)
        if job is not None and message.state is JobState.FAILED:
            self.notice = _sentences(message.message, message.hint)
        elif job is not None:
            self._discard_parts_with(job)

    def _discard_parts_with(self, job: Job) -> None:
        """It was cancelled: where it was a part, those that are done already are of no use."""
        for entry in self.history.entries() if job.request.part is not None else ():
            if entry.press == job.note.layer:
                self.discard(entry.job)

    def _end(self, name: str) -> None:
        job = self._jobs.pop(name, None)
        if job is None:
            return
        if self.preview is not None and self.preview.job == name:
            self.preview = None
        if self._leaders.get(job.note.epoch) == name:
            del self._leaders[job.note.epoch]
            self._easel.drop(name)

    def _leads(self, job: Job) -> bool:
        """Whether this job is the one of its press that is shown on the canvas by itself."""
        return self._leaders.setdefault(job.note.epoch, job.job) == job.job


def _kept_maps(note: Optional[DocumentNote], maps: Mapping[int, Tensor]) -> Tuple[KeptMap, ...]:
    """Those that fit what was asked for."""
    if note is None:
        return ()
    shape = (note.area.height, note.area.width, 4)
    return tuple(
        KeptMap(number, note.controls[number], note.area, kept.data)
        for number, kept in sorted(maps.items())
        if number < len(note.controls) and kept.shape == shape
    )


def _sentences(*parts: str) -> str:
    return " ".join(part for part in parts if part)

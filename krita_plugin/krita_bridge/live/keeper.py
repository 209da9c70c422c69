"""What becomes of live pictures in the document: a layer, a layer that shows where its mask is painted, or an
animated layer. Each is one undo step, and made only when the painter asks for it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Callable, Optional

from ..document import CanvasDocument
from ..guard import Placement
from ..kralayers import layer_from, masked_layer
from ..place import JobLayer
from ..provenance import Record
from ..steady import is_pressed
from ..text import tr
from ..turns import Task, Turns
from ..wire.messages import ResultFacts
from ..words import layer_name, title
from .painter import Shown
from .pngs import PngFiles
from .recorder import Recorder, left_over

POLL_SECONDS = 0.05
LAST_PATIENCE = 2.0
"""Seconds for the last pictures to be written when Krita closes."""


@dataclass(frozen=True)
class _Recording:
    document: CanvasDocument
    recorder: Recorder
    latest: Optional[Record] = None
    """How the latest frame was made: of an animated layer only one can be told."""


class LiveKeeper:
    """One for the whole program. Recordings are made in folders below `home`; `say` shows a sentence, `changed` is called
    after whatever the docker shows."""

    def __init__(
        self, turns: Turns, say: Callable[[str], None], changed: Callable[[], None], home: Path
    ) -> None:
        self._turns = turns
        self._say = say
        self._changed = changed
        self._home = home
        self._recording: Optional[_Recording] = None
        self._told = False

    # ---- layers

    def keep(self, shown: Shown) -> None:
        """The picture becomes a layer."""
        self._turns.add("keep", self._keep(shown, in_parts=False))

    def keep_parts(self, shown: Shown) -> None:
        """The picture becomes a layer of which nothing is seen before its mask, which is active then, is painted white."""
        self._turns.add("keep", self._keep(shown, in_parts=True))

    def _keep(self, shown: Shown, in_parts: bool) -> Task:
        yield from _pen_up()
        document, message = shown.document, shown.message
        if not document.is_open() or document.canvas() != message.canvas:
            self._say(tr("The canvas has another size now; let the picture catch up first."))
            return
        name = _name_of(message.facts)
        fresh = masked_layer() if in_parts else None
        layer = JobLayer(document, name, fresh=fresh)
        decision = yield from layer.finish(message.bounds, shown.image, name, _record_of(shown))
        if decision.sentence:
            self._say(decision.sentence)
        elif fresh is not None and decision.placement is not Placement.KEEP_IN_HISTORY:
            yield from _pen_up()
            if document.is_open():
                document.activate(fresh.childNodes()[0])
            self._say(tr("Paint white to let the picture show, black to hide it again."))

    # ---- recordings

    @property
    def is_recording(self) -> bool:
        return self._recording is not None

    def frames(self) -> int:
        """Of the recording that runs."""
        return self._recording.recorder.frames if self._recording is not None else 0

    def record(self, document: CanvasDocument) -> None:
        """Every live picture of `document` becomes a frame from now on."""
        try:
            recorder = Recorder(self._home, document.canvas(), PngFiles())
        except OSError as error:
            self._say(tr("Nothing can be recorded: {0} ({1})", error.strerror, self._home))
            return
        self._recording = _Recording(document, recorder)
        self._changed()

    def end_recording(self) -> None:
        """The frames become an animated layer, soon."""
        recording, self._recording = self._recording, None
        if recording is not None:
            self._turns.add("record", self._place(recording))
            self._changed()

    def take(self, shown: Shown) -> None:
        """A live picture has come."""
        recording = self._recording
        if recording is None or recording.document.key != shown.document.key:
            return
        recorder = recording.recorder
        if recorder.canvas != shown.message.canvas:
            self._say(tr("The canvas has another size now: that is the end of the recording."))
            self.end_recording()
            return
        recorder.add(shown.message.bounds, shown.image)
        self._recording = replace(recording, latest=_record_of(shown))
        if recorder.is_full or recorder.failure:
            self.end_recording()

    def live_begins(self) -> None:
        """Say once where an earlier recording is that found no end."""
        folders = [] if self._told else list(left_over(self._home))
        self._told = True
        if folders:
            self._say(tr("Frames of an earlier recording are still in {0}", folders[-1]))

    def live_ends(self) -> None:
        self.end_recording()

    def stop(self) -> None:
        """Krita closes: what was recorded stays in its files."""
        if self._recording is not None:
            self._recording.recorder.finish(None)
            self._recording.recorder.wait(LAST_PATIENCE)

    def _place(self, recording: _Recording) -> Task:
        document, recorder = recording.document, recording.recorder
        recorder.finish(tr("Live recording"))
        while not recorder.is_over:
            yield POLL_SECONDS
        yield from _pen_up()
        if recorder.failure:
            self._say(
                tr(
                    "The recording has ended: {0}. Its frames are in {1}",
                    recorder.failure,
                    recorder.folder,
                )
            )
        elif recorder.layer is None:  # nothing was there to be written
            recorder.discard()
            self._say(tr("No picture came while this was recording."))
        elif not document.is_open() or document.canvas() != recorder.canvas:
            self._say(
                tr(
                    "The recording does not fit the canvas any more. Its frames are in {0}",
                    recorder.folder,
                )
            )
        else:
            layer = JobLayer(document, "", fresh=layer_from(recorder.layer))
            decision = yield from layer.add(recording.latest)
            if decision.placement is Placement.KEEP_IN_HISTORY:
                self._say(
                    tr("The recording found no place. Its frames are in {0}", recorder.folder)
                )
                return
            recorder.discard()
            self._say(tr("The recording is a hidden layer now, with {0} frames.", recorder.frames))


def _pen_up() -> Task:
    """Reading a layer from a file takes half a second, and whichever layer is active, a stroke stays on the one it began on."""
    while is_pressed():
        yield POLL_SECONDS


def _record_of(shown: Shown) -> Record:
    message = shown.message
    return Record(message.facts, message.canvas, message.bounds, shown.asked)


def _name_of(facts: ResultFacts) -> str:
    return layer_name(title(facts.prompt, facts.mode), facts.seed)

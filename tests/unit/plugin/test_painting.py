"""The controller between the client, the canvas and the docker, with neither Krita nor Qt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from krita_plugin.krita_bridge.capture import Plan, Snapshot
from krita_plugin.krita_bridge.client import ConnectionChanged, ConnectionState, Received
from krita_plugin.krita_bridge.history import Entry, KeptMap
from krita_plugin.krita_bridge.link import Pixels
from krita_plugin.krita_bridge.notes import DocumentNote
from krita_plugin.krita_bridge.painting import Job, Painting, Stage
from krita_plugin.krita_bridge.wire import messages
from krita_plugin.krita_bridge.wire.control import ControlKind
from krita_plugin.krita_bridge.wire.frames import Tensor
from krita_plugin.krita_bridge.wire.geometry import Bounds, Extent
from krita_plugin.krita_bridge.wire.messages import (
    EngineState,
    EngineStatus,
    JobState,
    PaintRequest,
    PresetInfo,
    ResultFacts,
    UpscalePart,
)

BOUNDS = Bounds(10, 20, 4, 3)
CANVAS = Extent(100, 100)
SNAPSHOT = Snapshot(
    Plan(CANVAS, BOUNDS, reads_image=True, reads_mask=True), (bytes(48),), (bytes(12),)
)
FACTS = ResultFacts("boat", "", "e", 1, 1.0, 20, 20, 5.0, "ddim", "m", "a", 64, 64, 1.0, "0")
READY = EngineStatus(EngineState.READY, "Ready.")
PRESETS = tuple(PresetInfo(n, n.title(), "m", 512, 20, 5.0, "ddim") for n in ("fast", "good"))
WELCOME = messages.Welcome(1, "0", PRESETS, "good", READY, ())
CONNECTED = ConnectionChanged(ConnectionState.CONNECTED, "Connected.")


class Recorder:
    """Stands in for the client and the easel: remembers what it was told."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []

    def submit(
        self,
        submit: messages.Submit,
        image: Any = None,
        mask: Any = None,
        controls: Any = None,
        references: Any = (),
    ) -> None:
        self.calls.append(("submit", submit.job, submit.bounds, image, mask, controls, references))

    def cancel(self, job: str) -> None:
        self.calls.append(("cancel", job))

    def acknowledge(self, job: str) -> None:
        self.calls.append(("acknowledge", job))

    def preview(self, job: str, bounds: Bounds, image: Any) -> None:
        self.calls.append(("preview", job))

    def finish(self, entry: Entry) -> None:
        self.calls.append(("finish", entry.job))

    def show(self, entry: Entry) -> None:
        self.calls.append(("show", entry.job))

    def drop(self, job: str) -> None:
        self.calls.append(("drop", job))


class Desk:
    """A Painting with its surroundings, in the verbs of the tests."""

    def __init__(self) -> None:
        self.recorder = Recorder()
        self.changes = 0
        self.painting = Painting(self.recorder, self.recorder, self._changed)
        self.painting.on_event(CONNECTED)
        self.hear(WELCOME)

    def _changed(self) -> None:
        self.changes += 1

    def hear(self, message: Any, image: bytes | None = None, **maps: Any) -> None:
        self.painting.on_event(Received(message, memoryview(image) if image else None, **maps))

    def press(self, *names: str, epoch: int = 1, capture: bool = True) -> None:
        note = DocumentNote("d", f"layer{epoch}", epoch, BOUNDS)
        self.painting.begin([Job(name, PaintRequest("boat"), note) for name in names])
        if capture:
            self.painting.captured(names, SNAPSHOT, previews=True)

    def preview(self, job: str) -> None:
        self.hear(messages.Preview(job, 1, BOUNDS), bytes(48))

    def result(self, job: str, epoch: int = 1) -> None:
        note = DocumentNote("d", f"layer{epoch}", epoch, BOUNDS).dumps()
        self.hear(messages.Result(job, BOUNDS, CANVAS, FACTS, note), bytes(48))

    def told(self, what: str) -> list[str]:
        return [call[1] for call in self.recorder.calls if call[0] == what]


@pytest.fixture
def desk() -> Desk:
    return Desk()


def test_a_job_is_sent_with_its_strips_once_they_are_read(desk: Desk) -> None:
    desk.press("a", capture=False)
    assert desk.told("submit") == []
    desk.painting.captured(["a"], SNAPSHOT, previews=True)
    (sent,) = desk.recorder.calls
    assert sent == ("submit", "a", BOUNDS, SNAPSHOT.image, SNAPSHOT.mask, {}, ())


def test_pictures_of_controls_and_references_go_along(desk: Desk) -> None:
    pictures: Any = {1: (bytes(48),)}
    references = (Pixels((1, 1, 4), (bytes(4),)),)
    snapshot = replace(SNAPSHOT, controls=pictures, references=references)
    desk.press("a", capture=False)
    desk.painting.captured(["a"], snapshot, previews=True)
    assert desk.recorder.calls[0][-2:] == (pictures, references)


def test_kept_maps_wait_with_their_result_for_where_they_were_captured(desk: Desk) -> None:
    area = Bounds(8, 18, 8, 7)
    kinds = (ControlKind.POSE, ControlKind.DEPTH)
    note = DocumentNote("d", "layer1", 1, area, kinds)
    fits, other = Tensor((7, 8, 4), bytes(224)), Tensor((3, 4, 4), bytes(48))
    desk.press("now")
    for job in ("now", "from before"):
        result = messages.Result(job, BOUNDS, CANVAS, FACTS, note.dumps())
        desk.hear(result, bytes(48), maps={1: fits, 0: other, 2: fits})
        entry = desk.painting.history.get(job)
        assert entry is not None
        assert entry.maps == (KeptMap(1, ControlKind.DEPTH, area, fits.data),)
    assert desk.told("finish") == ["now"]


def test_a_job_cancelled_while_it_is_read_is_never_sent(desk: Desk) -> None:
    desk.press("a", capture=False)
    desk.painting.cancel()
    desk.painting.captured(["a"], SNAPSHOT, previews=True)
    assert desk.recorder.calls == []
    assert desk.painting.jobs() == []


def test_from_press_to_picture(desk: Desk) -> None:
    desk.press("a")
    desk.hear(messages.Progress("a", 3, 20, 2.0))
    front = desk.painting.front()
    assert front is not None
    assert (front.stage, front.step, front.steps) == (Stage.RUNNING, 3, 20)
    desk.preview("a")
    desk.result("a")
    assert desk.told("preview") == ["a"] and desk.told("finish") == ["a"]
    assert desk.painting.jobs() == [] and desk.painting.preview is None
    assert desk.told("acknowledge") == [], "not before the picture is in the document"
    desk.painting.placed("a")
    assert desk.told("acknowledge") == ["a"]
    desk.painting.placed("a")
    assert desk.told("acknowledge") == ["a"]


def test_a_picture_without_a_place_stays_with_the_bridge_until_it_is_discarded(desk: Desk) -> None:
    desk.press("a")
    desk.result("a")
    desk.painting.kept("a", "It waits below.")
    assert desk.painting.sentence() == "It waits below."
    assert desk.told("acknowledge") == []
    desk.painting.discard("a")
    assert desk.told("acknowledge") == ["a"]
    assert len(desk.painting.history) == 0


def test_of_several_variations_one_is_on_the_canvas_and_the_others_wait(desk: Desk) -> None:
    desk.press("a", "b", "c")
    for job in "abc":
        desk.preview(job)
        desk.result(job)
    assert desk.told("preview") == ["a"]
    assert desk.told("finish") == ["a"]
    assert [e.job for e in desk.painting.history.entries()] == ["a", "b", "c"]


def test_walking_through_the_variations(desk: Desk) -> None:
    desk.press("a", "b")
    desk.result("a")
    desk.result("b")
    desk.painting.placed("a")
    desk.painting.show_beside(1)
    assert desk.told("show") == ["b"]


def test_a_second_press_leads_by_itself(desk: Desk) -> None:
    desk.press("a")
    desk.press("b", epoch=2)
    desk.result("a")
    desk.result("b", epoch=2)
    assert desk.told("finish") == ["a", "b"]


def test_cancelling_takes_the_preview_away_when_the_bridge_says_so(desk: Desk) -> None:
    desk.press("a")
    desk.preview("a")
    desk.painting.cancel()
    assert desk.told("cancel") == ["a"] and desk.told("drop") == []
    desk.preview("a")
    assert desk.told("preview") == ["a"], "no preview is shown any more"
    desk.painting.cancel()
    assert desk.told("cancel") == ["a"], "asking once is enough"
    desk.hear(messages.Ended("a", JobState.CANCELLED, "cancelled"))
    assert desk.told("drop") == ["a"]
    assert desk.painting.jobs() == [] and desk.painting.notice == ""


def test_one_of_several_jobs_is_cancelled_alone(desk: Desk) -> None:
    desk.press("a", "b")
    desk.press("c", epoch=2, capture=False)
    assert desk.painting.in_hand() == [("boat (0)", [job]) for job in "abc"]
    desk.painting.cancel(["b"])
    assert desk.told("cancel") == ["b"]
    desk.hear(messages.Ended("b", JobState.CANCELLED, "cancelled"))
    desk.painting.cancel(["c", "long gone"])
    assert desk.told("cancel") == ["b"], "what was not sent yet needs no cancel"
    assert [jobs for _, jobs in desk.painting.in_hand()] == [["a"]]
    desk.result("a")
    assert desk.told("finish") == ["a"]


def test_what_is_being_cancelled_and_parts_of_one_picture_are_not_offered_one_by_one(
    desk: Desk,
) -> None:
    press_parts(desk, "a", "b")
    desk.press("c")
    assert [jobs for _, jobs in desk.painting.in_hand()] == [["a", "b"], ["c"]]
    desk.painting.cancel(["a", "b"])
    assert [jobs for _, jobs in desk.painting.in_hand()] == [["c"]]


def test_a_cancel_that_comes_too_late_gives_the_picture(desk: Desk) -> None:
    desk.press("a")
    desk.painting.cancel()
    desk.result("a")
    assert desk.told("finish") == ["a"]


def test_a_failure_is_one_sentence_with_its_hint(desk: Desk) -> None:
    desk.press("a")
    desk.preview("a")
    ended = messages.Ended("a", JobState.FAILED, "out_of_memory", "No memory.", "Select less.")
    desk.hear(ended)
    assert desk.painting.sentence() == "No memory. Select less."
    assert desk.told("drop") == ["a"]
    desk.press("b", epoch=2)
    assert desk.painting.sentence() == READY.sentence, "the next press begins afresh"


def test_when_the_first_variation_fails_the_next_one_leads(desk: Desk) -> None:
    desk.press("a", "b")
    desk.preview("a")
    desk.hear(messages.Ended("a", JobState.FAILED, "internal", "It failed."))
    desk.result("b")
    assert desk.told("finish") == ["b"]


def test_a_refused_job_ends_with_the_bridges_sentence(desk: Desk) -> None:
    desk.press("a")
    desk.hear(messages.Fault("bad_input", "The mask is empty.", "Select something.", "a"))
    assert desk.painting.jobs() == []
    assert desk.painting.sentence() == "The mask is empty. Select something."


def test_a_result_of_an_earlier_run_waits_as_a_thumbnail(desk: Desk) -> None:
    desk.result("old")
    assert desk.told("finish") == [] and desk.told("acknowledge") == []
    assert [e.job for e in desk.painting.history.entries()] == ["old"]
    assert "waits below" in desk.painting.sentence()


def test_the_state_follows_the_connection(desk: Desk) -> None:
    assert desk.painting.sentence() == READY.sentence
    desk.painting.on_event(ConnectionChanged(ConnectionState.WAITING, "Reconnecting..."))
    assert desk.painting.sentence() == "Reconnecting..."
    desk.painting.on_event(CONNECTED)
    assert desk.painting.sentence() == "Connected."
    desk.hear(replace(READY, state=EngineState.BUSY, sentence="Painting."))
    assert desk.painting.sentence() == "Painting."


def test_a_lost_connection_is_said_whatever_was_said_before(desk: Desk) -> None:
    desk.painting.say("The selection is empty.")
    desk.painting.on_event(ConnectionChanged(ConnectionState.WAITING, "Reconnecting..."))
    assert desk.painting.sentence() == "Reconnecting..."
    desk.painting.say("Open or create a picture first.")
    desk.painting.on_event(CONNECTED)
    assert desk.painting.sentence() == "Open or create a picture first."


def test_the_docker_hears_which_presets_were_left_out(desk: Desk) -> None:
    desk.hear(replace(WELCOME, skipped=("The preset file a.toml is no TOML.",)))
    assert desk.painting.skipped == ("The preset file a.toml is no TOML.",)


def test_a_ready_bridge_says_with_what_and_where(desk: Desk) -> None:
    desk.hear(replace(READY, model="embedded model", device="cpu"))
    assert desk.painting.sentence() == "Ready: embedded model on CPU"


def test_jobs_survive_a_lost_connection(desk: Desk) -> None:
    desk.press("a")
    desk.painting.on_event(ConnectionChanged(ConnectionState.WAITING, "Reconnecting..."))
    assert [job.job for job in desk.painting.jobs()] == ["a"]
    desk.painting.on_event(CONNECTED)
    desk.result("a")
    assert desk.told("finish") == ["a"]


@pytest.mark.parametrize(
    "gone",
    [
        ConnectionChanged(ConnectionState.WAITING, "Reconnecting..."),
        Received(EngineStatus(EngineState.STARTING, "Starting the engine.")),
    ],
    ids=["the bridge", "the model process"],
)
def test_progress_ends_with_whoever_made_it(desk: Desk, gone: Any) -> None:
    desk.press("a", "b")
    desk.hear(messages.Progress("a", 7, 20, 3.0))
    desk.painting.cancel()
    desk.press("c", epoch=2)
    desk.hear(messages.Progress("c", 7, 20, 3.0))
    desk.painting.on_event(gone)
    stages = {job.job: (job.stage, job.step, job.steps) for job in desk.painting.jobs()}
    cancelling = (Stage.CANCELLING, 0, 0)
    assert stages == {"a": cancelling, "b": cancelling, "c": (Stage.WAITING, 0, 0)}
    desk.hear(messages.Progress("c", 1, 20, 5.0))
    assert desk.painting.jobs()[2].stage is Stage.RUNNING


def test_presets_fall_back_to_the_bridges_default(desk: Desk) -> None:
    assert [desk.painting.preset(n).name for n in ("fast", "gone", "")] == ["fast", "good", "good"]  # type: ignore[union-attr]
    fresh = Painting(Recorder(), Recorder(), lambda: None)
    assert fresh.preset("fast") is None


def test_everything_that_happens_reaches_the_docker(desk: Desk) -> None:
    before = desk.changes
    desk.press("a")
    desk.hear(messages.Progress("a", 1, 20, None))
    desk.painting.say("Something.")
    assert desk.changes >= before + 4


PART = UpscalePart(Bounds(10, 20, 9, 9), Bounds(20, 40, 8, 6))


def press_parts(desk: Desk, *names: str, waiting: Sequence[str] = ()) -> DocumentNote:
    """Jobs `names` are sent; there is no room yet for those `waiting`."""
    note = DocumentNote("", "press", 1, BOUNDS)
    request = PaintRequest("boat", upscale=2.0, part=PART)
    desk.painting.begin([Job(name, request, note) for name in (*names, *waiting)])
    desk.painting.captured(names, SNAPSHOT, previews=True)
    return note


def test_each_part_of_a_larger_picture_is_handed_on_and_the_last_one_ends_it(desk: Desk) -> None:
    note = press_parts(desk, "a", "b")
    for name, others in (("a", True), ("b", False)):
        desk.hear(messages.Result(name, BOUNDS, CANVAS, FACTS, note.dumps()), bytes(48))
        assert desk.painting.is_painting(note) is others
    assert desk.told("finish") == ["a", "b"]
    first, second = desk.painting.history.entries()
    assert desk.painting.history.of_press(second) == [first, second]
    assert desk.told("acknowledge") == []


def test_parts_that_are_done_go_with_those_that_are_cancelled_and_stay_where_one_fails(
    desk: Desk,
) -> None:
    for state, kept in ((JobState.FAILED, ["a"]), (JobState.CANCELLED, [])):
        note = press_parts(desk, "a", "b")
        desk.hear(messages.Result("a", BOUNDS, CANVAS, FACTS, note.dumps()), bytes(48))
        desk.hear(messages.Ended("b", state, "code", "It went wrong.", ""))
        assert [entry.job for entry in desk.painting.history.entries()] == kept
        assert not desk.painting.is_painting(note)
    assert desk.told("acknowledge") == ["a"]


def test_parts_that_are_done_go_when_the_rest_is_cancelled_before_it_was_sent(desk: Desk) -> None:
    note = press_parts(desk, "a", waiting="b")
    desk.hear(messages.Result("a", BOUNDS, CANVAS, FACTS, note.dumps()), bytes(48))
    desk.painting.cancel()
    assert not desk.painting.history.entries() and desk.told("acknowledge") == ["a"]

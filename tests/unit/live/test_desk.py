"""Newest wins, clients take turns, what failed is not tried again, and a slow machine owes the full picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from bridge.live.desk import LiveDesk
from bridge.live.economy import EFFORTS, FULL, REST_SECONDS, TARGET_SECONDS
from krita_plugin.krita_bridge.wire import frames, messages
from krita_plugin.krita_bridge.wire.frames import Buffer, Frame, Tensor
from krita_plugin.krita_bridge.wire.geometry import Bounds, Extent
from krita_plugin.krita_bridge.wire.messages import (
    Ended,
    Fault,
    JobState,
    LivePicture,
    LiveUpdate,
    PaintRequest,
    Progress,
    Result,
    ResultFacts,
    ServerMessage,
    Submit,
)

CANVAS, AREA = Extent(8, 8), Bounds(0, 0, 8, 8)
FACTS = ResultFacts("", "", "p", 1, 1.0, 2, 2, 1.0, "s", "m", "", 8, 8, 0.1, "0")
IMAGE = {"image": Tensor((8, 8, 4), bytes(256))}


class Painter:
    """A client: its canvas, and what it is told."""

    def __init__(self, name: str) -> None:
        self.name, self.revision = name, 0
        self.told: list[ServerMessage] = []
        self.pictures: list[int] = []
        self.full: list[bool] = []

    @property
    def latest(self) -> LiveUpdate:
        request = PaintRequest(self.name, steps=8)
        return LiveUpdate(
            self.name, self.revision, self.revision - 1, request, CANVAS, AREA, False, False, (), (), ""
        )  # fmt: skip

    def order(self, job: str, request: PaintRequest) -> Sequence[Buffer]:
        submit = Submit(job, request, CANVAS, AREA)
        return frames.encode(Frame(messages.dumps(submit), {}))

    def edit(self, desk: LiveDesk) -> str:
        self.revision += 1
        return desk.want(self.name, self, self)

    def put(self, message: ServerMessage) -> None:
        self.told.append(message)

    def put_live_picture(self, data: bytes) -> None:
        message = messages.loads(frames.decode(data).message)
        assert isinstance(message, LivePicture)
        self.pictures.append(message.revision)
        self.full.append(message.full)


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def finish(desk: LiveDesk, seconds: float = 0.1) -> None:
    facts = replace(FACTS, seconds=seconds)
    assert desk.worker_said(Result(desk.job, AREA, CANVAS, facts, ""), Frame("", IMAGE))


def begin(desk: LiveDesk) -> None:
    """The worker has the next picture and its model."""
    assert desk.take() is not None
    assert desk.painting_began() == ""


def asked(payload: Sequence[Buffer] | None) -> PaintRequest:
    """The request that the worker was given."""
    assert payload is not None
    submit = messages.loads(frames.decode(b"".join(payload)).message)
    assert isinstance(submit, Submit)
    return submit.request


def end(desk: LiveDesk, state: JobState) -> None:
    assert desk.worker_said(
        Ended(desk.job, state, "out_of_memory", "It is full.", "Less."), Frame("", {})
    )


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def desk(clock: Clock) -> LiveDesk:
    return LiveDesk(clock)


@pytest.fixture
def anna() -> Painter:
    return Painter("anna")


@pytest.fixture
def berta() -> Painter:
    return Painter("berta")


def test_a_newer_edit_has_the_older_one_cancelled_once_and_is_painted(
    desk: LiveDesk, anna: Painter
) -> None:
    assert anna.edit(desk) == ""
    begin(desk)
    running = desk.job
    assert [anna.edit(desk) for _ in range(3)] == [running, "", ""]
    end(desk, JobState.CANCELLED)
    assert desk.take() is not None
    finish(desk)
    assert anna.pictures == [4] and anna.told == []
    assert desk.take() is None and desk.job == ""


def test_a_picture_that_was_done_before_the_cancel_came_is_shown_all_the_same(
    desk: LiveDesk, anna: Painter
) -> None:
    anna.edit(desk)
    desk.take()
    anna.edit(desk)
    finish(desk)
    desk.take()
    finish(desk)
    assert anna.pictures == [1, 2]


def test_clients_take_turns_however_often_one_of_them_edits(
    desk: LiveDesk, anna: Painter, berta: Painter
) -> None:
    anna.edit(desk)
    berta.edit(desk)
    for _ in range(6):
        desk.take()
        for _ in range(3):
            anna.edit(desk)
        berta.edit(desk)
        finish(desk)
    assert (len(anna.pictures), len(berta.pictures)) == (3, 3)


def test_what_makes_way_is_the_next_to_be_painted(
    desk: LiveDesk, anna: Painter, berta: Painter
) -> None:
    anna.edit(desk)
    begin(desk)
    berta.edit(desk)
    assert desk.yield_() == desk.job
    assert desk.yield_() == ""
    end(desk, JobState.CANCELLED)
    desk.take()
    finish(desk)
    assert anna.pictures == [1] and berta.pictures == []


def test_progress_is_no_end(desk: LiveDesk, anna: Painter) -> None:
    anna.edit(desk)
    desk.take()
    assert not desk.worker_said(Progress(desk.job, 1, 2), Frame("", {}))
    assert desk.job


def test_a_failure_is_told_with_its_sentence_and_what_waits_is_dropped(
    desk: LiveDesk, anna: Painter
) -> None:
    anna.edit(desk)
    desk.take()
    anna.edit(desk)
    end(desk, JobState.FAILED)
    assert anna.told == [Fault("out_of_memory", "It is full.", "Less.", "anna")]
    assert desk.take() is None


def test_a_dead_worker_ends_what_it_had_and_keeps_what_waited(
    desk: LiveDesk, anna: Painter, berta: Painter
) -> None:
    anna.edit(desk)
    desk.take()
    berta.edit(desk)
    desk.worker_died("It died.", "Again.", "worker_died")
    assert anna.told == [Fault("worker_died", "It died.", "Again.", "anna")]
    assert desk.take() is not None
    finish(desk)
    assert berta.pictures == [1]


def test_when_nothing_can_be_painted_all_that_wait_are_told(
    desk: LiveDesk, anna: Painter, berta: Painter
) -> None:
    anna.edit(desk)
    berta.edit(desk)
    desk.fail_all("It died.", "Again.", "worker_died")
    assert anna.told and berta.told and desk.take() is None


def test_switched_off_a_picture_in_the_making_is_shown_to_nobody(
    desk: LiveDesk, anna: Painter
) -> None:
    anna.edit(desk)
    begin(desk)
    anna.edit(desk)
    assert desk.stop("anna", anna) == ""  # the edit had it cancelled already
    finish(desk)
    assert anna.pictures == [] and desk.take() is None


def test_an_old_connection_that_goes_leaves_the_new_ones_wishes_alone(desk: LiveDesk) -> None:
    old, new = Painter("anna"), Painter("anna")
    new.edit(desk)
    assert desk.stop("anna", old) == ""
    desk.take()
    assert desk.stop("anna", old) == ""
    finish(desk)
    assert new.pictures == [1]


SLOW = 100 * TARGET_SECONDS


def paint_reduced(desk: LiveDesk, painter: Painter) -> None:
    """A picture so slow that the next one is painted with less work; that one too."""
    for _ in range(2):
        painter.edit(desk)
        desk.take()
        finish(desk, SLOW)
    assert painter.full == [True, False]


def test_on_a_slow_machine_the_full_picture_follows_once_the_pen_rests(
    desk: LiveDesk, anna: Painter, clock: Clock
) -> None:
    paint_reduced(desk, anna)
    assert desk.take() is None
    assert desk.pause() == pytest.approx(REST_SECONDS)
    clock.now += REST_SECONDS
    assert desk.pause() == 0
    assert asked(desk.take()) == anna.latest.request
    finish(desk, SLOW)
    assert anna.pictures == [1, 2, 2] and anna.full == [True, False, True]
    clock.now += 9
    assert desk.take() is None and desk.pause() is None


def test_on_a_slow_machine_the_worker_is_asked_for_less(desk: LiveDesk, anna: Painter) -> None:
    anna.edit(desk)
    assert asked(desk.take()) == FULL.of(anna.latest.request)
    finish(desk, SLOW)
    anna.edit(desk)
    assert asked(desk.take()) == EFFORTS[-1].of(anna.latest.request)


def test_a_fast_machine_owes_nothing(desk: LiveDesk, anna: Painter, clock: Clock) -> None:
    anna.edit(desk)
    desk.take()
    finish(desk, TARGET_SECONDS / 2)
    clock.now += 9
    assert anna.full == [True] and desk.take() is None and desk.pause() is None


def test_an_edit_before_the_pen_has_rested_leaves_the_full_picture_out(
    desk: LiveDesk, anna: Painter, clock: Clock
) -> None:
    paint_reduced(desk, anna)
    clock.now += REST_SECONDS / 2
    anna.edit(desk)
    desk.take()
    finish(desk, SLOW)
    clock.now += REST_SECONDS
    desk.take()
    finish(desk, SLOW)
    assert list(zip(anna.pictures, anna.full, strict=True))[2:] == [(3, False), (3, True)]


def test_an_edit_has_the_full_picture_in_the_making_cancelled(
    desk: LiveDesk, anna: Painter, clock: Clock
) -> None:
    paint_reduced(desk, anna)
    clock.now += REST_SECONDS
    begin(desk)
    assert anna.edit(desk) == desk.job
    end(desk, JobState.CANCELLED)
    assert asked(desk.take()).steps == EFFORTS[-1].of(anna.latest.request).steps


def test_an_edit_of_another_painter_goes_before_a_full_picture(
    desk: LiveDesk, anna: Painter, berta: Painter, clock: Clock
) -> None:
    paint_reduced(desk, anna)
    clock.now += REST_SECONDS
    berta.edit(desk)
    assert asked(desk.take()).prompt == "berta"
    finish(desk)
    assert asked(desk.take()).prompt == "anna"


def test_who_was_owed_a_full_picture_and_edits_waits_behind_those_who_waited(
    desk: LiveDesk, anna: Painter, berta: Painter
) -> None:
    paint_reduced(desk, anna)
    berta.edit(desk)
    anna.edit(desk)
    assert asked(desk.take()).prompt == "berta"


def test_a_full_picture_that_made_way_is_still_full(
    desk: LiveDesk, anna: Painter, clock: Clock
) -> None:
    paint_reduced(desk, anna)
    clock.now += REST_SECONDS
    begin(desk)
    assert desk.yield_()
    end(desk, JobState.CANCELLED)
    assert asked(desk.take()) == anna.latest.request


def test_a_picture_that_was_done_before_it_could_make_way_is_not_painted_again(
    desk: LiveDesk, anna: Painter
) -> None:
    anna.edit(desk)
    desk.take()
    desk.yield_()
    finish(desk)
    assert anna.pictures == [1] and desk.take() is None


def test_switched_off_no_full_picture_is_owed(desk: LiveDesk, anna: Painter, clock: Clock) -> None:
    paint_reduced(desk, anna)
    desk.stop("anna", anna)
    clock.now += REST_SECONDS
    assert desk.take() is None and desk.pause() is None


def test_a_picture_given_up_late_tells_that_the_machine_is_slow(
    desk: LiveDesk, anna: Painter, clock: Clock
) -> None:
    anna.edit(desk)
    desk.take()
    desk.painting_began()
    clock.now += SLOW
    anna.edit(desk)
    end(desk, JobState.CANCELLED)
    assert asked(desk.take()) == EFFORTS[-1].of(anna.latest.request)


@pytest.mark.parametrize("way", ["edit", "yield"])
def test_what_loads_its_model_is_cancelled_only_once_it_paints(
    desk: LiveDesk, anna: Painter, way: str
) -> None:
    """A cancel breaks the loading off: who edits all the time would never get a picture."""
    anna.edit(desk)
    desk.take()
    loading = desk.job
    for _ in range(3):
        assert (anna.edit(desk) if way == "edit" else desk.yield_()) == ""
    assert desk.painting_began() == loading
    assert (anna.edit(desk), desk.yield_()) == ("", "")
    end(desk, JobState.CANCELLED)
    begin(desk)
    finish(desk)
    assert anna.pictures == [anna.revision]


def test_switched_off_the_loading_of_a_model_is_broken_off(desk: LiveDesk, anna: Painter) -> None:
    anna.edit(desk)
    desk.take()
    anna.edit(desk)
    assert desk.stop("anna", anna) == desk.job


def test_a_model_that_takes_long_to_load_is_no_slow_machine(
    desk: LiveDesk, anna: Painter, clock: Clock
) -> None:
    anna.edit(desk)
    desk.take()
    clock.now += SLOW  # loading
    anna.edit(desk)
    end(desk, JobState.CANCELLED)
    assert asked(desk.take()) == anna.latest.request

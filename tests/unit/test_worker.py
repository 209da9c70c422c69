"""The worker's own parts, without a process."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from typing import NoReturn

import numpy as np
import pytest

from bridge import worker
from bridge.engine.types import StepReport
from bridge.errors import BridgeError, Code
from bridge.jobs.estimate import PREVIEW_SECONDS, PROGRESS_SECONDS, PreviewPace, StepClock
from bridge.jobs.pipes import read_frame
from bridge.pixels import swap_red_and_blue
from bridge.presets import DEFAULT_PRESET
from bridge.worker import Inbox, Order, Outlet, StepTeller, Worker, to_job
from krita_plugin.krita_bridge.wire import frames, messages
from krita_plugin.krita_bridge.wire.frames import Frame, Tensor
from krita_plugin.krita_bridge.wire.geometry import Bounds
from krita_plugin.krita_bridge.wire.messages import (
    Ended,
    EngineState,
    JobState,
    Preview,
    Progress,
    Result,
)
from tests.bridge_process import PATIENCE, submit, wait_for
from tests.fake_worker import FakeEngine


def test_swapping_red_and_blue_twice_changes_nothing_and_once_only_those_two() -> None:
    image = np.random.default_rng(0).integers(0, 256, (5, 7, 4), np.uint8)
    swapped = swap_red_and_blue(image)
    assert (swapped == image[..., [2, 1, 0, 3]]).all() and swapped.flags.c_contiguous
    assert (swap_red_and_blue(swapped) == image).all()


def test_a_submit_becomes_the_engines_job() -> None:
    message = submit("job", "a prompt", 3, 2, previews=False)
    image, mask = bytes(range(24)), bytes(range(6))
    tensors = {"image": Tensor((2, 3, 4), image), "mask": Tensor((2, 3), mask)}
    job = to_job(message, Frame("", tensors))
    assert job.request.preset == DEFAULT_PRESET and job.request.prompt == "a prompt"
    assert job.snapshot.image is not None and job.snapshot.mask is not None
    assert job.snapshot.image[0, 0].tolist() == [2, 1, 0, 3]
    assert job.snapshot.mask.tobytes() == mask and not job.previews
    without = to_job(message, Frame("", {}))
    assert without.snapshot.image is None and without.snapshot.mask is None


class Recorder(Outlet):
    """An outlet that remembers instead of writing."""

    def __init__(self) -> None:
        self.sent: list[messages.Message] = []
        self.behind = False

    @property
    def is_behind(self) -> bool:
        return self.behind

    def send(self, message: messages.Message, *_pixels: object) -> None:
        self.sent.append(message)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[float]]:
    now = [100.0]
    monkeypatch.setattr(worker.time, "monotonic", lambda: now[0])
    yield now


def steps(teller: StepTeller, clock: list[float], count: int, step_seconds: float) -> None:
    picture = np.zeros((2, 2, 4), np.uint8)
    for step in range(1, count + 1):
        clock[0] += step_seconds
        teller(StepReport(step, count, lambda: (picture, Bounds(0, 0, 2, 2))))


def teller_for(outlet: Outlet, previews: bool = True) -> StepTeller:
    return StepTeller(
        submit("job", previews=previews), outlet, StepClock(100.0, 1.0), PreviewPace()
    )


def previewed(outlet: Recorder) -> list[int]:
    return [message.step for message in outlet.sent if isinstance(message, Preview)]


def told(outlet: Recorder) -> list[int]:
    return [message.step for message in outlet.sent if isinstance(message, Progress)]


def test_steps_and_previews_are_told_of_at_once_and_then_ten_times_a_second_at_most(
    clock: list[float],
) -> None:
    outlet = Recorder()
    steps(teller_for(outlet), clock, 100, 0.01)
    assert told(outlet)[0] == 1
    assert 9 <= len(told(outlet)) <= 1.0 / PROGRESS_SECONDS + 1
    shown = previewed(outlet)
    assert 9 <= len(shown) <= 1.0 / PREVIEW_SECONDS + 1
    assert 100 not in shown, "the result follows the last step anyway"


def test_slow_steps_are_all_told_of_and_all_but_the_last_shown(clock: list[float]) -> None:
    outlet = Recorder()
    steps(teller_for(outlet), clock, 5, 2.0)
    assert told(outlet) == [1, 2, 3, 4, 5]
    assert previewed(outlet) == [1, 2, 3, 4]


def test_no_preview_is_made_for_a_pipe_that_is_behind_or_a_job_that_wants_none(
    clock: list[float],
) -> None:
    behind, unwanted = Recorder(), Recorder()
    behind.behind = True
    for teller in (teller_for(behind), teller_for(unwanted, previews=False)):
        for step in (1, 2):
            clock[0] += 1
            teller(StepReport(step, 3, lambda: pytest.fail("it was made")))
    assert len(behind.sent) == len(unwanted.sent) == 2


def test_a_step_does_not_wait_for_a_pipe_nobody_reads() -> None:
    reading, writing = os.pipe()
    with os.fdopen(reading, "rb", buffering=0) as source:
        outlet = Outlet(os.fdopen(writing, "wb", buffering=0))
        image = np.zeros((1024, 1024, 4), np.uint8)
        sender = threading.Thread(
            target=lambda: outlet.send(Preview("job", 1, Bounds(0, 0, 1024, 1024)), image)
        )
        sender.start()
        sender.join(PATIENCE)
        assert not sender.is_alive()
        assert outlet.is_behind
        data = read_frame(source)
        assert data is not None
        assert frames.decode(data).tensors["image"].shape == (1024, 1024, 4)
        wait_for(lambda: not outlet.is_behind)


def test_an_engine_that_has_no_device_refuses_every_job_with_its_sentence() -> None:
    class Inbox:
        orders = 2

        def next(self) -> worker.Order:
            self.orders -= 1
            if self.orders < 0:
                raise KeyboardInterrupt
            message = submit(f"job-{self.orders}")
            return worker.Order(message, to_job(message, Frame("", {})))

    def make() -> FakeEngine:
        raise BridgeError(Code.BAD_INPUT, "There is no device.", "Use another.")

    outlet = Recorder()
    with pytest.raises(KeyboardInterrupt):
        worker.Worker(make, Inbox(), outlet).run()  # type: ignore[arg-type]
    states = [m.state for m in outlet.sent if isinstance(m, messages.EngineStatus)]
    assert states[-1] is EngineState.FAILED
    ended = [m for m in outlet.sent if isinstance(m, messages.Ended)]
    assert [(m.job, m.message) for m in ended] == [
        ("job-1", "There is no device."),
        ("job-0", "There is no device."),
    ]


@pytest.mark.parametrize("given", ["0", "-1", "many", "1.5", "9999999", "\u00b2"])
def test_a_number_of_threads_that_is_none_is_one_clear_sentence(
    monkeypatch: pytest.MonkeyPatch, given: str
) -> None:
    monkeypatch.setenv(worker.THREADS_VARIABLE, given)
    with pytest.raises(BridgeError, match=worker.THREADS_VARIABLE):
        worker.cpu_threads()


def test_one_core_is_left_to_krita(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(worker.THREADS_VARIABLE, raising=False)
    for cores, threads in ((1, 1), (2, 1), (8, 7)):
        monkeypatch.setattr(worker, "_own_cores", lambda cores=cores: set(range(cores)))
        assert worker.cpu_threads() == threads


@pytest.mark.parametrize(("given", "threads"), [("3", 3), ("16", 16), ("", 1)])
def test_the_number_of_threads_can_be_set(
    given: str, threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(worker.THREADS_VARIABLE, given)
    monkeypatch.setattr(worker, "_own_cores", lambda: {0, 1})
    assert worker.cpu_threads() == threads


class Scripted(Inbox):
    """Gives these jobs, all of which wait from the beginning, and then ends the worker."""

    def __init__(self, *jobs: str) -> None:
        self.waiting = list(jobs)

    @property
    def is_empty(self) -> bool:
        return not self.waiting

    def next(self) -> Order:
        if not self.waiting:
            raise SystemExit
        message = submit(self.waiting.pop(0))
        return Order(message, to_job(message, Frame("", {})))


def test_a_job_cancelled_while_its_model_loads_ends_before_the_next_part_and_says_no_more() -> None:
    outlet, read = Recorder(), []

    class CancelledSoon(Scripted):
        def next(self) -> Order:
            self.last = super().next()
            return self.last

    class Engine(FakeEngine):
        def prepare(
            self, preset: str, on_progress: Callable[[float, str], None], *_: object
        ) -> None:
            for part in ("text encoder", "VAE", "UNet"):
                on_progress(0.5, part)
                read.append(part)
                if part == "VAE" and inbox.waiting == ["next"]:
                    inbox.last.cancelled.set()

    inbox = CancelledSoon("first", "next")
    with pytest.raises(SystemExit):
        Worker(Engine, inbox, outlet).run()
    whole = ["text encoder", "VAE", "UNet"]
    assert read == [*whole, *whole[:2], *whole], "at the start, of the first job, of the next"
    about = [m for m in outlet.sent if getattr(m, "job", "") == "first"]
    assert about == [Ended("first", JobState.CANCELLED, "cancelled", "The job was cancelled.")]
    done = [m.job for m in outlet.sent if isinstance(m, Result)]
    assert done == ["next"]


def test_the_engine_rests_when_no_job_waits_and_after_its_answer_was_sent() -> None:
    outlet, painted = Recorder(), []

    class Engine(FakeEngine):
        def rest(self) -> None:
            painted.append([m.job for m in outlet.sent if isinstance(m, Ended)])

        def paint(self, *_: object, **__: object) -> NoReturn:
            raise BridgeError(Code.BAD_INPUT, "No.")

    with pytest.raises(SystemExit):
        Worker(Engine, Scripted("a", "b"), outlet).run()
    assert painted == [["a", "b"]]

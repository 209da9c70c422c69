"""The dispatcher's limits and odd moments, with a worker that only remembers."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from bridge.errors import BridgeError, Code
from bridge.jobs.queue import JobKey
from bridge.jobs.supervisor import WorkerExit
from bridge.server import dispatcher as module
from bridge.server.dispatcher import Dispatcher
from bridge.server.outbox import Outbox, StoredResult
from bridge.server.store import Store
from krita_plugin.krita_bridge.jobtable import JobTable
from krita_plugin.krita_bridge.link import Pixels
from krita_plugin.krita_bridge.parts import MOST_PIXELS, PART_SIDE, parts_of
from krita_plugin.krita_bridge.wire import frames, limits, messages
from krita_plugin.krita_bridge.wire.control import Control, ControlKind, ControlSource
from krita_plugin.krita_bridge.wire.frames import Buffer, Frame, Tensor
from krita_plugin.krita_bridge.wire.geometry import Bounds, Extent
from krita_plugin.krita_bridge.wire.messages import (
    Accepted,
    Ended,
    EngineState,
    EngineStatus,
    JobState,
    Message,
    PaintRequest,
    Progress,
    Result,
    ResultFacts,
    Submit,
)
from tests.bridge_process import PATIENCE, submit
from tests.unit.server.drained import everything

FACTS = ResultFacts("", "", "p", 1, 1.0, 2, 2, 1.0, "s", "m", "", 8, 8, 0.1, "0")
READY = EngineStatus(EngineState.READY, "Ready.")


class Worker:
    """Stands for the supervisor: remembers the jobs it was sent."""

    def __init__(self) -> None:
        self.sent: list[Message] = []
        self.revived = 0
        self.killed = 0

    def send(self, buffers: Sequence[Buffer]) -> None:
        self.sent.append(messages.loads(frames.decode(b"".join(buffers)).message))

    def revive(self) -> None:
        self.revived += 1

    def kill(self) -> None:
        self.killed += 1


class Bench:
    """A dispatcher, its worker, and one client's outbox."""

    def __init__(self, folder: Path, **quotas: int) -> None:
        self.store = Store(folder, **quotas)
        self.dispatcher = Dispatcher(self.store)
        self.worker = Worker()
        self.dispatcher.attach(self.worker)  # type: ignore[arg-type]
        self.outbox = Outbox()
        self.dispatcher.join(self.outbox)

    def submit(self, job: str, client: str = "anna", size: int = 0) -> None:
        image = {"image": Tensor((size,), bytes(size))} if size else {}
        order = submit(job)
        payload = frames.encode(Frame(messages.dumps(order), image))
        self.dispatcher.submit(client, order, payload, self.outbox)

    def says(self, message: Message, image: bool = False) -> None:
        tensors = {"image": Tensor((8, 16, 4), bytes(8 * 16 * 4))} if image else {}
        frame = Frame(messages.dumps(message), tensors)
        self.dispatcher.worker_said(message, frame, frames.join(frame))

    def result(self, job: str) -> Result:
        order = submit(job)
        return Result(job, order.bounds, order.canvas, FACTS, "")

    async def news(self) -> list[object]:
        items = await everything(self.outbox)
        return [item for item in items if not isinstance(item, EngineStatus)]


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


async def test_nothing_is_sent_before_the_worker_is_ready_and_then_one_at_a_time(
    bench: Bench,
) -> None:
    bench.submit("a")
    bench.submit("b")
    assert bench.worker.sent == []
    bench.says(READY)
    bench.says(READY)
    assert [m.job for m in bench.worker.sent] == ["a"]  # type: ignore[union-attr]
    bench.says(Ended("a", JobState.FAILED, "bad_input", "No."))
    assert [m.job for m in bench.worker.sent] == ["a", "b"]  # type: ignore[union-attr]


async def test_a_result_is_announced_only_when_it_is_saved(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved = asyncio.Event()
    loop = asyncio.get_running_loop()
    save = bench.store.save

    def slow(*arguments: object) -> object:
        asyncio.run_coroutine_threadsafe(saved.wait(), loop).result(PATIENCE)
        return save(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(bench.store, "save", slow)
    bench.says(READY)
    bench.submit("a")
    bench.says(bench.result("a"), image=True)
    bench.submit("a")
    assert bench.dispatcher.is_busy
    assert not any(hasattr(item, "key") for item in await bench.news())
    saved.set()
    await bench.dispatcher.settle()
    (announced,) = await bench.news()
    assert announced.key.job == "a"  # type: ignore[attr-defined]
    assert not bench.dispatcher.is_busy


async def test_while_too_many_results_wait_for_the_disk_the_next_job_waits(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_UNSAVED_BYTES", 1)
    bench.says(READY)
    bench.submit("a")
    bench.submit("b")
    bench.says(bench.result("a"), image=True)
    assert [m.job for m in bench.worker.sent] == ["a"]  # type: ignore[union-attr]
    await bench.dispatcher.settle()
    assert [m.job for m in bench.worker.sent] == ["a", "b"]  # type: ignore[union-attr]


async def test_results_are_announced_in_the_order_in_which_they_were_finished(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    save = bench.store.save

    def uneven(key: JobKey, data: bytes) -> object:
        time.sleep(0.2 if key.job == "a" else 0.0)
        return save(key, data)

    monkeypatch.setattr(bench.store, "save", uneven)
    bench.says(READY)
    for job in "abc":
        bench.submit(job)
        bench.says(bench.result(job), image=True)
    await bench.dispatcher.settle()
    announced = [item.key.job for item in await bench.news() if isinstance(item, StoredResult)]
    assert announced == ["a", "b", "c"]


async def test_what_the_worker_says_of_other_jobs_is_not_passed_on(bench: Bench) -> None:
    bench.says(READY)
    bench.submit("a")
    await bench.news()
    for message in (Progress("b", 1, 2), Ended("b", JobState.FAILED), bench.result("b")):
        bench.says(message)
    assert await bench.news() == []
    bench.says(Progress("a", 1, 2))
    assert await bench.news() == [Progress("a", 1, 2)]


async def test_a_result_that_comes_after_the_cancel_is_thrown_away(bench: Bench) -> None:
    bench.says(READY)
    bench.submit("a")
    bench.dispatcher.cancel("anna", "a", bench.outbox)
    await bench.news()
    bench.submit("b")
    assert [type(m).__name__ for m in bench.worker.sent] == ["Submit", "Cancel"]
    bench.says(bench.result("a"), image=True)
    await bench.dispatcher.settle()
    assert bench.store.jobs_of("anna") == ()
    assert [m.job for m in bench.worker.sent[2:]] == ["b"]  # type: ignore[union-attr]


async def test_too_many_waiting_jobs_are_refused_with_a_sentence(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_WAITING_JOBS", 3)
    for job in "abc":
        bench.submit(job)
    with pytest.raises(BridgeError) as told:
        bench.submit("d")
    assert told.value.code is Code.BUSY and told.value.hint
    bench.submit("a")
    bench.submit("d", client="bert")


async def test_too_many_waiting_bytes_are_refused_but_one_job_is_always_taken(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "MAX_WAITING_BYTES", 10_000)
    bench.submit("large", size=50_000)
    with pytest.raises(BridgeError):
        bench.submit("small", client="bert")
    bench.says(READY)
    bench.submit("small", client="bert")


def canvas_pixels(area: Bounds, channels: int) -> Pixels:
    """All of it is the same strip, again and again."""
    size = area.width * area.height * channels
    strip = bytes(1 << 20)
    strips = [strip] * (size >> 20) + [strip[: size & (1 << 20) - 1]]
    return Pixels((area.height, area.width, channels), strips)


@pytest.mark.parametrize(
    ("factor", "native", "controls"), [(1.1, 512, 0), (1.1, 1024, 1), (2.0, 1024, 2)]
)
async def test_there_is_room_for_all_parts_of_the_largest_picture_that_the_docker_upscales(
    factor: float, native: int, controls: int, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bench.worker, "send", lambda payload: None)
    side = int(MOST_PIXELS**0.5 / factor)
    canvas, drawn = Extent(side, side), Control(ControlKind.SCRIBBLE, ControlSource.MAP)
    request = PaintRequest("", upscale=factor, controls=(drawn,) * controls)
    parts = parts_of(canvas, Bounds.of_canvas(canvas), factor, native, PART_SIDE)
    table = JobTable()
    table.connected(messages.Welcome(1, "0", (), "", READY, ()))
    total = 0
    for number, (area, part) in enumerate(parts):
        tensors = {f"control-{n}": canvas_pixels(area, 4) for n in range(controls)}
        tensors["image"] = canvas_pixels(area, 4)
        total += sum(pixels.size for pixels in tensors.values())
        table.submit(Submit(f"part-{number}", replace(request, part=part), canvas, area), tensors)
    assert total > limits.MAX_WAITING_BYTES, "all at once it would not be taken"

    taken: list[str] = []
    bench.says(READY)
    for number in range(len(parts)):
        while (outgoing := table.next_outgoing(0.0)) is not None:
            assert isinstance(outgoing.message, Submit)
            payload = [strip for pixels in outgoing.tensors.values() for strip in pixels.strips]
            bench.dispatcher.submit("anna", outgoing.message, payload, bench.outbox)
            taken.append(outgoing.message.job)
        ended = Ended(taken[number], JobState.FAILED, "bad_input", "No.")
        bench.says(ended)
        table.received(ended)
    assert len(taken) == len(parts) and not bench.dispatcher.is_busy


async def test_with_disk_and_memory_full_new_jobs_are_refused(tmp_path: Path) -> None:
    bench = Bench(tmp_path, quota=0, memory_quota=100)
    bench.says(READY)
    bench.submit("a")
    bench.says(bench.result("a"), image=True)
    await bench.dispatcher.settle()
    with pytest.raises(BridgeError) as told:
        bench.submit("b")
    assert told.value.code is Code.DISK_FULL
    bench.dispatcher.acknowledge("anna", "a")
    bench.submit("b")


async def test_ends_are_remembered_but_not_for_ever(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_REMEMBERED_ENDS", 5)
    for number in range(20):
        bench.submit(f"job-{number}")
        bench.dispatcher.cancel("anna", f"job-{number}", bench.outbox)
    await bench.news()
    bench.dispatcher.resume("anna", "job-19", bench.outbox)
    bench.dispatcher.resume("anna", "job-0", bench.outbox)
    ended, unknown = await bench.news()
    assert isinstance(ended, Ended) and isinstance(unknown, messages.Unknown)


async def test_when_the_worker_is_given_up_nothing_waits_for_ever(bench: Bench) -> None:
    bench.submit("a")
    bench.submit("b", client="bert")
    bench.dispatcher.worker_died(WorkerExit(1, gave_up=True))
    ended = [item for item in await bench.news() if isinstance(item, Ended)]
    assert {(e.job, e.code) for e in ended} == {("a", "worker_died"), ("b", "worker_died")}
    assert bench.dispatcher.status.state is EngineState.FAILED
    bench.submit("c")
    assert bench.worker.revived == 1
    assert [type(item) for item in await bench.news()] == [Accepted]


async def test_death_by_the_system_says_that_memory_ran_out(bench: Bench) -> None:
    bench.says(READY)
    bench.submit("a")
    for _ in range(2):
        bench.dispatcher.worker_died(WorkerExit(-9, gave_up=False))
        bench.says(READY)
    ended = next(item for item in await bench.news() if isinstance(item, Ended))
    assert "memory" in ended.message and ended.hint


async def test_a_job_that_hangs_twice_fails_with_its_own_sentence(bench: Bench) -> None:
    bench.says(READY)
    bench.submit("a")
    for _ in range(2):
        bench.dispatcher.worker_died(WorkerExit(-9, gave_up=False, hung=True))
        bench.says(READY)
    ended = next(item for item in await bench.news() if isinstance(item, Ended))
    assert ended.code == "worker_died" and ended.hint
    assert ended.message == "The model process stopped answering and had to be ended."


@pytest.mark.parametrize("lets_go", [True, False])
async def test_a_worker_that_does_not_let_go_of_a_cancelled_job_is_ended(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, lets_go: bool
) -> None:
    monkeypatch.setattr(module, "LET_GO_SECONDS", 0.0)
    bench.says(READY)
    bench.submit("a")
    bench.dispatcher.cancel("anna", "a", bench.outbox)
    if lets_go:
        bench.says(Ended("a", JobState.CANCELLED, "cancelled"))
    later = asyncio.Event()
    asyncio.get_running_loop().call_later(0.0, later.set)  # timers run in the order of their times
    await later.wait()
    assert bench.worker.killed == (0 if lets_go else 1)


async def test_who_has_left_is_told_nothing_more(bench: Bench) -> None:
    bench.says(READY)
    bench.submit("a")
    await bench.news()
    bench.dispatcher.leave("anna", bench.outbox)
    bench.says(Progress("a", 1, 2))
    bench.says(EngineStatus(EngineState.BUSY, "Painting."))
    bench.says(bench.result("a"), image=True)
    await bench.dispatcher.settle()
    assert await bench.news() == [] and bench.outbox.waiting_bytes == 0
    assert bench.store.jobs_of("anna") == ("a",)

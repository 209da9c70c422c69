"""Live pictures beside jobs and beside each other, with a worker that only remembers."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from pathlib import Path

import pytest

from bridge.live.desk import LiveDesk
from bridge.live.economy import TARGET_SECONDS
from bridge.server import dispatcher as module
from krita_plugin.krita_bridge.wire.messages import (
    Cancel,
    Ended,
    EngineState,
    EngineStatus,
    JobState,
    Result,
    Submit,
)
from tests.bridge_process import PATIENCE
from tests.unit.live.test_desk import AREA, CANVAS, Painter
from tests.unit.server.test_dispatcher import FACTS, READY, Bench

CANCELLED = Ended("", JobState.CANCELLED, "cancelled")
PAINTING = EngineStatus(EngineState.BUSY, "Painting.")


class Krita(Painter):
    """A client that paints live, through the dispatcher."""

    def __init__(self, bench: Bench, name: str) -> None:
        super().__init__(name)
        self.dispatcher = bench.dispatcher

    def change(self) -> None:
        self.revision += 1
        self.dispatcher.paint_live(self.name, self, self)  # type: ignore[arg-type]


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    made = Bench(tmp_path)
    made.says(READY)
    return made


@pytest.fixture
def anna(bench: Bench) -> Krita:
    return Krita(bench, "anna")


@pytest.fixture
def berta(bench: Bench) -> Krita:
    return Krita(bench, "berta")


def submitted(bench: Bench) -> list[str]:
    """Whose pictures and which jobs the worker was given, in order."""
    return [m.request.prompt or m.job for m in bench.worker.sent if isinstance(m, Submit)]


def last(bench: Bench) -> Submit:
    return [m for m in bench.worker.sent if isinstance(m, Submit)][-1]


def finish(bench: Bench, seconds: float = 0.01) -> None:
    facts = replace(FACTS, seconds=seconds)
    bench.says(Result(last(bench).job, AREA, CANVAS, facts, ""), image=True)


async def test_two_kritas_that_both_edit_all_the_time_get_every_second_picture(
    bench: Bench, anna: Krita, berta: Krita
) -> None:
    anna.change()
    berta.change()
    for _ in range(6):
        bench.says(PAINTING)
        for krita in (anna, berta):
            krita.change()
            krita.change()
        if any(m == Cancel(last(bench).job) for m in bench.worker.sent):
            bench.says(replace(CANCELLED, job=last(bench).job))
        else:
            finish(bench)
    assert submitted(bench) == ["anna", "berta"] * 3 + ["anna"]


async def test_an_edit_of_one_krita_does_not_cancel_the_picture_of_another(
    bench: Bench, anna: Krita, berta: Krita
) -> None:
    anna.change()
    berta.change()
    assert not any(isinstance(m, Cancel) for m in bench.worker.sent)
    finish(bench)
    assert submitted(bench) == ["anna", "berta"]


async def test_a_job_interrupts_a_live_picture_and_goes_before_all_that_wait(
    bench: Bench, anna: Krita, berta: Krita
) -> None:
    anna.change()
    berta.change()
    live = last(bench).job
    bench.says(PAINTING)
    bench.submit("job")
    assert bench.worker.sent[-1] == Cancel(live)
    bench.says(replace(CANCELLED, job=live))
    assert last(bench).job == "job"
    bench.says(Ended("job", JobState.FAILED, "bad_input", "No."))
    assert last(bench).request.prompt == "anna"
    finish(bench)
    assert last(bench).request.prompt == "berta"


async def test_an_edit_while_a_job_is_painted_waits_for_it(bench: Bench, anna: Krita) -> None:
    bench.submit("job")
    anna.change()
    assert [type(m) for m in bench.worker.sent] == [Submit] and last(bench).job == "job"


async def test_that_a_live_picture_is_painted_is_no_news(bench: Bench, anna: Krita) -> None:
    anna.change()
    bench.says(PAINTING)
    assert bench.dispatcher.status == READY


async def test_an_edit_while_the_model_loads_is_not_what_breaks_that_off(
    bench: Bench, anna: Krita
) -> None:
    anna.change()
    anna.change()
    assert not any(isinstance(m, Cancel) for m in bench.worker.sent)
    bench.says(PAINTING)
    assert bench.worker.sent[-1] == Cancel(last(bench).job)


@pytest.mark.parametrize("lets_go", [True, False])
async def test_a_worker_that_does_not_let_go_of_a_live_picture_is_ended(
    bench: Bench, anna: Krita, monkeypatch: pytest.MonkeyPatch, lets_go: bool
) -> None:
    monkeypatch.setattr(module, "LET_GO_SECONDS", 0.0)
    anna.change()
    live = last(bench).job
    bench.dispatcher.stop_live("anna", anna)  # type: ignore[arg-type]
    if lets_go:
        bench.says(replace(CANCELLED, job=live))
    later = asyncio.Event()
    asyncio.get_running_loop().call_later(0.0, later.set)  # timers run in the order of their times
    await later.wait()
    assert bench.worker.killed == (0 if lets_go else 1)


async def test_time_counts_from_when_the_worker_begins_to_paint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0.0]
    monkeypatch.setattr(module, "LiveDesk", lambda: LiveDesk(lambda: now[0]))
    bench = Bench(tmp_path)
    anna = Krita(bench, "anna")
    bench.says(READY)
    anna.change()
    bench.says(EngineStatus(EngineState.BUSY, "Painting."))
    now[0] = 100 * TARGET_SECONDS
    anna.change()
    bench.says(replace(CANCELLED, job=last(bench).job))
    assert last(bench).request.steps == 2


async def test_the_full_picture_is_begun_by_itself_once_the_pen_has_rested(
    bench: Bench, anna: Krita
) -> None:
    for _ in range(2):
        anna.change()
        finish(bench, 100 * TARGET_SECONDS)
    assert [m.request.steps for m in bench.worker.sent if isinstance(m, Submit)] == [8, 2]
    until = time.monotonic() + PATIENCE
    while len(bench.worker.sent) < 3 and time.monotonic() < until:
        await asyncio.sleep(0.01)
    assert last(bench).request == anna.latest.request

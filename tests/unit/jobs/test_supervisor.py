"""Supervision of real child processes: small Python programs instead of a worker."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bridge.jobs import supervisor as module
from bridge.jobs.supervisor import DEATHS_IN_A_ROW, Supervisor, WorkerExit
from krita_plugin.krita_bridge.wire.frames import Frame
from krita_plugin.krita_bridge.wire.messages import EngineState, EngineStatus, Message
from tests.bridge_process import PATIENCE

SPEAKS = """
import os, sys, time
from bridge.jobs.pipes import write_frame, read_frame
from krita_plugin.krita_bridge.wire.frames import Frame, encode
from krita_plugin.krita_bridge.wire.messages import EngineState, EngineStatus, dumps
source, sink = open(0, "rb", buffering=0), open(1, "wb", buffering=0)
def say(text):
    write_frame(sink, encode(Frame(dumps(EngineStatus(EngineState.READY, text)), {})))
"""


class Listener:
    """Remembers what it is told."""

    def __init__(self) -> None:
        self.starts = 0
        self.said: list[str] = []
        self.exits: list[WorkerExit] = []
        self.has_job_in_hand = False
        self.changed = asyncio.Event()

    def worker_starting(self) -> None:
        self.starts += 1
        self.changed.set()

    def worker_said(self, message: Message, frame: Frame, data: bytes) -> None:
        assert isinstance(message, EngineStatus) and message.state is EngineState.READY
        self.said.append(message.sentence)
        self.changed.set()

    def worker_died(self, exit_: WorkerExit) -> None:
        self.exits.append(exit_)
        self.changed.set()

    async def until_exits(self, count: int) -> None:
        await self._until(lambda: len(self.exits) >= count)

    async def until_said(self, count: int) -> None:
        await self._until(lambda: len(self.said) >= count)

    async def _until(self, condition: object) -> None:
        async with asyncio.timeout(PATIENCE):
            while not condition():  # type: ignore[operator]
                self.changed.clear()
                await self.changed.wait()


def supervising(
    program: str, listener: Listener
) -> contextlib.AbstractAsyncContextManager[Supervisor]:
    return running(Supervisor([sys.executable, "-c", program], listener))


@contextlib.asynccontextmanager
async def running(supervisor: Supervisor) -> AsyncIterator[Supervisor]:
    task = asyncio.create_task(supervisor.run())
    try:
        yield supervisor
    finally:
        await supervisor.stop()
        await asyncio.wait_for(task, PATIENCE)


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_PAUSES", (0.0, 0.0, 0.0))


async def test_what_is_sent_arrives_and_what_is_said_is_told() -> None:
    listener = Listener()
    echo = SPEAKS + "while (data := read_frame(source)) is not None: say(data.decode())"
    async with supervising(echo, listener) as supervisor:
        while supervisor.pid is None:
            await asyncio.sleep(0.01)
        supervisor.send([b"one ", b"two"])
        supervisor.send([b"x" * 200_000])
        await listener.until_said(2)
    assert listener.said == ["one two", "x" * 200_000]
    assert listener.exits == [], "being stopped is not dying"


async def test_a_worker_that_never_gets_ready_is_given_up_and_can_be_revived() -> None:
    listener = Listener()
    async with supervising("import sys; sys.exit(7)", listener) as supervisor:
        await listener.until_exits(DEATHS_IN_A_ROW)
        await asyncio.sleep(0.2)
        assert listener.exits == [WorkerExit(7, False)] * (DEATHS_IN_A_ROW - 1) + [
            WorkerExit(7, True)
        ]
        supervisor.revive()
        await listener.until_exits(DEATHS_IN_A_ROW + 1)
        assert listener.exits[-1].gave_up


async def test_deaths_with_a_job_in_hand_are_the_jobs_fault_and_no_crash_loop() -> None:
    listener = Listener()
    listener.has_job_in_hand = True
    async with supervising("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", listener):
        await listener.until_exits(DEATHS_IN_A_ROW + 2)
    assert not any(exit_.gave_up for exit_ in listener.exits)
    assert {exit_.code for exit_ in listener.exits} == {-9}


@pytest.mark.parametrize(
    "garbage",
    ["b'\\xff' * 64", "(5).to_bytes(8, 'little') + b'hello'", "b'Loading checkpoint shards\\n'"],
)
async def test_a_worker_that_sends_garbage_is_replaced(garbage: str) -> None:
    listener = Listener()
    program = f"import os, time; os.write(1, {garbage}); time.sleep(60)"
    async with supervising(program, listener):
        await listener.until_exits(2)
    assert listener.starts >= 2


async def test_a_worker_that_ignores_the_end_of_its_input_is_killed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "_STOP_SECONDS", 0.2)
    listener = Listener()
    async with supervising(SPEAKS + "say('here'); time.sleep(600)", listener) as supervisor:
        await listener.until_said(1)
        pid = supervisor.pid
    assert pid is not None
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


@pytest.mark.parametrize("turns", [0, 1, 2, 3])
async def test_stopped_while_the_worker_is_being_started_it_ends_nevertheless(turns: int) -> None:
    """So soon there is no process to end yet, and the one that comes beats on: it once lived for ever."""
    supervisor = Supervisor(
        [sys.executable, "-c", SPEAKS + "say('here'); time.sleep(600)"], Listener()
    )
    task = asyncio.create_task(supervisor.run())
    for _ in range(turns):
        await asyncio.sleep(0)
    await supervisor.stop()
    await asyncio.wait_for(task, PATIENCE)
    assert supervisor.pid is None


async def test_a_worker_that_falls_silent_is_ended_and_started_again() -> None:
    listener = Listener()
    program = SPEAKS + "import signal; say('here'); os.kill(os.getpid(), signal.SIGSTOP)"
    supervisor = Supervisor([sys.executable, "-c", program], listener, silence_seconds=0.5)
    async with running(supervisor):
        await listener.until_exits(2)
    assert {exit_.hung for exit_ in listener.exits} == {True}


async def test_a_worker_can_be_ended_and_is_started_again() -> None:
    listener = Listener()
    async with supervising(SPEAKS + "say('here'); time.sleep(3600)", listener) as supervisor:
        await listener.until_said(1)
        supervisor.kill()
        await listener.until_said(2)
    assert listener.exits == [WorkerExit(-9, gave_up=False, hung=False)]


async def test_a_program_that_does_not_exist_is_a_crash_loop_not_an_error(tmp_path: Path) -> None:
    listener = Listener()
    supervisor = Supervisor([str(tmp_path / "nothing")], listener)
    task = asyncio.create_task(supervisor.run())
    await listener.until_exits(DEATHS_IN_A_ROW)
    assert listener.exits[-1].gave_up
    await supervisor.stop()
    await asyncio.wait_for(task, PATIENCE)


async def test_stderr_goes_to_the_log_line_by_line(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    listener = Listener()
    program = "import sys; sys.stderr.write('one\\rtwo\\n' + 'x' * 30000 + '\\nlast'); sys.exit(3)"
    async with supervising(program, listener):
        await listener.until_exits(1)
    lines = [r.getMessage() for r in caplog.records if r.getMessage().startswith("worker: ")]
    assert lines[:2] == ["worker: one", "worker: two"]
    assert "".join(line.removeprefix("worker: ") for line in lines).count("x") >= 30000
    assert "worker: last" in lines

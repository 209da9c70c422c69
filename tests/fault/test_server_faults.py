"""Killing, cutting, stalling and filling up: what must survive does."""

from __future__ import annotations

import asyncio
import os
import random
import signal
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from krita_plugin.krita_bridge.wire import frames, messages
from krita_plugin.krita_bridge.wire.frames import Frame, Tensor
from krita_plugin.krita_bridge.wire.messages import (
    Accepted,
    Acknowledge,
    Cancel,
    Ended,
    EngineState,
    EngineStatus,
    Fault,
    JobState,
    Progress,
    Result,
    Resume,
    Submit,
    Unknown,
)
from krita_plugin.krita_bridge.wire.runfile import RunFile
from tests.bridge_process import BareClient, BridgeProcess, client, submit
from tests.raw_socket import upgraded, websocket_frame

MIB = 1 << 20


@pytest.fixture
def process(tmp_path: Path) -> Iterator[BridgeProcess]:
    running = BridgeProcess(tmp_path)
    try:
        running.wait_until_listening()
        yield running
    finally:
        running.kill()


@pytest.fixture
def bridge(process: BridgeProcess) -> RunFile:
    return process.wait_until_listening()


def worker_of(process: BridgeProcess) -> int:
    (worker,) = psutil.Process(process.process.pid).children()
    return worker.pid


async def test_a_worker_killed_mid_job_starts_again_with_the_same_job(
    process: BridgeProcess, bridge: RunFile
) -> None:
    async with client(bridge) as painter:
        await painter.send(submit("job", "steps=10 pause=0.1", seed=9))
        await painter.send(submit("after"))
        await painter.until(Progress)
        os.kill(worker_of(process), signal.SIGKILL)
        message, frame = await painter.until(Result, Ended)
        assert isinstance(message, Result) and message.job == "job"
        assert bytes(frame.tensors["image"].data)[0] == 9
        assert (await painter.until(Result))[0].job == "after"  # type: ignore[union-attr]


async def test_a_job_that_kills_its_worker_twice_fails_with_a_sentence_and_the_line_goes_on(
    bridge: RunFile,
) -> None:
    async with client(bridge) as painter:
        for job, prompt in (("one", "die"), ("two", "die"), ("three", "lost"), ("good", "")):
            await painter.send(submit(job, prompt))
        for job in ("one", "two", "three"):
            ended, _ = await painter.until(Ended, Result)
            assert isinstance(ended, Ended) and ended.job == job
            assert (ended.state, ended.code) == (JobState.FAILED, "worker_died")
            assert ended.message.endswith(".") and ended.hint.endswith(".")
        assert (await painter.until(Ended, Result))[0].job == "good"  # type: ignore[union-attr]


async def test_a_job_whose_worker_died_once_succeeds(bridge: RunFile, tmp_path: Path) -> None:
    async with client(bridge) as painter:
        await painter.send(submit("job", f"die-once={tmp_path / 'died'}"))
        assert isinstance((await painter.until(Result, Ended))[0], Result)
    assert (tmp_path / "died").exists()


async def test_cancelling_the_job_whose_worker_just_died_does_not_run_it_again(
    process: BridgeProcess, bridge: RunFile
) -> None:
    async with client(bridge) as painter:
        await painter.send(submit("job", "steps=50 pause=0.1"))
        await painter.until(Progress)
        await painter.send(Cancel("job"))
        await painter.until(Ended)
        os.kill(worker_of(process), signal.SIGKILL)
        await painter.send(submit("next"))
        message, _ = await painter.until(Result, Ended)
        assert isinstance(message, Result) and message.job == "next"
        assert not [m for m in await painter.sync() if getattr(m, "job", "") == "job"]


async def test_a_worker_that_cannot_start_is_said_so_and_a_later_job_tries_again(
    tmp_path: Path,
) -> None:
    mended = tmp_path / "mended"
    process = BridgeProcess(tmp_path / "home", "--broken-unless", str(mended))
    try:
        async with client(process.wait_until_listening()) as painter:
            await painter.send(submit("job"))
            ended, _ = await painter.until(Ended, Result)
            assert isinstance(ended, Ended) and ended.code == "worker_died"
            async with client(process.wait_until_listening(), "other") as other:
                assert other.welcome is not None
                assert other.welcome.status.state is EngineState.FAILED
                assert other.welcome.status.sentence.endswith(".")
            mended.touch()
            await painter.send(submit("again"))
            assert isinstance((await painter.until(Ended, Result))[0], Result)
    finally:
        process.kill()
    assert "this worker never starts" in (tmp_path / "home" / "log" / "bridge.log").read_text()


async def test_kill_9_of_the_bridge_loses_no_finished_result(tmp_path: Path) -> None:
    process = BridgeProcess(tmp_path)
    async with client(process.wait_until_listening()) as painter:
        await painter.send(submit("done", seed=3))
        _, first = await painter.until(Result)
        await painter.send(submit("running", "steps=50 pause=0.1", seed=4))
        await painter.until(Progress)
        process.kill()
    process = BridgeProcess(tmp_path)
    try:
        async with client(process.wait_until_listening()) as painter:
            assert painter.welcome is not None and painter.welcome.unacknowledged == ("done",)
            await painter.send(Resume(("done", "running")))
            answers = [await painter.until(Result, Unknown, Accepted) for _ in range(2)]
            again = next(frame for message, frame in answers if isinstance(message, Result))
            assert bytes(again.tensors["image"].data) == bytes(first.tensors["image"].data)
            assert Unknown("running") in [message for message, _ in answers]
            await painter.send(submit("running", "steps=2", seed=4))
            message, _ = await painter.until(Result, Ended)
            assert message.job == "running"  # type: ignore[union-attr]
    finally:
        process.kill()


@pytest.mark.slow
async def test_a_bridge_killed_again_and_again_delivers_every_job_once(tmp_path: Path) -> None:
    chance = random.Random(7)
    wanted = {f"job-{n}": submit(f"job-{n}", "steps=4 pause=0.02", seed=n) for n in range(12)}
    delivered: dict[str, int] = {}
    for _ in range(30):
        if len(delivered) == len(wanted):
            break
        process = BridgeProcess(tmp_path)
        try:
            async with client(process.wait_until_listening()) as painter:
                assert painter.welcome is not None
                assert not set(painter.welcome.unacknowledged) & set(delivered)
                killing = asyncio.get_running_loop().call_later(
                    chance.uniform(0.8, 2.5), process.process.kill
                )
                await _work_off(painter, wanted, delivered)
                killing.cancel()
        except (AssertionError, ConnectionError) as cut:
            assert process.process.poll() is not None or "CLOSE" in str(cut), cut
        finally:
            process.kill()
    assert delivered == {job: order.request.seed for job, order in wanted.items()}


async def _work_off(
    painter: BareClient, wanted: dict[str, Submit], delivered: dict[str, int]
) -> None:
    await painter.send(Resume(tuple(job for job in wanted if job not in delivered)))
    while len(delivered) < len(wanted):
        message, frame = await painter.until(Unknown, Result)
        if isinstance(message, Unknown):
            await painter.send(wanted[message.job])
        elif isinstance(message, Result):
            assert message.job not in delivered, "a result that was acknowledged came again"
            await painter.send(Acknowledge(message.job))
            await painter.sync()
            delivered[message.job] = bytes(frame.tensors["image"].data)[0]


async def test_a_client_that_stops_reading_costs_bounded_memory_and_loses_no_result(
    process: BridgeProcess, bridge: RunFile
) -> None:
    server = psutil.Process(process.process.pid)
    side, count = 1024, 30
    async with client(bridge, "other") as other, client(bridge, "stalled") as stalled:
        await other.send(submit("warm-up", "steps=3 pause=0.12", side, side))
        await other.until(Result)
        before = peak = server.memory_info().rss
        for number in range(count):
            await stalled.send(submit(f"job-{number}", "steps=2 pause=0.11", side, side))
        waiting = {f"job-{number}" for number in range(count)}
        while len(list(process.home.glob("results/stalled-*/*.frame"))) < count:
            await asyncio.sleep(0.05)
            peak = max(peak, server.memory_info().rss)
        await other.sync()
        print(f"grew by {(peak - before) / MIB:.1f} MiB")
        assert peak - before <= 64 * MIB, f"{(peak - before) / MIB:.0f} MiB for a stalled client"
        while waiting:
            message, frame = await stalled.until(Result)
            assert frame.tensors["image"].shape == (side, side, 4)
            waiting.discard(message.job)  # type: ignore[union-attr]


def test_a_client_that_has_gone_to_sleep_is_let_go(tmp_path: Path) -> None:
    process = BridgeProcess(tmp_path, "--heartbeat-seconds", "1")
    try:
        with upgraded(process.wait_until_listening()) as raw:
            hello = messages.dumps(messages.Hello(1, "asleep", "asleep")).encode()
            raw.sendall(websocket_frame(1, hello))
            got = b""
            while chunk := raw.recv(4096):
                got += chunk
        assert b"welcome" in got and b"\x89\x00" in got, "it was pinged before it was let go"
    finally:
        process.kill()


async def test_when_nothing_can_be_written_results_are_delivered_from_memory_and_said_loudly(
    tmp_path: Path,
) -> None:
    (tmp_path / "results").write_text("a file where the folder should be")
    process = BridgeProcess(tmp_path)
    try:
        async with client(process.wait_until_listening()) as painter:
            await painter.send(submit("job", seed=8))
            told, _ = await painter.until(Fault, Result)
            assert isinstance(told, Fault) and (told.code, told.job) == ("disk_full", "")
            assert str(tmp_path) in told.hint
            _, frame = await painter.until(Result)
            assert bytes(frame.tensors["image"].data)[0] == 8
        async with client(process.wait_until_listening()) as painter:
            assert painter.welcome is not None and painter.welcome.unacknowledged == ("job",)
            (tmp_path / "results").unlink()
        assert await asyncio.to_thread(process.terminate) == 0
    finally:
        process.kill()
    assert len(list(tmp_path.glob("results/painter-*/job-*.frame"))) == 1, (
        "saved at the last chance"
    )


async def test_connections_cut_at_any_byte_of_a_submit_leave_the_bridge_whole(
    bridge: RunFile,
) -> None:
    image = Tensor((64, 64, 4), bytes(64 * 64 * 4))
    hello = messages.dumps(messages.Hello(1, "cut", "cut")).encode()
    whole = frames.join(Frame(messages.dumps(submit("cut", "", 64, 64)), {"image": image}))
    stream = websocket_frame(1, hello) + websocket_frame(2, whole)
    cuts = sorted({*range(0, len(stream), len(stream) // 40), 1, len(stream) - 1, len(stream)})
    for cut in cuts:
        with await asyncio.to_thread(upgraded, bridge) as raw:
            raw.sendall(stream[:cut])
    async with client(bridge, "cut") as painter:
        await painter.send(submit("cut", "", 64, 64), ("image", image))
        assert isinstance((await painter.until(Result, Ended))[0], Result)
        assert await _status_is_sane(painter)


async def _status_is_sane(painter: BareClient) -> bool:
    seen = await painter.sync()
    return all(not isinstance(m, EngineStatus) or m.state is not EngineState.FAILED for m in seen)

"""Killing, cutting, stalling and filling up: what must survive does."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
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
from tests.bridge_process import BareClient, BridgeProcess, bridge_process, client, submit
from tests.raw_socket import upgraded, websocket_frame

MIB = 1 << 20


def worker_of(process: BridgeProcess) -> int:
    (worker,) = psutil.Process(process.process.pid).children()
    return worker.pid


async def test_a_worker_killed_mid_job_starts_again_with_the_same_job(
    process: BridgeProcess, bridge: RunFile, tmp_path: Path
) -> None:
    async with client(bridge) as painter:
        await painter.send(submit("job", f"hold={tmp_path / 'go'}", seed=9))
        await painter.send(submit("after"))
        await painter.until(Progress)
        os.kill(worker_of(process), signal.SIGKILL)
        (tmp_path / "go").touch()
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


@pytest.mark.slow
async def test_a_worker_that_hangs_is_replaced_and_one_that_takes_long_is_not(
    tmp_path: Path,
) -> None:
    silence = 12.0
    with bridge_process(tmp_path, "--silence-seconds", str(silence)) as process:
        async with client(process.wait_until_listening()) as painter:
            await painter.send(submit("job", f"hold={tmp_path / 'go'}", seed=9))
            await painter.until(Progress)
            worker = worker_of(process)
            await asyncio.sleep(1.5 * silence)
            assert worker_of(process) == worker, "it was only slow"
            os.kill(worker, signal.SIGSTOP)
            (tmp_path / "go").touch()
            message, frame = await painter.until(Result, Ended)
            assert isinstance(message, Result)
            assert bytes(frame.tensors["image"].data)[0] == 9
            assert worker_of(process) != worker


async def test_cancelling_the_job_whose_worker_just_died_does_not_run_it_again(
    process: BridgeProcess, bridge: RunFile, tmp_path: Path
) -> None:
    async with client(bridge) as painter:
        await painter.send(submit("job", f"hold={tmp_path / 'never'}"))
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
    with bridge_process(tmp_path / "home", "--broken-unless", str(mended)) as process:
        run_file = process.wait_until_listening()
        async with client(run_file) as painter:
            await painter.send(submit("job"))
            ended, _ = await painter.until(Ended, Result)
            assert isinstance(ended, Ended) and ended.code == "worker_died"
            async with client(run_file, "other") as other:
                assert other.welcome is not None
                assert other.welcome.status.state is EngineState.FAILED
                assert other.welcome.status.sentence.endswith(".")
            mended.touch()
            await painter.send(submit("again"))
            assert isinstance((await painter.until(Ended, Result))[0], Result)
    assert "this worker never starts" in (tmp_path / "home" / "log" / "bridge.log").read_text()


async def test_kill_9_of_the_bridge_loses_no_finished_result(tmp_path: Path) -> None:
    with bridge_process(tmp_path) as process:
        async with client(process.wait_until_listening()) as painter:
            await painter.send(submit("done", seed=3))
            _, first = await painter.until(Result)
            await painter.send(submit("running", f"hold={tmp_path / 'never'}", seed=4))
            await painter.until(Progress)
            process.kill()
    with bridge_process(tmp_path) as process:
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


@pytest.mark.slow
async def test_a_bridge_killed_again_and_again_delivers_every_job_once(tmp_path: Path) -> None:
    """Each time after some messages, not after some time: so it gets ahead on any machine."""
    chance = random.Random(7)
    wanted = {f"job-{n}": submit(f"job-{n}", "steps=4 pause=0.02", seed=n) for n in range(12)}
    delivered: dict[str, int] = {}
    kills = 0
    while len(delivered) < len(wanted):
        assert kills < 60, f"only {len(delivered)} of {len(wanted)} were delivered"
        with bridge_process(tmp_path) as process:
            try:
                async with client(process.wait_until_listening()) as painter:
                    assert painter.welcome is not None
                    assert not set(painter.welcome.unacknowledged) & set(delivered)
                    left = chance.randint(3, 11)  # fewer than there are jobs
                    await _work_off(painter, wanted, delivered, left)
                    await asyncio.sleep(chance.uniform(0.0, 0.02))
                    process.kill()
                    kills += 1
            except ConnectionError:
                assert process.process.poll() is not None
    assert kills > 1
    assert delivered == {job: order.request.seed for job, order in wanted.items()}


async def _work_off(
    painter: BareClient, wanted: dict[str, Submit], delivered: dict[str, int], left: int
) -> None:
    """Ask for what is missing, submit what is unknown; return after `left` news of jobs, or when all are here."""
    seeds: dict[str, int] = {}
    await painter.send(Resume(tuple(job for job in wanted if job not in delivered)))
    while left > 0 and len(delivered) < len(wanted):
        message, frame = await painter.until(Unknown, Progress, Result)
        if isinstance(message, Result):
            assert message.job not in delivered, "a result that was acknowledged came again"
            seeds[message.job] = bytes(frame.tensors["image"].data)[0]
            await painter.send(Acknowledge(message.job))
            await painter.send(Resume((f"after-{message.job}",)))
        elif isinstance(message, Unknown) and message.job in wanted:
            await painter.send(wanted[message.job])
        elif isinstance(message, Unknown):  # so the bridge has read the acknowledgement before it
            job = message.job.removeprefix("after-")
            delivered[job] = seeds[job]
        left -= not isinstance(message, Unknown)


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
    with (
        bridge_process(tmp_path, "--heartbeat-seconds", "1") as process,
        upgraded(process.wait_until_listening()) as raw,
        contextlib.suppress(ConnectionResetError),
    ):
        got = b""
        while chunk := raw.recv(4096):
            got += chunk
    # Without a hello it would be shown out as well, in words, but not before it had slept for long.
    assert b"\x89\x00" in got and b"did not say hello" not in got


async def test_when_nothing_can_be_written_results_are_delivered_from_memory_and_said_loudly(
    tmp_path: Path,
) -> None:
    (tmp_path / "results").write_text("a file where the folder should be")
    with bridge_process(tmp_path) as process:
        run_file = process.wait_until_listening()
        async with client(run_file) as painter:
            await painter.send(submit("job", seed=8))
            told, _ = await painter.until(Fault, Result)
            assert isinstance(told, Fault) and (told.code, told.job) == ("disk_full", "")
            assert str(tmp_path) in told.hint
            _, frame = await painter.until(Result)
            assert bytes(frame.tensors["image"].data)[0] == 8
        async with client(run_file) as painter:
            assert painter.welcome is not None and painter.welcome.unacknowledged == ("job",)
            (tmp_path / "results").unlink()
        assert await asyncio.to_thread(process.terminate) == 0
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

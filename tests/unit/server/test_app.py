"""Starting and stopping the serve process."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bridge.errors import BridgeError, Code
from bridge.server import app
from krita_plugin.krita_bridge.wire.messages import Ended, Progress
from krita_plugin.krita_bridge.wire.runfile import read_run_file
from tests.bridge_process import ROOT, BridgeProcess, client, submit, wait_for


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()


def children(pid: int) -> list[int]:
    listed = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    return [int(child) for child in listed.split()]


def test_it_listens_before_it_has_imported_anything_heavy() -> None:
    program = (
        "import sys, bridge.server.app\n"
        "print([m for m in ('aiohttp', 'numpy', 'torch', 'diffusers') if m in sys.modules])"
    )
    told = subprocess.check_output([sys.executable, "-c", program], cwd=ROOT, text=True)
    assert told.strip() == "[]"


def test_the_serve_process_never_imports_torch_or_numpy() -> None:
    program = (
        "import sys, bridge.server.app, bridge.server.service, bridge.server.session\n"
        "from bridge.presets import load_presets; load_presets(None)\n"
        "print([m for m in ('numpy', 'torch', 'diffusers', 'transformers', 'PIL') if m in sys.modules])"
    )
    told = subprocess.check_output([sys.executable, "-c", program], cwd=ROOT, text=True)
    assert told.strip() == "[]"


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="needs /proc")
async def test_krita_bridge_serve_itself_loads_no_torch(tmp_path: Path) -> None:
    process = BridgeProcess(
        tmp_path, command=(sys.executable, "-m", "bridge.cli", "serve", "--home")
    )
    try:
        async with client(process.wait_until_listening()) as painter:
            await painter.sync()
            maps = Path(f"/proc/{process.process.pid}/maps").read_text()
            assert "aiohttp" in maps, "its C parser is there, so the map is the right one"
            assert "torch" not in maps and "numpy" not in maps
    finally:
        process.kill()


@pytest.mark.parametrize("name", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_ends_it_cleanly_even_while_a_job_runs(
    tmp_path: Path, name: signal.Signals
) -> None:
    process = BridgeProcess(tmp_path)
    try:
        async with client(process.wait_until_listening()) as painter:
            await painter.send(submit("long", "steps=1000 pause=0.1"))
            await painter.until(Progress)
            workers = children(process.process.pid)
            process.process.send_signal(name)
            closing = await painter.socket.raw.receive()
            while closing.type.name in ("TEXT", "BINARY"):
                closing = await painter.socket.raw.receive()
            assert closing.data == 1001
        assert await asyncio.to_thread(process.wait) == 0
    finally:
        process.kill()
    assert not (tmp_path / "run.json").exists()
    assert len(workers) == 1 and not is_alive(workers[0])


async def test_the_worker_leaves_when_the_bridge_is_killed(tmp_path: Path) -> None:
    process = BridgeProcess(tmp_path)
    async with client(process.wait_until_listening()) as painter:
        await painter.send(submit("long", "steps=1000 pause=5"))
        await painter.sync()
        (worker,) = children(process.process.pid)
        await asyncio.sleep(0.5)
        process.kill()
    await asyncio.to_thread(wait_for, lambda: not is_alive(worker))


def test_a_second_bridge_in_the_same_home_is_one_clear_sentence(tmp_path: Path) -> None:
    first = BridgeProcess(tmp_path)
    try:
        run_file = first.wait_until_listening()
        with pytest.raises(BridgeError) as told:
            app.serve(tmp_path)
        assert told.value.code is Code.BUSY
        assert str(run_file.port) in told.value.message and str(run_file.pid) in told.value.message
        assert read_run_file(tmp_path) == run_file, "the first one's run file is untouched"
    finally:
        first.kill()


def test_a_bridge_that_stopped_answering_is_told_apart(tmp_path: Path) -> None:
    first = BridgeProcess(tmp_path)
    try:
        first.wait_until_listening()
        first.process.send_signal(signal.SIGSTOP)
        with pytest.raises(BridgeError, match="stopped answering"):
            app.serve(tmp_path)
    finally:
        first.process.send_signal(signal.SIGCONT)
        first.kill()


def test_after_kill_9_the_next_bridge_replaces_the_run_file(tmp_path: Path) -> None:
    first = BridgeProcess(tmp_path)
    old = first.wait_until_listening()
    first.kill()
    assert read_run_file(tmp_path) == old, "kill -9 leaves it behind"
    second = BridgeProcess(tmp_path)
    try:
        new = second.wait_until_listening()
        assert new.token != old.token and new.pid == second.process.pid
        assert second.terminate() == 0
    finally:
        second.kill()


@pytest.mark.parametrize("port", ["taken", 70_000, -1])
def test_a_port_that_cannot_be_had_is_one_clear_sentence(tmp_path: Path, port: str | int) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        wanted = other.getsockname()[1] if port == "taken" else port
        with pytest.raises(BridgeError) as told:
            app.serve(tmp_path, port=int(wanted))
    assert str(wanted) in told.value.message and "--port" in told.value.hint
    assert not (tmp_path / "run.json").exists()


def test_without_clients_it_ends_by_itself(tmp_path: Path) -> None:
    process = BridgeProcess(tmp_path, "--idle-minutes", "0.01")
    try:
        process.wait_until_listening()
        assert process.wait() == 0
    finally:
        process.kill()
    assert "nobody has used" in (tmp_path / "log" / "bridge.log").read_text()


async def test_while_a_client_is_there_it_does_not_end_by_itself(tmp_path: Path) -> None:
    process = BridgeProcess(tmp_path, "--idle-minutes", "0.01")
    try:
        async with client(process.wait_until_listening()) as painter:
            await asyncio.sleep(1.5)
            await painter.sync()
        began = time.monotonic()
        assert await asyncio.to_thread(process.wait) == 0
        assert time.monotonic() - began > 0.3, "it counts from the moment the last one left"
    finally:
        process.kill()


async def test_the_log_tells_no_token_and_no_prompt(tmp_path: Path) -> None:
    process = BridgeProcess(tmp_path)
    try:
        run_file = process.wait_until_listening()
        async with client(run_file) as painter:
            await painter.send(submit("secret", "crash my-secret-prompt"))
            await painter.until(Ended)
    finally:
        process.terminate()
    log = (tmp_path / "log" / "bridge.log").read_text()
    assert "job secret failed" in log, "the worker's stderr is in it"
    assert run_file.token not in log and "my-secret-prompt" not in log
    assert (tmp_path / "log").stat().st_mode & 0o077 == 0


def test_nothing_in_a_message_can_forge_a_line_of_the_log() -> None:
    record = logging.LogRecord("n", logging.INFO, "", 0, "a\x1b[31m\rb\u202ec\ntail", None, None)
    text = app._OneLine("%(levelname)s %(message)s").format(record)
    assert text == "INFO a\\x1b[31m\\rb\\u202ec\n    tail"

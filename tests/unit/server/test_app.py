"""Starting and stopping the serve process."""

from __future__ import annotations

import asyncio
import logging
import shutil
import signal
import socket
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from bridge.errors import BridgeError, Code
from bridge.models import weights
from bridge.models.folder import EMBEDDED_FOLDER
from bridge.server import app, runfile
from bridge.server.gate import Gate
from bridge.server.service import Service, ServiceConfig
from bridge.server.session import Offer
from krita_plugin.krita_bridge.wire.limits import MAX_TEXT_BYTES
from krita_plugin.krita_bridge.wire.messages import (
    IMAGE,
    Ended,
    EngineState,
    EngineStatus,
    Hello,
    Progress,
    Result,
    Welcome,
    dumps,
    loads,
)
from krita_plugin.krita_bridge.wire.runfile import RunFile, read_run_file
from tests.bridge_process import (
    PATIENCE,
    ROOT,
    BridgeProcess,
    bridge_process,
    client,
    connected,
    submit,
)
from tests.single_file import HOLLOW_SD15, HOLLOW_SDXL, write_hollow
from tests.tiny_vaes import EMBEDDED_VAE


def worker_of(process: BridgeProcess) -> psutil.Process:
    (worker,) = psutil.Process(process.process.pid).children()
    return worker


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
    write_hollow(tmp_path / "models" / "file.safetensors", HOLLOW_SD15)
    shutil.copytree(EMBEDDED_FOLDER, tmp_path / "models" / "folder")
    process = BridgeProcess(
        tmp_path, command=(sys.executable, "-m", "bridge.cli", "serve", "--home")
    )
    try:
        async with client(process.wait_until_listening()) as painter:
            await painter.sync()
            assert painter.welcome is not None
            assert {"file", "folder"} <= {preset.name for preset in painter.welcome.presets}
            maps = Path(f"/proc/{process.process.pid}/maps").read_text()
            assert "aiohttp" in maps, "its C parser is there, so the map is the right one"
            assert "torch" not in maps and "numpy" not in maps
    finally:
        process.kill()


async def test_clients_are_let_in_while_the_models_are_still_looked_through(tmp_path: Path) -> None:
    seen = tmp_path / "seen"
    with bridge_process(tmp_path, "--offer-when", str(seen)) as process:
        async with connected(process.wait_until_listening()) as socket:  # it has proved itself
            await socket.send(dumps(Hello(1, "test", "painter")))
            seen.touch()
            welcome = loads(str(await socket.receive()))
            assert isinstance(welcome, Welcome)
            assert [preset.name for preset in welcome.presets] == ["fake"]


async def test_a_bridge_with_nothing_to_offer_ends_and_says_why(tmp_path: Path) -> None:
    def offer() -> Offer:
        raise BridgeError(Code.BAD_INPUT, "The presets that come with the bridge are broken.", "")

    config = ServiceConfig(tmp_path / "results", [sys.executable, "-m", "tests.fake_worker"], offer)
    with app._listen(0) as listening, pytest.raises(BridgeError, match="broken"):
        await Service(config, Gate(listening.getsockname()[1], "token")).run(listening)


async def test_a_checkpoint_in_the_folder_models_is_offered_and_paints(
    tmp_path: Path, sd15: Path
) -> None:
    """By the real bridge and its real engine; what is still being copied is not offered yet."""
    shutil.copytree(sd15, tmp_path / "models" / "oils" / "Mine v1.5")
    whole = write_hollow(tmp_path / "models" / "coming.safetensors", HOLLOW_SD15)
    whole.write_bytes(whole.read_bytes()[:-1])
    process = BridgeProcess(
        tmp_path, command=(sys.executable, "-m", "bridge.cli", "serve", "--home")
    )
    try:
        async with client(process.wait_until_listening()) as painter:
            assert painter.welcome is not None
            offered = {preset.name: preset for preset in painter.welcome.presets}
            assert (offered["oils/Mine v1.5"].label, offered["oils/Mine v1.5"].native) == (
                "oils/Mine v1.5",
                64,
            )
            (sentence,) = painter.welcome.skipped
            assert "coming.safetensors is incomplete" in sentence
            job = submit("one", "a boat", 64, 64)
            request = replace(job.request, preset="oils/Mine v1.5", steps=1)
            await painter.send(replace(job, request=request))
            answer, frame = await painter.until(Result, Ended)
            assert isinstance(answer, Result), answer
            assert answer.facts.preset == "oils/Mine v1.5"
            assert frame.tensors[IMAGE].shape == (64, 64, 4)
    finally:
        process.kill()


@pytest.mark.parametrize("name", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_ends_it_cleanly_even_while_a_job_runs(
    process: BridgeProcess, bridge: RunFile, tmp_path: Path, name: signal.Signals
) -> None:
    async with client(bridge) as painter:
        await painter.send(submit("long", f"hold={tmp_path / 'never'}"))
        await painter.until(Progress)
        worker = worker_of(process)
        process.process.send_signal(name)
        closing = await painter.socket.raw.receive()
        while closing.type.name in ("TEXT", "BINARY"):
            closing = await painter.socket.raw.receive()
        assert closing.data == 1001
    assert await asyncio.to_thread(process.wait) == 0
    assert not (tmp_path / "run.json").exists()
    assert not worker.is_running()


async def test_the_worker_leaves_when_the_bridge_is_killed(
    process: BridgeProcess, bridge: RunFile, tmp_path: Path
) -> None:
    async with client(bridge) as painter:
        await painter.send(submit("long", f"hold={tmp_path / 'never'}"))
        await painter.until(Progress)
        worker = worker_of(process)
        process.kill()
    await asyncio.to_thread(worker.wait, PATIENCE)


def test_a_second_bridge_in_the_same_home_is_one_clear_sentence(
    bridge: RunFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runfile, "_ANSWER_SECONDS", PATIENCE)
    with pytest.raises(BridgeError) as told:
        app.serve(tmp_path)
    assert told.value.code is Code.BUSY
    assert str(bridge.port) in told.value.message and str(bridge.pid) in told.value.message
    assert read_run_file(tmp_path) == bridge, "the first one's run file is untouched"


def test_a_bridge_that_stopped_answering_is_told_apart(
    process: BridgeProcess, bridge: RunFile, tmp_path: Path
) -> None:
    process.process.send_signal(signal.SIGSTOP)
    with pytest.raises(BridgeError, match="stopped answering"):
        app.serve(tmp_path)


def test_after_kill_9_the_next_bridge_replaces_the_run_file(
    process: BridgeProcess, bridge: RunFile, tmp_path: Path
) -> None:
    process.kill()
    assert read_run_file(tmp_path) == bridge, "kill -9 leaves it behind"
    with bridge_process(tmp_path) as second:
        new = second.wait_until_listening()
        assert new.token != bridge.token and new.pid == second.process.pid
        assert second.terminate() == 0


@pytest.mark.parametrize("port", ["taken", 70_000, -1])
def test_a_port_that_cannot_be_had_is_one_clear_sentence(tmp_path: Path, port: str | int) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        wanted = other.getsockname()[1] if port == "taken" else port
        with pytest.raises(BridgeError) as told:
            app.serve(tmp_path, port=int(wanted))
    assert str(wanted) in told.value.message and "--port" in told.value.hint
    assert not (tmp_path / "run.json").exists()


def test_without_clients_it_ends_by_itself(tmp_path: Path) -> None:
    with bridge_process(tmp_path, "--idle-minutes", "0.01") as process:
        assert process.wait() == 0
    assert "nobody has used" in (tmp_path / "log" / "bridge.log").read_text()


async def test_while_a_client_is_there_it_does_not_end_by_itself(tmp_path: Path) -> None:
    limit = 4.0
    with bridge_process(tmp_path, "--idle-minutes", str(limit / 60)) as process:
        async with client(process.wait_until_listening()) as painter:
            await asyncio.sleep(1.5 * limit)
            await painter.sync()
            leaving = time.monotonic()
        assert await asyncio.to_thread(process.wait) == 0
        assert time.monotonic() - leaving >= limit, "it counts from when the last one left"


async def test_the_log_tells_no_token_and_no_prompt(
    process: BridgeProcess, bridge: RunFile, tmp_path: Path
) -> None:
    async with client(bridge) as painter:
        await painter.send(submit("secret", "crash my-secret-prompt"))
        await painter.until(Ended)
    process.terminate()
    log = (tmp_path / "log" / "bridge.log").read_text()
    assert "job secret failed" in log, "the worker's stderr is in it"
    assert bridge.token not in log and "my-secret-prompt" not in log
    assert (tmp_path / "log").stat().st_mode & 0o077 == 0


def test_nothing_in_a_message_can_forge_a_line_of_the_log() -> None:
    record = logging.LogRecord("n", logging.INFO, "", 0, "a\x1b[31m\rb\u202ec\ntail", None, None)
    text = app._OneLine("%(levelname)s %(message)s").format(record)
    assert text == "INFO a\\x1b[31m\\rb\\u202ec\n    tail"


def test_a_preset_that_cannot_be_used_is_left_out_and_told_why(tmp_path: Path) -> None:
    text = 'label = "{0}"\nnative = 128\n[model]\nembedded = true\n[sampling]\nsteps = {1}\nguidance = 1.0\nscheduler = "ddim"\n'
    (tmp_path / "short.toml").write_text(text.format("Short", 4))
    (tmp_path / "long.toml").write_text(text.format("Long", 151))
    offer = app.offer(tmp_path, tmp_path)
    names = [preset.name for preset in offer.presets]
    assert "short" in names and "long" not in names
    (sentence,) = offer.skipped
    assert "long.toml" in sentence and "150" in sentence


def test_each_file_is_read_once_until_it_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = [
        write_hollow(tmp_path / "models" / f"{number}.safetensors", HOLLOW_SD15)
        for number in range(3)
    ]
    vae = write_hollow(tmp_path / "vaes" / "mine.safetensors", dict([list(HOLLOW_SD15.items())[1]]))
    read: list[Path] = []
    glance = weights.glance

    def counted(path: Path) -> weights.WeightsHeader:
        read.append(path)
        return glance(path)

    monkeypatch.setattr(weights, "glance", counted)
    for _ in range(2):
        offer = app.offer(tmp_path / "presets", tmp_path)
        presets, _tags = offer.now()
    assert {"0", "1", "2"} <= {preset.name for preset in presets if preset.vaes == ("mine",)}
    assert sorted(path for path in read if path in (*paths, vae)) == sorted([*paths, vae])
    write_hollow(paths[0], HOLLOW_SDXL)
    app.offer(tmp_path / "presets", tmp_path).now()
    assert [path for path in read if path == paths[0]] == [paths[0]] * 2


def test_files_that_come_later_are_offered_too(tmp_path: Path) -> None:
    offer = app.offer(tmp_path / "presets", tmp_path)
    presets = {info.name: info for info in offer.presets}
    own = ("<lora:few_steps>", "<lora:woodcut>", "<sunset-glow>")
    before = offer.with_files(presets["embedded"])
    assert (before.vaes, before.tags, offer.tags()) == ((), own, ())
    for folder, name in (("vaes", "soft"), ("loras", "my/Ink"), ("hypernetworks", "net")):
        path = tmp_path / folder / f"{name}.safetensors"
        path.parent.mkdir(parents=True)
        shutil.copy(EMBEDDED_VAE, path)
    (tmp_path / "loras" / "pickled.pt").write_bytes(b"\x80\x02}q\x00.")
    after = offer.with_files(presets["embedded"])
    assert (after.vaes, after.tags) == (("soft",), own)
    assert offer.tags() == ("<lora:my/Ink>", "<hypernet:net>")
    other = offer.with_files(presets["sd15"])
    assert (other.vaes, other.tags) == ((), ())


def test_a_welcome_holds_as_many_files_as_a_message_can(tmp_path: Path) -> None:
    (tmp_path / "loras").mkdir()
    for number in range(2100):
        (tmp_path / "loras" / f"{number:0100}.safetensors").touch()
    offer = app.offer(tmp_path / "presets", tmp_path)
    presets, tags = offer.now()
    status = EngineStatus(EngineState.READY, "Ready.")
    text = dumps(Welcome(1, "0", presets, "embedded", status, (), (), tags))
    assert len(tags) == 2000 and len(text.encode()) < MAX_TEXT_BYTES / 2


def test_a_welcome_holds_as_many_checkpoints_as_are_offered(tmp_path: Path) -> None:
    decoder = dict([tuple(HOLLOW_SD15.items())[1]])
    vae = write_hollow(tmp_path / "vaes" / f"{0:095}.safetensors", decoder)
    checkpoint = write_hollow(tmp_path / "models" / f"{0:0100}.safetensors", HOLLOW_SD15)
    for number in range(1, 201):
        checkpoint.with_name(f"{number:0100}.safetensors").hardlink_to(checkpoint)
    for number in range(1, 100):
        vae.with_name(f"{number:095}.safetensors").hardlink_to(vae)
    offer = app.offer(tmp_path / "presets", tmp_path)
    presets, _ = offer.now()
    status = EngineStatus(EngineState.READY, "Ready.")
    tags = tuple(f"<lora:{number:0100}>" for number in range(2000))
    text = dumps(Welcome(1, "0", presets, "embedded", status, (), offer.skipped, tags))
    (sentence,) = offer.skipped
    assert "more than 200 models" in sentence
    offered = [preset for preset in presets if len(preset.name) == 100]
    assert len(offered) == 200 and all(len(preset.vaes) >= 19 for preset in offered)
    assert len(text.encode()) < MAX_TEXT_BYTES

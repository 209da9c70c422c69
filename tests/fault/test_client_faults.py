"""The client's promise under faults: no result lost, none delivered twice, never stuck."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from krita_plugin.krita_bridge import client as client_module
from krita_plugin.krita_bridge import finder, link
from krita_plugin.krita_bridge.client import Client, ConnectionState
from krita_plugin.krita_bridge.launcher import Launcher
from krita_plugin.krita_bridge.wire import messages
from krita_plugin.krita_bridge.wire.geometry import Bounds, Extent
from krita_plugin.krita_bridge.wire.runfile import read_run_file
from tests.bridge_process import PATIENCE, ROOT, wait_for
from tests.cutting_proxy import Budget, CuttingProxy, cutting_proxy
from tests.ears import BOUNDS, Ears, echo, strips, submit
from tests.scripted_bridge import ScriptedBridge

SMALL = Bounds(3, 5, 16, 8)
PIXELS = bytes(i * 37 % 251 for i in range(16 * 8 * 4))
MASK = bytes([255] * (16 * 8))


@contextmanager
def running(home: Path, ears: Ears, launcher: Launcher | None = None) -> Iterator[Client]:
    client = Client("test", "client-1", ears, home, launcher)
    client.start()
    try:
        yield client
    finally:
        client.stop()
        client._thread.join(PATIENCE)
        assert not client._thread.is_alive()


@contextmanager
def proxied(home: Path, *budgets: Budget) -> Iterator[tuple[ScriptedBridge, CuttingProxy]]:
    with (
        cutting_proxy(*budgets) as proxy,
        ScriptedBridge(home, echo, public_port=proxy.port) as bridge,
    ):
        proxy.target = bridge.port
        yield bridge, proxy


def one_job(home: Path, *budgets: Budget) -> tuple[int, int]:
    """Run a job over connections that are cut; returns the bytes carried each way."""
    ears = Ears()
    with proxied(home, *budgets) as (bridge, proxy), running(home, ears) as client:
        job = messages.Submit("job-1", messages.PaintRequest("x"), Extent(50, 50), SMALL)
        client.submit(job, [PIXELS], [MASK])
        result = ears.until(messages.Result)
        assert bytes(result.image or b"") == PIXELS
        client.acknowledge("job-1")
        wait_for(lambda: not bridge.results)
        assert len(ears.heard(messages.Result)) == 1
        return proxy.carried_up, proxy.carried_down


@pytest.mark.slow
@pytest.mark.parametrize("direction", ["up", "down"])
def test_a_connection_cut_anywhere_loses_and_doubles_nothing(
    direction: str, tmp_path: Path
) -> None:
    up, down = one_job(tmp_path / "whole")
    length = up if direction == "up" else down
    assert length > 1000
    for place in range(0, length, 29):
        budget = Budget(up=place) if direction == "up" else Budget(down=place)
        one_job(tmp_path / str(place), budget)


def test_cut_again_and_again_it_still_comes_through(tmp_path: Path) -> None:
    cuts = [Budget(down=200), Budget(up=700), Budget(down=1500), Budget(up=300), Budget(down=900)]
    one_job(tmp_path, *cuts)


def test_a_lost_acknowledgement_is_repeated(tmp_path: Path) -> None:
    ears = Ears()
    with (
        ScriptedBridge(tmp_path, echo, forget_acknowledges=True) as bridge,
        running(tmp_path, ears) as client,
    ):
        client.submit(submit("job-1"), strips(4))
        ears.until(messages.Result)
        client.acknowledge("job-1")
        bridge.wait_for(messages.Acknowledge)
        bridge.forget_acknowledges = False
        bridge.cut()
        wait_for(lambda: not bridge.results)
        assert len(ears.heard(messages.Result)) == 1


def test_a_bridge_that_forgot_everything_gets_the_same_job_again(tmp_path: Path) -> None:
    ears = Ears()
    with running(tmp_path, ears) as client:
        with ScriptedBridge(tmp_path) as first:
            client.submit(submit("job-1"), strips(4), strips(1))
            first.wait_for(messages.Submit)
        ears.until_state(ConnectionState.WAITING)
        with ScriptedBridge(tmp_path, echo) as second:
            result = ears.until(messages.Result)
            assert bytes(result.image or b"") == b"".join(strips(4))
            assert second.wait_for(messages.Submit) == [submit("job-1")]


def test_a_cancelled_job_is_not_submitted_again(tmp_path: Path) -> None:
    class Deaf(ScriptedBridge):
        """Takes a cancel without an answer, as one that is killed at that moment."""

        def _answers(self, message: messages.Message, frame: object) -> list[str | bytes]:
            if isinstance(message, messages.Cancel):
                return []
            return super()._answers(message, frame)  # type: ignore[arg-type]

    ears = Ears()
    with running(tmp_path, ears) as client:
        with Deaf(tmp_path) as first:
            client.submit(submit("job-1"), strips(4))
            ears.until(messages.Accepted)
            client.cancel("job-1")
            first.wait_for(messages.Cancel)
        with Deaf(tmp_path, echo) as second:
            ended = ears.until(messages.Ended).message
            assert isinstance(ended, messages.Ended)
            assert ended.state is messages.JobState.CANCELLED
            assert second.submitted == []


def test_a_bridge_that_falls_silent_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client_module, "BEAT", 0.1)
    ears = Ears()
    with proxied(tmp_path) as (_, proxy), running(tmp_path, ears):
        ears.until_state(ConnectionState.CONNECTED)
        proxy.freeze()
        ears.until_state(ConnectionState.WAITING)
        proxy.flowing.set()
        ears.until_state(ConnectionState.CONNECTED)


def submit_large(client: Client) -> None:
    """A job of more bytes than sockets hold."""
    side = 2048
    large = Bounds(0, 0, side, side)
    job = messages.Submit("job-1", messages.PaintRequest("x"), Extent(side, side), large)
    client.submit(job, [bytes(side * side * 4)])


def test_a_bridge_that_takes_no_bytes_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(link, "SEND_PATIENCE", 1)
    monkeypatch.setattr(client_module, "BEAT", 0.2)
    ears = Ears()
    with proxied(tmp_path) as (_, proxy), running(tmp_path, ears) as client:
        ears.until_state(ConnectionState.CONNECTED)
        proxy.freeze()
        submit_large(client)
        ears.until_state(ConnectionState.WAITING)


def test_both_ends_sending_at_once_do_not_wait_for_each_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """This bridge does not read while it sends, and it sends more than sockets hold."""
    # Only an end that waits for ever may break the connection here, not a slow one.
    monkeypatch.setattr(link, "SEND_PATIENCE", 3600)
    monkeypatch.setattr(link, "HANDSHAKE_PATIENCE", PATIENCE)
    monkeypatch.setattr(client_module, "WELCOME_PATIENCE", PATIENCE)
    monkeypatch.setattr(client_module, "BEAT", PATIENCE)
    ears, earlier = Ears(), Ears()
    side = 1536
    large = Bounds(0, 0, side, side)
    first = messages.Submit("job-1", messages.PaintRequest("x"), Extent(side, side), large)
    second = messages.Submit("job-2", messages.PaintRequest("x"), Extent(side, side), large)
    pixels = [bytes(side * side * 4)]
    with ScriptedBridge(tmp_path, echo):
        with running(tmp_path, earlier) as client:
            client.submit(first, pixels)
            earlier.until(messages.Result)
        client = Client("test", "client-1", ears, tmp_path)
        client.submit(second, pixels)
        client.start()
        ears.until(messages.Result, "job-1")
        ears.until(messages.Result, "job-2")
        client.stop()
    assert ConnectionState.WAITING not in ears.states()


def test_stopping_in_the_middle_of_an_upload_ends_the_thread(tmp_path: Path) -> None:
    ears = Ears()
    with proxied(tmp_path) as (_, proxy), running(tmp_path, ears) as client:
        ears.until_state(ConnectionState.CONNECTED)
        proxy.freeze()
        submit_large(client)


def launcher(home: Path, lingers: float = 0.0) -> Launcher:
    """Starts the real serve process over a fake engine; it ends `lingers` seconds after it was told to."""
    script = (
        f"import sys, time; sys.argv = ['', {str(home)!r}, '--idle-minutes', '5']; "
        f"sys.path.insert(0, {str(ROOT)!r}); from tests.fake_bridge import main; "
        f"code = main(); time.sleep({lingers}); sys.exit(code)"
    )
    return Launcher(home, [sys.executable, "-c", script])


@pytest.mark.skipif(os.name == "nt", reason="needs SIGKILL")
def test_a_killed_bridge_is_started_again_and_the_job_goes_on(tmp_path: Path) -> None:
    ears = Ears()
    with running(tmp_path, ears, launcher(tmp_path)) as client:
        ears.until_state(ConnectionState.STARTING_BRIDGE)
        ears.until(messages.Welcome)
        first = read_run_file(tmp_path)
        job = messages.PaintRequest(f"hold={tmp_path / 'go'}")
        client.submit(messages.Submit("job-1", job, Extent(400, 300), BOUNDS), strips(4))
        ears.until(messages.Progress)
        assert first is not None
        os.kill(first.pid, signal.SIGKILL)
        ears.until_state(ConnectionState.STARTING_BRIDGE)
        (tmp_path / "go").touch()
        result = ears.until(messages.Result)
        assert isinstance(result.message, messages.Result)
        client.acknowledge("job-1")
        second = read_run_file(tmp_path)
    assert second is not None and second.pid != first.pid
    assert len(ears.heard(messages.Result)) == 1
    os.kill(second.pid, signal.SIGTERM)


@pytest.mark.skipif(os.name == "nt", reason="needs SIGTERM")
def test_a_bridge_that_was_told_to_stop_is_started_again_without_a_complaint(
    tmp_path: Path,
) -> None:
    """It is missed while it is still about to end, which is no failed start."""
    ears = Ears()
    with running(tmp_path, ears, launcher(tmp_path, lingers=2.0)):
        ears.until(messages.Welcome)
        first = read_run_file(tmp_path)
        assert first is not None
        os.kill(first.pid, signal.SIGTERM)
        ears.until_state(ConnectionState.STARTING_BRIDGE)
        ears.until(messages.Welcome)
        second = read_run_file(tmp_path)
    assert ConnectionState.FAILED not in ears.states()
    assert second is not None and second.pid != first.pid
    os.kill(second.pid, signal.SIGTERM)


def test_two_clients_that_start_at_once_share_one_bridge(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The bridge that lost the race may have ended long before a slow machine lets the other one come up.
    monkeypatch.setattr(finder, "LATE_RUN_FILE", PATIENCE)
    one, two = Ears(), Ears()
    with (
        running(tmp_path, one, launcher(tmp_path)),
        running(tmp_path, two, launcher(tmp_path)),
    ):
        one.until(messages.Welcome)
        two.until(messages.Welcome)
        found = read_run_file(tmp_path)
    for ears in (one, two):
        assert ConnectionState.FAILED not in ears.states()
    assert found is not None
    os.kill(found.pid, signal.SIGTERM)


def test_a_bridge_started_by_hand_is_found_although_the_launcher_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At once, although the next attempt to start one is an hour away."""
    monkeypatch.setattr(client_module, "LAST_DELAY", 3600.0)
    ears = Ears()
    with running(tmp_path, ears, Launcher(tmp_path, [str(tmp_path / "gone")])):
        ears.until_state(ConnectionState.FAILED)
        with ScriptedBridge(tmp_path):
            ears.until_state(ConnectionState.CONNECTED)


@pytest.mark.parametrize("script", [None, "import time; time.sleep(60)"])
def test_another_command_is_used_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str | None
) -> None:
    """Also while the one before still comes up, or waits an hour for its next attempt."""
    monkeypatch.setattr(client_module, "LAST_DELAY", 3600.0)
    monkeypatch.setattr(finder, "LAUNCH_PATIENCE", 3600.0)
    ears, good = Ears(), launcher(tmp_path)
    words = [str(tmp_path / "gone")] if script is None else [sys.executable, "-c", script]
    tried = Launcher(tmp_path, words)
    with running(tmp_path, ears, tried) as client:
        ears.until_state(
            ConnectionState.FAILED if script is None else ConnectionState.STARTING_BRIDGE
        )
        tried.use(good.command())
        client.try_now()
        ears.until(messages.Welcome)
        found = read_run_file(tmp_path)
    assert found is not None
    os.kill(found.pid, signal.SIGTERM)


def test_a_run_file_that_outlived_its_bridge_does_not_stop_the_start_of_another(
    tmp_path: Path,
) -> None:
    ears = Ears()
    with ScriptedBridge(tmp_path, wrong_proof=True):
        with running(tmp_path, ears, launcher(tmp_path)):
            ears.until_state(ConnectionState.FAILED)
            ears.until_state(ConnectionState.STARTING_BRIDGE)
            ears.until(messages.Welcome)
        found = read_run_file(tmp_path)
    assert found is not None and found.pid != os.getpid()
    os.kill(found.pid, signal.SIGTERM)

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from krita_plugin.krita_bridge import client as client_module
from krita_plugin.krita_bridge.client import Client, ConnectionState, Event, Received
from krita_plugin.krita_bridge.wire import frames, messages
from krita_plugin.krita_bridge.wire.control import Control, ControlKind, ControlSource
from tests.bridge_process import PATIENCE
from tests.ears import BOUNDS, Ears, echo, strips, submit
from tests.scripted_bridge import ScriptedBridge


@pytest.fixture
def ears() -> Ears:
    return Ears()


@pytest.fixture
def client(tmp_path: Path, ears: Ears) -> Iterator[Client]:
    made = Client("test", "client-1", ears, tmp_path)
    yield made
    made.stop()


def test_a_job_travels_whole_and_its_result_comes_back_once(
    tmp_path: Path, client: Client, ears: Ears
) -> None:
    seen: list[frames.Frame] = []

    def paint(submitted: messages.Submit, frame: frames.Frame | None) -> bytes:
        assert frame is not None
        seen.append(frame)
        return echo(submitted, frame)

    with ScriptedBridge(tmp_path, paint) as bridge:
        client.start()
        ears.until_state(ConnectionState.CONNECTED)
        assert isinstance(ears.until(messages.Welcome).message, messages.Welcome)
        client.submit(submit("job-1"), strips(4), strips(1))
        result = ears.until(messages.Result)
        assert isinstance(result.message, messages.Result)
        assert (result.message.job, result.message.document) == ("job-1", "note")
        assert bytes(result.image or b"") == b"".join(strips(4))
        assert bytes(seen[0].tensors[messages.MASK].data) == b"".join(strips(1))
        assert len(ears.heard(messages.Preview)) == 2
        client.acknowledge("job-1")
        bridge.wait_for(messages.Acknowledge)
        assert bridge.results == {}


def test_control_pictures_go_out_and_kept_maps_come_back(
    tmp_path: Path, client: Client, ears: Ears
) -> None:
    canvas = Control(ControlKind.CANNY)
    brought = Control(ControlKind.DEPTH, ControlSource.MAP, keep=True)
    asked = submit("job-1")
    asked = replace(asked, request=replace(asked.request, controls=(canvas, brought)))
    with ScriptedBridge(tmp_path, echo):
        client.start()
        client.submit(asked, strips(4), None, {1: strips(4, rows=5)})
        result = ears.until(messages.Result)
    assert list(result.maps) == [1]
    assert result.maps[1].shape == (BOUNDS.height, BOUNDS.width, 4)
    assert bytes(result.maps[1].data) == b"".join(strips(4))


def test_text_to_image_needs_no_pixels(tmp_path: Path, client: Client, ears: Ears) -> None:
    with ScriptedBridge(tmp_path, lambda s, f: bytes(BOUNDS.width * BOUNDS.height * 4)):
        client.start()
        client.submit(submit("job-1"))
        assert ears.until(messages.Result).image is not None


def test_pixels_of_another_size_are_refused_at_once(client: Client) -> None:
    with pytest.raises(ValueError, match="need 12288 bytes"):
        client.submit(submit("job-1"), strips(4)[1:])


def test_it_connects_when_a_bridge_appears_later(
    tmp_path: Path, client: Client, ears: Ears
) -> None:
    client.start()
    failed = ears.until_state(ConnectionState.FAILED)
    assert "krita-bridge serve" in failed.sentence
    client.submit(submit("job-1"), strips(4))
    with ScriptedBridge(tmp_path, echo):
        assert ears.until(messages.Result).image is not None


def test_a_job_cancelled_before_there_is_a_bridge_ends_by_itself(
    client: Client, ears: Ears
) -> None:
    client.start()
    ears.until_state(ConnectionState.FAILED)
    client.submit(submit("job-1"), strips(4))
    client.cancel("job-1")
    ended = ears.until(messages.Ended).message
    assert isinstance(ended, messages.Ended)
    assert ended.state is messages.JobState.CANCELLED


def test_cancel_reaches_the_bridge(tmp_path: Path, client: Client, ears: Ears) -> None:
    with ScriptedBridge(tmp_path) as bridge:
        client.start()
        client.submit(submit("job-1"), strips(4))
        ears.until(messages.Accepted)
        client.cancel("job-1")
        ended = ears.until(messages.Ended).message
        assert isinstance(ended, messages.Ended)
        assert bridge.wait_for(messages.Cancel) == [messages.Cancel("job-1")]


def test_results_of_an_earlier_run_are_asked_for_and_delivered(
    tmp_path: Path, client: Client, ears: Ears
) -> None:
    with ScriptedBridge(tmp_path, echo) as bridge:
        earlier_ears = Ears()
        earlier = Client("test", "client-1", earlier_ears, tmp_path)
        earlier.start()
        earlier.submit(submit("job-1"), strips(4))
        earlier_ears.until(messages.Result)
        earlier.stop()
        client.start()
        result = ears.until(messages.Result)
        assert bytes(result.image or b"") == b"".join(strips(4))
        assert bridge.submitted == ["job-1"]


def test_a_result_can_be_asked_for_again(tmp_path: Path, client: Client, ears: Ears) -> None:
    with ScriptedBridge(tmp_path, echo):
        client.start()
        client.submit(submit("job-1"), strips(4))
        ears.until(messages.Result)
        client.resume(["job-1"])
        assert ears.until(messages.Result).image is not None


def test_an_unknown_job_of_an_earlier_run_is_reported(
    tmp_path: Path, client: Client, ears: Ears
) -> None:
    with ScriptedBridge(tmp_path):
        client.resume(["job-of-yesterday"])
        client.start()
        assert ears.until(messages.Unknown).message == messages.Unknown("job-of-yesterday")


def test_a_failing_listener_does_not_cost_the_connection(tmp_path: Path) -> None:
    ears = Ears()

    def listener(event: Event) -> None:
        ears(event)
        if isinstance(event, Received) and isinstance(event.message, messages.Accepted):
            raise RuntimeError("a bug on the painter's side")

    client = Client("test", "client-1", listener, tmp_path)
    with ScriptedBridge(tmp_path, echo):
        client.start()
        client.submit(submit("job-1"), strips(4))
        ears.until(messages.Result)
    client.stop()


def test_stopping_sends_what_waits(
    tmp_path: Path, ears: Ears, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client_module, "GOODBYE_PATIENCE", PATIENCE)
    with ScriptedBridge(tmp_path, echo) as bridge:
        client = Client("test", "client-1", ears, tmp_path)
        client.start()
        client.submit(submit("job-1"), strips(4))
        ears.until(messages.Result)
        client.acknowledge("job-1")
        client.stop()
        bridge.wait_for(messages.Acknowledge)
        ears.until_state(ConnectionState.STOPPED)


def test_stopping_without_a_bridge_or_a_start_returns(tmp_path: Path, ears: Ears) -> None:
    never_started = Client("test", "client-1", ears, tmp_path)
    never_started.stop()
    client = Client("test", "client-1", ears, tmp_path)
    client.start()
    client.stop()
    ears.until_state(ConnectionState.STOPPED)


def test_a_bridge_of_another_version_is_told_in_words(
    tmp_path: Path, client: Client, ears: Ears
) -> None:
    with ScriptedBridge(tmp_path, welcome_protocol=99) as bridge:
        client.start()
        client.submit(submit("job-1"), strips(4))
        failed = ears.until_state(ConnectionState.FAILED)
        assert "different versions" in failed.sentence
        assert bridge.submitted == []

"""What the client does not do for whoever answers in the bridge's place. Rows of the threat table."""

from __future__ import annotations

import contextlib
import logging
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from websockets.http11 import Request, Response
from websockets.sync.server import ServerConnection

from krita_plugin.krita_bridge.client import Client, ConnectionState, Event
from krita_plugin.krita_bridge.wire import frames, limits, messages, proof
from tests.ears import BOUNDS, CANVAS, Ears, echo, strips, submit
from tests.scripted_bridge import ScriptedBridge


@contextmanager
def running(home: Path, ears: Callable[[Event], None]) -> Iterator[Client]:
    client = Client("test", "client-1", ears, home)
    client.submit(submit("job-1"), strips(4), strips(1))
    client.start()
    try:
        yield client
    finally:
        client.stop()


class NoProof(ScriptedBridge):
    def _prove(self, connection: ServerConnection, request: Request, response: Response) -> None:
        pass


class Echo(ScriptedBridge):
    """Plays the client's own proof back."""

    def _prove(self, connection: ServerConnection, request: Request, response: Response) -> None:
        response.headers[proof.PROOF_HEADER] = request.headers[proof.PROOF_HEADER]


class Twice(ScriptedBridge):
    """Sends the right proof and a wrong one."""

    def _prove(self, connection: ServerConnection, request: Request, response: Response) -> None:
        super()._prove(connection, request, response)
        response.headers[proof.PROOF_HEADER] = "0" * 64


class OtherPort(ScriptedBridge):
    """Passes on a proof that was made for another port."""

    def _prove(self, connection: ServerConnection, request: Request, response: Response) -> None:
        key = request.headers["Sec-WebSocket-Key"]
        response.headers[proof.PROOF_HEADER] = proof.server_proof(self.token, self.port + 1, key)


@pytest.mark.parametrize("kind", [NoProof, Echo, Twice, OtherPort])
def test_a_squatter_receives_no_byte(kind: type[ScriptedBridge], tmp_path: Path) -> None:
    ears = Ears()
    with kind(tmp_path, echo) as squatter, running(tmp_path, ears):
        failed = ears.until_state(ConnectionState.FAILED)
        assert "nothing was sent" in failed.sentence
        assert squatter.raw_bytes == 0
        assert squatter.received == []


def test_a_squatter_that_speaks_first_is_not_heard(tmp_path: Path) -> None:
    class Hasty(NoProof):
        def _session(self, connection: ServerConnection) -> None:
            connection.send(messages.dumps(self._welcome()))
            super()._session(connection)

    ears = Ears()
    with Hasty(tmp_path) as squatter, running(tmp_path, ears):
        ears.until_state(ConnectionState.FAILED)
        assert ears.heard(messages.Welcome) == []
        assert squatter.raw_bytes == 0


@pytest.mark.parametrize(
    ("answer", "state"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", ConnectionState.FAILED),
        (b"HTTP/1.1 302 Found\r\nLocation: /\r\nContent-Length: 0\r\n\r\n", ConnectionState.FAILED),
        (b"SSH-2.0-OpenSSH_9.2\r\n", ConnectionState.FAILED),
        (b"\x00" * 4096, ConnectionState.WAITING),
        (b"", ConnectionState.WAITING),
    ],
)
def test_another_program_on_the_port_gets_the_handshake_only(
    answer: bytes, state: ConnectionState, tmp_path: Path
) -> None:
    heard: list[bytes] = []

    def serve(listening: socket.socket) -> None:
        while True:
            try:
                connection, _ = listening.accept()
            except OSError:
                return
            with connection, contextlib.suppress(ConnectionError):
                heard.append(connection.recv(65536))
                connection.sendall(answer)

    bridge = ScriptedBridge(tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        bridge.public_port = listening.getsockname()[1]
        bridge.write_run_file()
        threading.Thread(target=serve, args=(listening,), daemon=True).start()
        ears = Ears()
        with running(tmp_path, ears):
            ears.until_state(state)
        # An attempt that the end of the test cut short is empty.
        sent = [data for data in heard if data]
        assert sent and all(
            data.count(b"\r\n\r\n") == 1 and data.endswith(b"\r\n\r\n") for data in sent
        )
        assert not any(bridge.token.encode() in data for data in sent)
        listening.shutdown(socket.SHUT_RDWR)


def test_a_refusal_is_shown_without_control_characters(tmp_path: Path) -> None:
    class Rude(ScriptedBridge):
        def _gate(self, connection: ServerConnection, request: Request) -> Response | None:
            refusal = connection.respond(403, "go\x1b[2J away\r\n\u202enow" + "!" * 5000)
            return refusal

    ears = Ears()
    with Rude(tmp_path), running(tmp_path, ears):
        sentence = ears.until_state(ConnectionState.FAILED).sentence
    assert "go[2J away now" in sentence
    assert sentence.isprintable() and len(sentence) < 500


def test_a_wrong_token_is_told_and_nothing_is_sent(tmp_path: Path) -> None:
    ears = Ears()
    with ScriptedBridge(tmp_path) as bridge:
        bridge.token = proof.new_token()
        with running(tmp_path, ears):
            assert "refused" in ears.until_state(ConnectionState.FAILED).sentence
            assert bridge.raw_bytes == 0


@pytest.mark.parametrize("spoil", ["link", "loose", "nonsense"])
def test_a_run_file_that_cannot_be_trusted_is_not_used(spoil: str, tmp_path: Path) -> None:
    ears = Ears()
    connected: list[object] = []

    class Counting(ScriptedBridge):
        def _gate(self, connection: ServerConnection, request: Request) -> Response | None:
            connected.append(connection)
            return super()._gate(connection, request)

    with Counting(tmp_path):
        run_file = tmp_path / "run.json"
        if spoil == "link":
            run_file.rename(tmp_path / "elsewhere.json")
            run_file.symlink_to(tmp_path / "elsewhere.json")
        elif spoil == "loose":
            run_file.chmod(0o644)
        else:
            run_file.write_text("{}")
        with running(tmp_path, ears):
            assert "cannot be trusted" in ears.until_state(ConnectionState.FAILED).sentence
        assert connected == []


def test_token_and_prompt_are_in_no_log(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    logging.getLogger("websockets").setLevel(logging.WARNING)  # the server's side of this test
    ears = Ears()
    with ScriptedBridge(tmp_path, echo) as bridge, running(tmp_path, ears):
        ears.until(messages.Result)
        bridge.cut()
        ears.until_state(ConnectionState.WAITING)
    assert bridge.token not in caplog.text
    assert "a red boat" not in caplog.text


def _result(bounds: dict[str, int], pixels: int) -> bytes:
    facts = messages.ResultFacts("", "", "", 0, 1.0, 1, 1, 1.0, "", "", "", 1, 1, 0.0, "")
    result = messages.Result("job-1", BOUNDS, CANVAS, facts, "")
    text = messages.dumps(result).replace(
        messages.dumps(result).split('"bounds": ')[1].split("}")[0] + "}",
        str(bounds).replace("'", '"'),
    )
    tensor = frames.Tensor((1, pixels, 4), bytes(pixels * 4))
    return frames.join(frames.Frame(text, {messages.IMAGE: tensor}))


LIES: dict[str, str | bytes] = {
    "no json": "{",
    "deep json": "[" * 100_000,
    "unknown type": '{"type": "reboot"}',
    "a client's message": '{"type": "cancel", "job": "job-1"}',
    "result without pixels": '{"type": "preview", "job": "job-1", "step": 1, "bounds": '
    '{"x": 0, "y": 0, "width": 1, "height": 1}}',
    "other size": _result({"x": 0, "y": 0, "width": 1 << 20, "height": 1 << 20}, 4),
    "negative size": _result({"x": 0, "y": 0, "width": -2, "height": -2}, 4),
    "empty frame": b"",
    "header of 2**63 bytes": b"\xff" * 7 + b"\x7f" + b"{}",
}


@pytest.mark.parametrize("lie", LIES)
def test_what_is_not_of_the_protocol_ends_the_connection_in_words(lie: str, tmp_path: Path) -> None:
    class Liar(ScriptedBridge):
        def _answers(
            self, message: messages.Message, frame: frames.Frame | None
        ) -> list[str | bytes]:
            if isinstance(message, messages.Submit):
                return [LIES[lie]]
            return super()._answers(message, frame)

    ears = Ears()
    with Liar(tmp_path), running(tmp_path, ears):
        sentence = ears.until_state(ConnectionState.FAILED).sentence
        assert "does not understand" in sentence
    assert ears.heard(messages.Result) == []


def test_a_frame_beyond_the_limit_is_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Flood(ScriptedBridge):
        def _answers(
            self, message: messages.Message, frame: frames.Frame | None
        ) -> list[str | bytes]:
            if isinstance(message, messages.Submit):
                return [bytes(2_000_000)]
            return super()._answers(message, frame)

    monkeypatch.setattr(limits, "MAX_FRAME_BYTES", 1_000_000)
    ears = Ears()
    with Flood(tmp_path), running(tmp_path, ears):
        ears.until_state(ConnectionState.WAITING)
    assert ears.heard(messages.Result) == []

"""The gate on a real socket: no upgrade for anyone but a local program with the token."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from bridge.server.service import MAX_CONNECTIONS
from krita_plugin.krita_bridge.wire import messages, proof
from krita_plugin.krita_bridge.wire.limits import MAX_FRAME_BYTES
from krita_plugin.krita_bridge.wire.messages import Fault, Hello
from krita_plugin.krita_bridge.wire.runfile import RunFile
from tests.bridge_process import PATIENCE, BridgeProcess, bridge_process, client, wait_for
from tests.raw_socket import KEY, answer_to, handshake_headers, request, upgraded, websocket_frame

MIB = 1 << 20


@pytest.fixture(scope="module")
def process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BridgeProcess]:
    """One bridge for all: `bridge` is its run file. It has more time for a handshake than any test."""
    with bridge_process(tmp_path_factory.mktemp("home"), "--handshake-seconds", "3600") as running:
        yield running


def test_the_right_handshake_is_answered_with_the_bridges_own_proof_and_no_compression(
    bridge: RunFile,
) -> None:
    offered = {"Sec-WebSocket-Extensions": "permessage-deflate"}
    got = answer_to(bridge, request([*handshake_headers(bridge).items(), *offered.items()]))
    assert got.startswith(b"HTTP/1.1 101 ")
    expected = proof.server_proof(bridge.token, bridge.port, KEY)
    assert f"{proof.PROOF_HEADER}: {expected}".encode() in got
    assert b"Extensions" not in got


CHANGES = {
    "an origin": lambda port: {"Origin": f"http://127.0.0.1:{port}"},
    "a null origin": lambda port: {"Origin": "null"},
    "an empty origin": lambda port: {"ORIGIN": ""},
    "browser metadata": lambda port: {"Sec-Fetch-Site": "none"},
    "a rebound name": lambda port: {"Host": f"attacker.example.org:{port}"},
    "a trailing dot": lambda port: {"Host": f"localhost.:{port}"},
    "another port": lambda port: {"Host": f"127.0.0.1:{port + 1}"},
    "no proof": lambda port: {proof.PROOF_HEADER: None},
    "an empty proof": lambda port: {proof.PROOF_HEADER: ""},
    "a wrong proof": lambda port: {proof.PROOF_HEADER: "0" * 64},
    "a proof for another key": lambda port: {"Sec-WebSocket-Key": "BBBBBBBBBBBBBBBBBBBBBB=="},
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_wrong_handshake_gets_403_one_sentence_and_no_proof(bridge: RunFile, name: str) -> None:
    header: dict[str, str | None] = {**handshake_headers(bridge), **CHANGES[name](bridge.port)}
    sent = request([(field, value) for field, value in header.items() if value is not None])
    got = answer_to(bridge, sent)
    assert got.startswith(b"HTTP/1.1 403 "), got
    assert proof.PROOF_HEADER.encode() not in got and bridge.token.encode() not in got


@pytest.mark.parametrize("hosts", [[], ["127.0.0.1:{}", "127.0.0.1:{}"], ["127.0.0.1:{}", "x"]])
def test_no_host_or_two_get_no_upgrade(bridge: RunFile, hosts: list[str]) -> None:
    header = handshake_headers(bridge)
    del header["Host"]
    lines = [("Host", host.format(bridge.port)) for host in hosts]
    assert b" 101 " not in answer_to(bridge, request([*lines, *header.items()]))


@pytest.mark.parametrize(
    "sent",
    [
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"POST /v1 HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n\r\n",
        b"GET /v1 HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 100_000 + b"\r\n\r\n",
        b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00" + bytes(200) + b"\r\n\r\n",
        b"\r\n" * 1000,
        b"GET /v1 HTTP/1.1\r\nHost: x\r\nHost : y\r\n\r\n",
        b"GET /v1 HTTP/1.1\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\nzzz",
    ],
)
def test_what_is_no_handshake_gets_a_refusal_and_harms_nobody(bridge: RunFile, sent: bytes) -> None:
    try:
        got = answer_to(bridge, sent)
    except ConnectionError:
        got = b""
    assert got == b"" or got.startswith((b"HTTP/1.1 403 ", b"HTTP/1.1 400 ", b"HTTP/1.0 400 "))
    assert answer_to(bridge, request([*handshake_headers(bridge).items()])).startswith(
        b"HTTP/1.1 101"
    )


def test_idle_and_dripping_handshakes_are_dropped(tmp_path: Path) -> None:
    with bridge_process(tmp_path, "--handshake-seconds", "1") as process:
        address = ("127.0.0.1", process.wait_until_listening().port)
        idle = [socket.create_connection(address, PATIENCE) for _ in range(5)]
        drip = socket.create_connection(address, PATIENCE)
        drip.settimeout(0.1)

        def ended() -> bool:
            try:
                drip.sendall(b"G")
                return drip.recv(1) == b""
            except TimeoutError:
                return False
            except ConnectionError:
                return True

        wait_for(ended)
        for raw in idle:
            assert raw.recv(1) == b""
            raw.close()
        drip.close()


def test_who_does_not_say_hello_is_shown_out(tmp_path: Path) -> None:
    with (
        bridge_process(tmp_path, "--handshake-seconds", "5") as process,
        upgraded(process.wait_until_listening()) as raw,
    ):
        got = b""
        while b"did not say hello" not in got:
            got += raw.recv(4096) or pytest.fail(f"it was closed after {got!r}")


async def test_more_connections_than_are_served_are_closed_and_the_others_go_on(
    process: BridgeProcess, bridge: RunFile
) -> None:
    async with client(bridge) as painter:
        crowd = [
            await asyncio.open_connection("127.0.0.1", bridge.port)
            for _ in range(MAX_CONNECTIONS + 5)
        ]
        for reader, _ in crowd[-5:]:
            with contextlib.suppress(ConnectionError):
                assert await asyncio.wait_for(reader.read(1), PATIENCE) == b""
        # Idle ones are closed too, later; these were refused at once.
        assert (process.home / "log" / "bridge.log").read_text().count("there are 32 already") >= 5
        await painter.sync()
        for _, writer in crowd:
            writer.close()
    await asyncio.to_thread(wait_for, lambda: _is_served(bridge))


def _is_served(run_file: RunFile) -> bool:
    with contextlib.suppress(ConnectionError):
        return answer_to(run_file, request([*handshake_headers(run_file).items()])) != b""
    return False


HELLO = websocket_frame(1, messages.dumps(Hello(1, "raw", "raw")).encode())


@pytest.mark.parametrize(
    "sent",
    [
        websocket_frame(1, b"hi", masked=False) * 3,
        websocket_frame(1, b"hi", reserved=4),
        websocket_frame(3, b"hi"),
        websocket_frame(0, b"continued what?"),
        websocket_frame(9, b"x" * 200),
        websocket_frame(1, b"\xff\xfe"),
        websocket_frame(8, b"\x00"),
        b"\x81\xff" + (1 << 63).to_bytes(8, "big") + bytes(4),
        b"\x82\xff" + (1 << 40).to_bytes(8, "big") + bytes(4) + bytes(70_000),
        websocket_frame(1, b"a", final=False) + websocket_frame(1, b"b"),
    ],
    ids=range(10),
)
def test_broken_websocket_frames_end_that_connection_only(bridge: RunFile, sent: bytes) -> None:
    with upgraded(bridge) as raw:
        raw.sendall(HELLO + sent)
        raw.settimeout(3)  # some only wait for more
        with contextlib.suppress(ConnectionError, TimeoutError):
            while raw.recv(65536):
                pass
    with upgraded(bridge) as raw:
        raw.sendall(HELLO)
        got = b""
        while b"welcome" not in got:
            got += raw.recv(4096) or pytest.fail(f"it was closed after {got!r}")


@pytest.mark.slow
def test_fragments_without_end_hit_a_ceiling(process: BridgeProcess, bridge: RunFile) -> None:
    server = psutil.Process(process.process.pid)
    piece = bytes(MIB)
    sent = peak = 0
    with upgraded(bridge) as raw:
        raw.sendall(HELLO + websocket_frame(2, piece, final=False))
        try:
            while sent < 3 * MAX_FRAME_BYTES:
                raw.sendall(websocket_frame(0, piece, final=False))
                sent += len(piece)
                if sent % (16 * MIB) == 0:
                    peak = max(peak, server.memory_info().rss)
        except ConnectionError:
            pass
    assert sent < 1.2 * MAX_FRAME_BYTES
    assert peak < 3 * MAX_FRAME_BYTES
    assert answer_to(bridge, request([*handshake_headers(bridge).items()])).startswith(
        b"HTTP/1.1 101"
    )


async def test_a_text_message_longer_than_allowed_is_a_fault(bridge: RunFile) -> None:
    async with client(bridge) as painter:
        await painter.socket.send('{"type": "cancel", "job": "' + "x" * (2 * MIB) + '"}')
        assert isinstance((await painter.until(Fault))[0], Fault)

"""HTTP and websocket bytes made by hand, for what no client library would send."""

from __future__ import annotations

import socket
import struct

import pytest

from krita_plugin.krita_bridge.wire.runfile import RunFile
from tests.bridge_process import PATIENCE, proof_headers

KEY = "AAAAAAAAAAAAAAAAAAAAAA=="


def handshake_headers(run_file: RunFile) -> dict[str, str]:
    """The header of a handshake that is admitted."""
    return {
        "Host": f"127.0.0.1:{run_file.port}",
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Version": "13",
        **proof_headers(run_file, KEY),
    }


def request(lines: list[tuple[str, str]], target: str = "/v1", method: str = "GET") -> bytes:
    header = "".join(f"{name}: {value}\r\n" for name, value in lines)
    return f"{method} {target} HTTP/1.1\r\n{header}\r\n".encode("latin-1")


def answer_to(run_file: RunFile, sent: bytes) -> bytes:
    """The header, and whatever follows at once, of the answer to these bytes."""
    with socket.create_connection(("127.0.0.1", run_file.port), PATIENCE) as raw:
        raw.sendall(sent)
        got = b""
        while b"\r\n\r\n" not in got:
            chunk = raw.recv(4096)
            if not chunk:
                break
            got += chunk
        return got


def upgraded(run_file: RunFile) -> socket.socket:
    """A socket after an admitted handshake."""
    raw = socket.create_connection(("127.0.0.1", run_file.port), PATIENCE)
    raw.sendall(request(list(handshake_headers(run_file).items())))
    got = b""
    while not got.endswith(b"\r\n\r\n"):
        got += raw.recv(1) or pytest.fail(f"the connection was closed after {got!r}")
    assert got.startswith(b"HTTP/1.1 101 "), got
    return raw


def websocket_frame(
    opcode: int, payload: bytes, *, final: bool = True, masked: bool = True, reserved: int = 0
) -> bytes:
    """One frame as RFC 6455 section 5.2 lays it out; the mask is zero, so the payload is as given."""
    first = (0x80 if final else 0) | reserved << 4 | opcode
    mask_bit = 0x80 if masked else 0
    if len(payload) < 126:
        head = struct.pack("!BB", first, mask_bit | len(payload))
    elif len(payload) < 65536:
        head = struct.pack("!BBH", first, mask_bit | 126, len(payload))
    else:
        head = struct.pack("!BBQ", first, mask_bit | 127, len(payload))
    return head + (bytes(4) if masked else b"") + payload

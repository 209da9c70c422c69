"""Questions to the test agent inside Krita."""

from __future__ import annotations

import base64
import json
import socket
from pathlib import Path
from typing import Any


class AgentError(AssertionError):
    """The agent's answer was an exception; the message is its traceback."""


class AgentClient:
    """Asks the agent whose address is in a file. One connection a question."""

    def __init__(self, address_file: Path, token: str) -> None:
        self._address_file = address_file
        self._token = token

    def is_up(self) -> bool:
        return self._address_file.exists()

    def evaluate(self, code: str, timeout: float = 60.0) -> Any:
        """Run Python in Krita's UI thread; the value of the last expression comes back."""
        return self._ask({"code": code}, timeout)

    def call(self, name: str, *args: Any, timeout: float = 60.0) -> Any:
        """Call a function of the agent's `inside` module."""
        return self._ask({"call": name, "args": list(args)}, timeout)

    def _ask(self, request: dict[str, Any], timeout: float) -> Any:
        port = json.loads(self._address_file.read_text())["port"]
        line = json.dumps({**request, "token": self._token}, default=_encode).encode() + b"\n"
        with socket.create_connection(("127.0.0.1", port), timeout=timeout) as connection:
            connection.sendall(line)
            pieces = []
            while not pieces or not pieces[-1].endswith(b"\n"):
                piece = connection.recv(1 << 20)
                if not piece:
                    raise ConnectionError("Krita went away in the middle of an answer")
                pieces.append(piece)
        answer = json.loads(b"".join(pieces), object_hook=_decode)
        if not answer["ok"]:
            raise AgentError(answer["error"])
        return answer["value"]


def _encode(value: Any) -> Any:
    if isinstance(value, bytes):
        return {"__bytes__": base64.b64encode(value).decode("ascii")}
    raise TypeError(f"cannot send {type(value).__name__} to Krita")


def _decode(obj: dict[str, Any]) -> Any:
    return base64.b64decode(obj["__bytes__"]) if set(obj) == {"__bytes__"} else obj

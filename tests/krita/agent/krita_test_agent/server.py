"""A loopback TCP server in Krita's UI thread: one JSON line in, one JSON line out, per connection.

A request is `{"token", "code"}` (Python: the value of the last expression is the answer) or
`{"token", "call", "args"}` (a function of `inside`). Bytes travel as `{"__bytes__": base64}`.
"""

from __future__ import annotations

import ast
import base64
import hmac
import json
import os
import traceback
from typing import Any

from . import faults, inside
from .qt import QtCore, QtNetwork


class Server:
    def __init__(self, address_file: str, token: str) -> None:
        self._address_file = address_file
        self._token = token
        self._names: dict[str, Any] = {**vars(inside), "__name__": "krita_test"}
        self._tcp = QtNetwork.QTcpServer()
        self._tcp.newConnection.connect(self._accept)
        self._buffers: dict[Any, bytes] = {}

    def listen(self) -> None:
        faults.record()  # Krita may have put its own hook back while starting
        if not self._tcp.listen(QtNetwork.QHostAddress("127.0.0.1"), 0):
            raise OSError(self._tcp.errorString())
        partial = self._address_file + ".part"
        with open(partial, "w", encoding="utf-8") as file:  # noqa: PTH123  the agent stays plain
            json.dump({"port": self._tcp.serverPort(), "pid": os.getpid()}, file)
        os.replace(partial, self._address_file)  # noqa: PTH105

    def _accept(self) -> None:
        while self._tcp.hasPendingConnections():
            socket = self._tcp.nextPendingConnection()
            self._buffers[socket] = b""
            socket.readyRead.connect(lambda s=socket: self._read(s))
            socket.disconnected.connect(lambda s=socket: self._forget(s))

    def _forget(self, socket: Any) -> None:
        self._buffers.pop(socket, None)
        socket.deleteLater()

    def _read(self, socket: Any) -> None:
        self._buffers[socket] += bytes(socket.readAll())
        if self._buffers[socket].endswith(b"\n"):
            line, self._buffers[socket] = self._buffers[socket], b""
            # Not from inside the socket's own signal: a request may open a dialog with its own loop.
            QtCore.QTimer.singleShot(0, lambda: self._answer(socket, line))

    def _answer(self, socket: Any, line: bytes) -> None:
        try:
            request = json.loads(line, object_hook=_decode_bytes)
            if not hmac.compare_digest(request["token"], self._token):
                raise PermissionError("wrong token")
            answer = {"ok": True, "value": self._run(request)}
            payload = json.dumps(answer, default=_encode)
        except BaseException:
            payload = json.dumps({"ok": False, "error": traceback.format_exc()})
        if socket in self._buffers:
            socket.write(payload.encode("utf-8") + b"\n")
            socket.flush()

    def _run(self, request: dict[str, Any]) -> Any:
        if "call" in request:
            return getattr(inside, request["call"])(*request["args"])
        tree = ast.parse(request["code"])
        last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
        exec(compile(tree, "<test>", "exec"), self._names)
        if last is None:
            return None
        return eval(compile(ast.Expression(last.value), "<test>", "eval"), self._names)


def _decode_bytes(obj: dict[str, Any]) -> Any:
    return base64.b64decode(obj["__bytes__"]) if set(obj) == {"__bytes__"} else obj


def _encode(value: Any) -> Any:
    if isinstance(value, (bytes, bytearray, memoryview, QtCore.QByteArray)):
        return {"__bytes__": base64.b64encode(bytes(value)).decode("ascii")}
    return repr(value)


def start(address_file: str, token: str) -> Server:
    """Listen once Krita's window is up; the address file is the sign that tests may begin."""
    server = Server(address_file, token)
    _when_ready(server)
    return server


def _when_ready(server: Server) -> None:
    if inside.is_ready():
        server.listen()
    else:
        QtCore.QTimer.singleShot(50, lambda: _when_ready(server))

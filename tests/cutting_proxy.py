"""A TCP proxy in front of a bridge that cuts or freezes connections where a test wants it."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field


@dataclass
class Budget:
    """How many bytes a connection may carry each way before it is cut; None: all."""

    up: int | None = None
    down: int | None = None


@dataclass
class CuttingProxy:
    """`budgets` are used up by connections in order; later ones are not cut."""

    target: int = 0
    budgets: list[Budget] = field(default_factory=list)
    carried_up: int = 0
    carried_down: int = 0

    def __post_init__(self) -> None:
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listening.getsockname()[1]
        self._open: list[socket.socket] = []
        self.flowing = threading.Event()
        self.flowing.set()
        threading.Thread(target=self._accept, daemon=True).start()

    def freeze(self) -> None:
        """From now on nothing is carried, and nothing is closed."""
        self.flowing.clear()

    def close(self) -> None:
        self.flowing.set()
        for one in [self._listening, *self._open]:
            _cut(one)

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listening.accept()
                server = socket.create_connection(("127.0.0.1", self.target))
            except OSError:
                return
            self._open += [client, server]
            budget = self.budgets.pop(0) if self.budgets else Budget()
            for source, sink, most, up in (
                (client, server, budget.up, True),
                (server, client, budget.down, False),
            ):
                arguments = (source, sink, most, up)
                threading.Thread(target=self._carry, args=arguments, daemon=True).start()

    def _carry(
        self, source: socket.socket, sink: socket.socket, most: int | None, up: bool
    ) -> None:
        left = most
        with contextlib.suppress(OSError):
            while left is None or left > 0:
                self.flowing.wait()
                data = source.recv(65536 if left is None else min(left, 65536))
                if not data:
                    break
                self.flowing.wait()
                if up:
                    self.carried_up += len(data)
                else:
                    self.carried_down += len(data)
                left = None if left is None else left - len(data)
                sink.sendall(data)
        _cut(source)
        _cut(sink)


def _cut(one: socket.socket) -> None:
    with contextlib.suppress(OSError):
        one.shutdown(socket.SHUT_RDWR)
    one.close()


@contextlib.contextmanager
def cutting_proxy(*budgets: Budget) -> Iterator[CuttingProxy]:
    proxy = CuttingProxy(budgets=list(budgets))
    try:
        yield proxy
    finally:
        proxy.close()

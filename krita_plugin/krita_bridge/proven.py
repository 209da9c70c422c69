"""A client connection of `websockets` whose handshake carries both proofs."""

from __future__ import annotations

import socket as sockets
from typing import Any, Generator, Optional, Union

from . import _websockets as websockets
from .flow import Inbox, PatientReader, Writer, shut_down
from .wire import proof
from .wire.frames import Buffer
from .wire.runfile import RunFile


class ProofError(Exception):
    """The other end does not know the token."""


class PatientProtocol(websockets.ClientProtocol):
    """The library's protocol over a PatientReader."""

    def parse(self) -> Generator[None, None, None]:
        self.reader = PatientReader()
        yield from super().parse()


class ProvenConnection(websockets.ClientConnection):
    """Sends nothing but its handshake before the other end has proved itself."""

    def __init__(
        self, run: RunFile, socket: sockets.socket, protocol: PatientProtocol, close_timeout: float
    ) -> None:
        self._run = run
        self._inbox = Inbox()
        self.writer = Writer(socket)
        super().__init__(socket, protocol, close_timeout=close_timeout)

    def prove(self, timeout: float) -> None:
        """The handshake; raises ProofError, or what the library's raises."""
        key = self.protocol.key
        own = proof.client_proof(self._run.token, self._run.port, key)
        self.handshake({proof.PROOF_HEADER: own}, None, timeout)
        assert self.response is not None  # the handshake above has waited for it
        given = self.response.headers.get_all(proof.PROOF_HEADER)
        expected = proof.server_proof(self._run.token, self._run.port, key)
        if len(given) != 1 or not proof.matches(expected, given[0]):
            raise ProofError

    def next_message(self, timeout: Optional[float]) -> Union[str, Buffer]:
        """The next whole message; raises TimeoutError, or EOFError when the connection has ended."""
        return self._inbox.get(timeout)

    def process_event(self, event: Any) -> None:
        is_data = isinstance(event, websockets.Frame) and event.opcode in websockets.DATA_OPCODES
        if self.response is not None and is_data:
            self._inbox.put(event)
        else:
            super().process_event(event)

    def send_data(self) -> None:
        for data in self.protocol.data_to_send():
            self.writer.put(data)

    def close_socket(self) -> None:
        self.writer.close()
        super().close_socket()
        self._inbox.close()

    def abort(self) -> None:
        """End the connection at once, whatever other threads are doing with it."""
        self.writer.close()
        shut_down(self.socket)
        self._inbox.close()

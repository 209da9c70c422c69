"""Bytes in and out of a websocket without long stops: no lock is held over a write, no picture is copied in one go.

The library writes to the socket while it holds the lock that reading needs too: two ends that both send a picture
could wait for each other for ever. And it copies a message twice as a whole once it is complete: for a picture that holds
Python's global lock, and with it the painter's brush, for tens of milliseconds.
"""

from __future__ import annotations

import mmap
import socket as sockets
import threading
from collections import deque
from typing import Any, Deque, Generator, List, Optional, Union

from . import _websockets as websockets
from .wire.frames import Buffer

HIGH_WATER = 1 << 20
"""Bytes waiting to be written from which on a sender waits."""

LARGE = 256 * 1024
"""Messages from this size on are gathered piece by piece."""

UNREAD = 4
"""Messages that may wait to be fetched before reading from the socket stops."""


class Writer:
    """Writes to a socket in order, on its own thread."""

    def __init__(self, socket: sockets.socket) -> None:
        self._socket = socket
        self._changed = threading.Condition()
        self._waiting: Deque[bytes] = deque()
        self._bytes = 0
        self._closed = False
        threading.Thread(target=self._run, name="krita-bridge-writer", daemon=True).start()

    def put(self, data: bytes) -> None:
        """Write `data` soon; an empty one ends the writing side. Never blocks."""
        with self._changed:
            self._waiting.append(data)
            self._bytes += len(data)
            self._changed.notify_all()

    def wait_for_room(self) -> None:
        """Block while too much waits to be written; returns too when the writer has ended."""
        with self._changed:
            while self._bytes > HIGH_WATER and not self._closed:
                self._changed.wait()

    def close(self) -> None:
        """Forget what was not written yet."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _run(self) -> None:
        try:
            while True:
                with self._changed:
                    while not self._waiting and not self._closed:
                        self._changed.wait()
                    if self._closed:
                        return
                    data = self._waiting[0]
                if not data:
                    self._socket.shutdown(sockets.SHUT_WR)
                    return
                self._socket.sendall(data)
                with self._changed:
                    self._waiting.popleft()
                    self._bytes -= len(data)
                    self._changed.notify_all()
        except OSError:
            # The reading side sees the end of the connection and tells everyone.
            shut_down(self._socket)
        finally:
            self.close()


class Inbox:
    """Whole messages in order, from the thread that reads the socket to the one that wants them."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._messages: Deque[Union[str, Buffer]] = deque()
        self._chunks: List[Buffer] = []
        self._is_text = False
        self._closed = False

    def put(self, frame: "websockets.Frame") -> None:
        """Take a data frame; blocks while too much is unread. Raises EOFError once closed."""
        if frame.opcode is not websockets.Opcode.CONT:
            self._is_text = frame.opcode is websockets.Opcode.TEXT
        self._chunks.append(frame.data)
        if not frame.fin:
            return
        chunks, self._chunks = self._chunks, []
        whole = chunks[0] if len(chunks) == 1 else b"".join(chunks)
        message = bytes(whole).decode("utf-8", "replace") if self._is_text else whole
        with self._changed:
            while len(self._messages) >= UNREAD and not self._closed:
                self._changed.wait()
            if self._closed:
                raise EOFError
            self._messages.append(message)
            self._changed.notify_all()

    def get(self, timeout: Optional[float]) -> Union[str, Buffer]:
        """The next message; raises TimeoutError, or EOFError when closed and nothing is left."""
        with self._changed:
            self._changed.wait_for(lambda: self._messages or self._closed, timeout)
            if self._messages:
                self._changed.notify_all()
                return self._messages.popleft()
            if self._closed:
                raise EOFError
            raise TimeoutError

    def close(self) -> None:
        with self._changed:
            self._closed = True
            self._changed.notify_all()


class PatientReader(websockets.StreamReader):
    """Moves a large payload out of the stream as it arrives, instead of all of it at its end."""

    def read_exact(self, n: int) -> Generator[None, None, Any]:
        if n < LARGE:
            return (yield from super().read_exact(n))
        # Anonymous memory costs nothing until it is written to; a bytearray would be filled with zeros first.
        payload = memoryview(mmap.mmap(-1, n))
        filled = 0
        while filled < n:
            taken = min(len(self.buffer), n - filled)
            if taken:
                payload[filled : filled + taken] = self.buffer[:taken]
                del self.buffer[:taken]
                filled += taken
            elif self.eof:
                raise EOFError(f"stream ends after {filled} bytes, expected {n} bytes")
            else:
                yield
        return payload


def shut_down(socket: sockets.socket) -> None:
    """Wake every thread that is blocked in the socket."""
    try:
        socket.shutdown(sockets.SHUT_RDWR)
    except OSError:
        return  # it was closed already

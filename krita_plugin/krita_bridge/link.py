"""One websocket connection to the bridge: the mutual handshake, messages out, messages in.

Blocking; `client.py` runs it on threads of its own. One thread may send while another receives.
Nothing but the handshake is sent before the bridge has proved that it knows the run file's token.
"""

from __future__ import annotations

import logging
import socket
import struct
import sys
import threading
from dataclasses import dataclass, field
from typing import Any, Dict, Iterable, Iterator, List, Mapping, Optional, Sequence, Tuple

from . import _websockets as websockets
from .proven import PatientProtocol, ProofError, ProvenConnection
from .wire import frames, limits, messages
from .wire.control import control_tensor
from .wire.frames import Buffer
from .wire.runfile import RunFile

PATH = "/v1"
HANDSHAKE_PATIENCE = 5.0
"""Seconds in which the bridge must have taken the connection, and as long again in which it must have proved itself."""

SEND_PATIENCE = 20
"""Seconds for which the bridge may take no byte of a message before the connection is given up."""

_log = logging.getLogger("krita_bridge.link")
_SERVER_TYPES = (
    messages.Welcome,
    messages.EngineStatus,
    messages.Accepted,
    messages.Progress,
    messages.Preview,
    messages.Result,
    messages.Ended,
    messages.Unknown,
    messages.Fault,
    messages.LivePicture,
    messages.LiveResync,
)
_WITH_PICTURE = (messages.Result, messages.Preview, messages.LivePicture)


class LinkError(Exception):
    """The connection is of no use; the text is a sentence for the painter."""


class LinkClosed(LinkError):
    """The connection was there and is gone."""


class NobodyListens(LinkError):
    """Nothing listens on the run file's port: the bridge that wrote it is gone."""


class NoAnswer(LinkError):
    """Something listens on the port, but the handshake came to nothing."""


class Impostor(LinkError):
    """Whatever listens on the port does not know the token. Nothing was sent to it."""


class Refused(LinkError):
    """The bridge refused the handshake; the text says why."""


class Misunderstood(LinkError):
    """The bridge sent something that is not of this protocol."""


@dataclass(frozen=True)
class Pixels:
    """A tensor held in strips: `strips` are the rows in order, `shape` H x W x 4 (BGRA) or H x W (mask)."""

    shape: Tuple[int, ...]
    strips: Sequence[Buffer]

    def __post_init__(self) -> None:
        wanted = 1
        for side in self.shape:
            wanted *= side
        if wanted != self.size:
            raise ValueError(f"pixels of shape {self.shape} need {wanted} bytes, not {self.size}")

    @property
    def size(self) -> int:
        """In bytes."""
        return sum(memoryview(strip).nbytes for strip in self.strips)


@dataclass(frozen=True)
class Arrived:
    """A message, its image (BGRA, of the message's bounds), and the kept maps of a Result by the number of their
    control: shape H x W x 4 and opaque BGRA."""

    message: messages.ServerMessage
    image: Optional[memoryview] = None
    maps: Mapping[int, frames.Tensor] = field(default_factory=dict)


class Link:
    """A proven connection. Raises a LinkError from every method once it is of no use."""

    def __init__(self, connection: ProvenConnection) -> None:
        self._connection = connection
        self._pong: Optional[threading.Event] = None

    def send(
        self, message: messages.ClientMessage, tensors: Optional[Dict[str, Pixels]] = None
    ) -> None:
        """Send a message: as a text frame, or with its tensors as a binary one in fragments."""
        text = messages.dumps(message)
        try:
            if tensors:
                self._connection.send(self._fragments(text, tensors))  # type: ignore[arg-type]
            else:
                self._connection.send(text)
        except (websockets.ConnectionClosed, OSError) as error:
            raise LinkClosed("The connection to the bridge was lost.") from error

    def receive(self, timeout: Optional[float] = None) -> Optional[Arrived]:
        """The next message with its pixels; None after `timeout` seconds."""
        try:
            data = self._connection.next_message(timeout)
        except TimeoutError:
            return None
        except EOFError as error:
            raise LinkClosed("The connection to the bridge was lost.") from error
        try:
            return _read_text(data) if isinstance(data, str) else _read_frame(data)
        except (frames.FrameError, messages.MessageError) as error:
            _log.warning("the bridge sent an invalid message: %s", error)
            raise Misunderstood(
                "The bridge sent something that this plugin does not understand. "
                "Run `krita-bridge install` again so that both have the same version."
            ) from error

    def _fragments(self, text: str, tensors: Dict[str, Pixels]) -> Iterator[Buffer]:
        shapes = {name: pixels.shape for name, pixels in tensors.items()}
        yield frames.encode_header(text, shapes)
        for pixels in tensors.values():
            for piece in _pieces(pixels.strips):
                # Here no lock is held, so that messages go on coming in meanwhile.
                self._connection.writer.wait_for_room()
                yield piece

    def beat(self) -> None:
        """Ask for a sign of life; raises LinkClosed when the one before was never answered."""
        if self._pong is not None and not self._pong.is_set():
            self.abort()
            raise LinkClosed("The bridge does not answer any more.")
        try:
            self._pong = self._connection.ping()
        except (websockets.ConnectionClosed, OSError) as error:
            raise LinkClosed("The connection to the bridge was lost.") from error

    def close(self) -> None:
        """Say goodbye and close; at most half a second."""
        try:
            self._connection.close()
        except (websockets.ConnectionClosed, OSError):
            self.abort()

    def abort(self) -> None:
        """Close at once, also while another thread sends or receives."""
        self._connection.abort()


def open_link(run: RunFile) -> Link:
    """Connect to the bridge that wrote the run file, and have it prove that it did.

    Raises NobodyListens, NoAnswer, Impostor or Refused.
    """
    protocol = PatientProtocol(
        websockets.parse_uri(f"ws://127.0.0.1:{run.port}{PATH}"),
        max_size=limits.MAX_FRAME_BYTES,
        logger=logging.getLogger("krita_bridge.websockets"),
    )
    connection = ProvenConnection(run, _socket(run.port), protocol, close_timeout=0.5)
    try:
        connection.prove(HANDSHAKE_PATIENCE)
    except Exception as error:
        connection.close_socket()
        connection.recv_events_thread.join()
        raise _trouble(error) from error
    return Link(connection)


def _trouble(error: Exception) -> Exception:
    """What a handshake that failed means for the painter."""
    if isinstance(error, websockets.InvalidStatus):
        return Refused(_refusal(error))
    if isinstance(error, (ProofError, websockets.InvalidHandshake, ValueError)):
        return Impostor(_IMPOSTOR)
    if isinstance(error, (OSError, EOFError, TimeoutError, websockets.ConnectionClosed)):
        return NoAnswer("The bridge does not answer.")
    return error


_IMPOSTOR = (
    "Another program answered in the bridge's place, so nothing was sent to it. "
    "Start the bridge again with `krita-bridge serve`."
)


def _socket(port: int) -> socket.socket:
    try:
        found = socket.create_connection(("127.0.0.1", port), HANDSHAKE_PATIENCE)
    except ConnectionRefusedError as error:
        raise NobodyListens("The bridge is not running.") from error
    except OSError as error:
        raise NoAnswer("The bridge does not answer.") from error
    found.settimeout(None)
    found.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, True)
    # A bridge that stops reading must end the connection, not hold the sender for ever.
    if sys.platform == "win32":
        patience = struct.pack("L", SEND_PATIENCE * 1000)
    else:
        patience = struct.pack("ll", SEND_PATIENCE, 0)
    found.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, patience)
    return found


def _refusal(error: Any) -> str:
    """The sentence in the body of a refused handshake, made safe to show."""
    body = bytes(getattr(error.response, "body", None) or b"")[:400]
    text = " ".join(body.decode("utf-8", "replace").split())
    text = "".join(letter for letter in text if letter.isprintable())
    if error.response.status_code != 403 or not text:
        return _IMPOSTOR
    return f"The bridge refused the connection: {text}"


def _pieces(strips: Iterable[Buffer]) -> Iterator[Buffer]:
    size = limits.FRAGMENT_BYTES
    for strip in strips:
        view = memoryview(strip).cast("B")
        for start in range(0, view.nbytes, size):
            yield view[start : start + size]


def _read_text(text: str) -> Arrived:
    if len(text) > limits.MAX_TEXT_BYTES:
        raise messages.MessageError("A message without picture is too long.")
    message = messages.loads(text)
    if isinstance(message, _WITH_PICTURE):
        raise messages.MessageError("A picture came without its pixels.")
    return Arrived(_from_server(message))


def _read_frame(data: Buffer) -> Arrived:
    frame = frames.decode(data)
    message = _from_server(messages.loads(frame.message))
    if not isinstance(message, _WITH_PICTURE):
        raise messages.MessageError("A message without picture came with pixels.")
    tensors = dict(frame.tensors)
    tensor = tensors.pop(messages.IMAGE, None)
    shape = (message.bounds.height, message.bounds.width, 4)
    if tensor is None or tensor.shape != shape:
        raise messages.MessageError("The pixels are not of the size of the message's bounds.")
    maps = {}
    if isinstance(message, messages.Result):
        maps = {
            index: tensors.pop(control_tensor(index))
            for index in range(limits.MAX_CONTROLS)
            if control_tensor(index) in tensors
        }
    if tensors or any(len(kept.shape) != 3 or kept.shape[2] != 4 for kept in maps.values()):
        raise messages.MessageError("A message came with pixels that do not belong to it.")
    return Arrived(message, memoryview(tensor.data), maps)


def _from_server(message: messages.Message) -> messages.ServerMessage:
    if not isinstance(message, _SERVER_TYPES):
        raise messages.MessageError("The message is one for the bridge.")
    return message


__all__: List[str] = [
    "Impostor",
    "Link",
    "LinkClosed",
    "LinkError",
    "Misunderstood",
    "NoAnswer",
    "NobodyListens",
    "Pixels",
    "Refused",
    "open_link",
]

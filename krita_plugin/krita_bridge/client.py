"""The headless client: keeps one connection to the bridge alive and jobs safe across its breaks.

No method blocks. Everything that is heard arrives by `on_event`, called from the client's own thread. The
plugin and `krita-bridge paint` both use it.
"""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Callable, Dict, List, Mapping, Optional, Sequence, Union

from .finder import Finder, Hopeless, NotRunning
from .jobtable import JobTable
from .launcher import Launcher
from .link import (
    Impostor,
    Link,
    LinkClosed,
    LinkError,
    Misunderstood,
    NoAnswer,
    Pixels,
    Refused,
)
from .wire import limits, messages
from .wire.control import control_tensor
from .wire.frames import Buffer, Tensor
from .wire.reference import reference_tensor

FIRST_DELAY = 0.1
LAST_DELAY = 5.0
LAST_LAUNCH_DELAY = 60.0
BEAT = 15.0
WELCOME_PATIENCE = 10.0
GOODBYE_PATIENCE = 0.7
"""Seconds for what waits to be sent when the client is stopped, and for the goodbye."""
ABORT_PATIENCE = 0.3
"""Seconds for the thread to end once its connection was cut."""

_log = logging.getLogger("krita_bridge.client")


class ConnectionState(Enum):
    """Where the client stands with the bridge."""

    SEARCHING = "searching"
    STARTING_BRIDGE = "starting_bridge"
    CONNECTING = "connecting"
    CONNECTED = "connected"
    WAITING = "waiting"
    STOPPED = "stopped"
    FAILED = "failed"


@dataclass(frozen=True)
class ConnectionChanged:
    """The connection's state, in one sentence for the painter. The client goes on trying by itself."""

    state: ConnectionState
    sentence: str


@dataclass(frozen=True)
class Received:
    """A message of the bridge. `image` of a Preview or Result: BGRA, straight alpha, of its bounds. `maps` of a Result: those
    that were to be kept, by the number of their control, BGRA of the bounds that were submitted."""

    message: messages.ServerMessage
    image: Optional[memoryview] = None
    maps: Mapping[int, Tensor] = field(default_factory=dict)


Event = Union[ConnectionChanged, Received]


class _Backoff:
    """How long to wait before the next attempt: short at first, longer after each failure, s."""

    def __init__(self) -> None:
        self._soon = FIRST_DELAY
        self._late = LAST_DELAY

    def soon(self) -> float:
        delay, self._soon = self._soon, min(self._soon * 2, LAST_DELAY)
        return delay

    def late(self) -> float:
        delay, self._late = self._late, min(self._late * 2, LAST_LAUNCH_DELAY)
        return delay


class Client:
    """A client of the bridge whose home folder is `home`.

    `name` is for the log, `client_id` names the client across its runs: results are kept for it. Without
    a `launcher` it waits until someone starts a bridge.
    """

    def __init__(
        self,
        name: str,
        client_id: str,
        on_event: Callable[[Event], None],
        home: Path,
        launcher: Optional[Launcher] = None,
    ) -> None:
        self._hello = messages.Hello(limits.PROTOCOL, name[: limits.MAX_NAME_CHARACTERS], client_id)
        self._on_event = on_event
        self._finder = Finder(home, launcher, self._found, self._starting, self._rest)
        self._table = JobTable()
        self._stopping = threading.Event()
        self._wake = threading.Event()
        self._impatient = threading.Event()
        self._link: Optional[Link] = None
        self._last: Optional[ConnectionChanged] = None
        self._was_connected = False
        self._backoff = _Backoff()
        self._thread = threading.Thread(target=self._run, name="krita-bridge-link", daemon=True)

    # ---- for the painter's side, from any thread

    def start(self) -> None:
        """Begin to look for a bridge."""
        self._thread.start()

    def stop(self) -> None:
        """End the connection; small messages that wait are still sent.

        Returns within GOODBYE_PATIENCE + ABORT_PATIENCE seconds: Krita waits for it when it closes.
        """
        self._stopping.set()
        self._wake.set()
        self._table.close()
        if not self._thread.is_alive():
            return
        self._thread.join(GOODBYE_PATIENCE)
        link = self._link
        if self._thread.is_alive() and link is not None:
            link.abort()
            self._thread.join(ABORT_PATIENCE)

    def submit(
        self,
        submit: messages.Submit,
        image: Optional[Sequence[Buffer]] = None,
        mask: Optional[Sequence[Buffer]] = None,
        controls: Optional[Mapping[int, Sequence[Buffer]]] = None,
        references: Sequence[Pixels] = (),
    ) -> None:
        """Send a job. `image` (BGRA) and `mask` are the rows of `submit.bounds` in strips, not copied; so are `controls`
        (BGRA), by the number of the request's control that they belong to. `references` (BGRA, H x W x 4 of sizes of
        their own) are the pictures of the request's.

        The strips must not change until the job has ended: they are sent again when the bridge has lost it.
        Raises ValueError when their bytes do not match the bounds.
        """
        height, width = submit.bounds.height, submit.bounds.width
        tensors: Dict[str, Pixels] = {}
        if image is not None:
            tensors[messages.IMAGE] = Pixels((height, width, 4), image)
        if mask is not None:
            tensors[messages.MASK] = Pixels((height, width), mask)
        for index, picture in (controls or {}).items():
            tensors[control_tensor(index)] = Pixels((height, width, 4), picture)
        for index, reference in enumerate(references):
            tensors[reference_tensor(index)] = reference
        self._table.submit(submit, tensors)

    @property
    def is_full(self) -> bool:
        """Whether a job waits here for room in the bridge, or for a connection: another would only take memory."""
        return self._table.is_full

    def cancel(self, job: str) -> None:
        """Stop a job; its Ended arrives as an event, or its Result when it was done already."""
        self._table.cancel(job)
        self._wake.set()

    def acknowledge(self, job: str) -> None:
        """Tell the bridge that the result is safe here and may be forgotten there."""
        self._table.acknowledge(job)

    def resume(self, jobs: Sequence[str]) -> None:
        """Ask for jobs of an earlier run. Welcome's unacknowledged ones are asked for without this."""
        self._table.resume(jobs)

    def say(self, message: messages.ClientMessage, tensors: Mapping[str, Pixels]) -> bool:
        """Send a message that is forgotten with the connection, as for live painting; returns whether there is one."""
        return self._table.say(message, tensors)

    def try_now(self) -> None:
        """Do not wait any longer for the next attempt to find or start a bridge."""
        self._impatient.set()

    # ---- on the link's thread

    def _run(self) -> None:
        self._say(ConnectionState.SEARCHING, "Looking for the bridge...")
        while not self._stopping.is_set():
            try:
                self._serve(self._finder.connect())
            except LinkError as error:
                self._wait(self._after(error))
        self._say(ConnectionState.STOPPED, "The connection to the bridge is closed.")

    def _after(self, error: LinkError) -> float:
        """Tell the painter what went wrong; returns the seconds until the next attempt."""
        _log.info("no connection: %s", error)
        if self._was_connected:
            self._was_connected = False
            self._backoff = _Backoff()
        if isinstance(error, Hopeless):
            self._say(ConnectionState.FAILED, str(error))
            return self._backoff.late()
        if isinstance(error, (NotRunning, Impostor, Refused, Misunderstood)):
            self._say(ConnectionState.FAILED, str(error))
        else:
            self._say(ConnectionState.WAITING, "Reconnecting...")
        return self._backoff.soon()

    def _wait(self, seconds: float) -> None:
        """Rest until the next attempt, until someone has started a bridge or is impatient."""
        while seconds > 0 and not self._impatient.is_set():
            if not self._rest(min(seconds, 1.0)) or self._finder.has_news():
                break
            seconds -= 1.0
        self._impatient.clear()

    def _rest(self, seconds: float) -> bool:
        """Wait, but hand out what was cancelled meanwhile; False, at once, when stopped."""
        deadline = time.monotonic() + seconds
        while not self._stopping.is_set():
            self._hand_out_endings()
            left = deadline - time.monotonic()
            if left <= 0:
                return True
            self._wake.wait(left)
            self._wake.clear()
        return False

    def _found(self) -> None:
        if self._last is not None and self._last.state is ConnectionState.SEARCHING:
            self._say(ConnectionState.CONNECTING, "Connecting to the bridge...")

    def _starting(self) -> None:
        self._say(ConnectionState.STARTING_BRIDGE, "Starting the bridge...")

    def _serve(self, link: Link) -> None:
        """Run one connection until it ends; returns when stopped, raises LinkError when lost."""
        self._link = link
        sender: Optional[threading.Thread] = None
        try:
            if self._stopping.is_set():
                return
            link.send(self._hello)
            welcome = self._welcome(link)
            self._was_connected = True
            self._say(ConnectionState.CONNECTED, "Connected.")
            self._hand_out(Received(welcome))
            self._table.connected(welcome)
            sender = threading.Thread(
                target=self._send_all, args=(link,), name="krita-bridge-sender", daemon=True
            )
            sender.start()
            self._read_all(link)
        except LinkClosed:
            if not self._stopping.is_set():
                raise
        finally:
            self._table.disconnected()
            link.abort()
            self._link = None
            if sender is not None:
                sender.join(2.0)

    def _welcome(self, link: Link) -> messages.Welcome:
        received = link.receive(WELCOME_PATIENCE)
        if received is None:
            raise NoAnswer("The bridge does not answer.")
        message = received.message
        if isinstance(message, messages.Fault):
            raise Hopeless(f"{message.message} {message.hint}".strip())
        if not isinstance(message, messages.Welcome) or message.protocol != limits.PROTOCOL:
            raise Misunderstood(
                "The bridge and this plugin are of different versions. "
                "Run `krita-bridge install` again and restart Krita."
            )
        return message

    def _read_all(self, link: Link) -> None:
        while not self._stopping.is_set():
            self._hand_out_endings()
            received = link.receive(BEAT)
            if received is None:
                link.beat()
                continue
            heard = self._table.received(received.message)
            if heard is not None:
                self._hand_out(Received(heard, received.image, received.maps))

    def _send_all(self, link: Link) -> None:
        try:
            while self._link is link:
                outgoing = self._table.next_outgoing(BEAT)
                stopping = self._stopping.is_set()
                if outgoing is None and stopping:
                    link.close()
                    return
                if outgoing is None or (stopping and outgoing.tensors):
                    continue
                link.send(outgoing.message, dict(outgoing.tensors))
        except LinkError as error:
            _log.info("sending ended: %s", error)
            link.abort()

    def _hand_out_endings(self) -> None:
        endings: List[messages.Ended] = self._table.ended_here()
        for ended in endings:
            self._hand_out(Received(ended))

    def _say(self, state: ConnectionState, sentence: str) -> None:
        changed = ConnectionChanged(state, sentence)
        if changed != self._last:
            self._last = changed
            self._hand_out(changed)

    def _hand_out(self, event: Event) -> None:
        try:
            self._on_event(event)
        except Exception:
            # The painter's side failing on one event must not cost the connection.
            _log.exception("an event was not handled")

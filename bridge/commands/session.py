"""One job through the bridge and back, for a command: the plugin's client, made synchronous."""

from __future__ import annotations

import os
import queue
import secrets
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from bridge.errors import BridgeError, Code
from bridge.pixels import swap_red_and_blue
from krita_plugin.krita_bridge.client import (
    Client,
    ConnectionChanged,
    ConnectionState,
    Event,
    Received,
)
from krita_plugin.krita_bridge.launcher import LAUNCH_VARIABLE, Launcher
from krita_plugin.krita_bridge.link import Pixels
from krita_plugin.krita_bridge.wire import messages
from krita_plugin.krita_bridge.wire.frames import Tensor
from krita_plugin.krita_bridge.wire.geometry import Bounds, Extent

if TYPE_CHECKING:
    from bridge.engine.types import ImageU8, MaskU8

_CANCEL_PATIENCE = 10.0
_STRIP_ROWS = 256
_ENDINGS = (messages.Ended, messages.Result)


@dataclass(frozen=True)
class Listener:
    """What a command wants to hear while it waits."""

    on_sentence: Callable[[str], None]
    on_progress: Callable[[messages.Progress], None]
    on_preview: Callable[[int, Bounds, ImageU8], None] | None = None


@dataclass(frozen=True)
class Finished:
    """A result; `layer` is H x W x 4 RGBA at `bounds`, transparent where nothing was selected. `maps` are those of controls
    that were to be kept, by their number, RGBA of the bounds that were sent."""

    job: str
    layer: ImageU8
    bounds: Bounds
    facts: messages.ResultFacts
    maps: Mapping[int, ImageU8] = field(default_factory=dict)


@dataclass
class Session:
    """A connected client. Every wait ends with an answer or a BridgeError."""

    client: Client
    listener: Listener
    events: queue.Queue[Event]
    welcome: messages.Welcome = field(init=False)

    def preset(self, name: str) -> messages.PresetInfo:
        """The preset of that name, '' for the default; raises BridgeError (UNKNOWN_PRESET)."""
        wanted = name or self.welcome.default_preset
        for preset in self.welcome.presets:
            if preset.name == wanted:
                return preset
        names = ", ".join(preset.name for preset in self.welcome.presets)
        raise BridgeError(
            Code.UNKNOWN_PRESET, f"There is no preset {wanted!r}.", f"Choose one of: {names}."
        )

    def paint(
        self,
        request: messages.PaintRequest,
        canvas: Extent,
        bounds: Bounds,
        image: ImageU8 | None,
        mask: MaskU8 | None,
        references: Sequence[ImageU8] = (),
        controls: Mapping[int, ImageU8] | None = None,
    ) -> Finished:
        """Run one job. `image` (RGBA) and `mask` are of the size of `bounds`. `references` (RGBA, each of a size of its
        own) are the pictures of the request's; `controls` (RGBA, of the size of `bounds`) those of its controls, by number.

        KeyboardInterrupt cancels the job and comes out as a BridgeError (CANCELLED).
        """
        previews = self.listener.on_preview is not None
        try:
            submit = messages.Submit(uuid.uuid4().hex, request, canvas, bounds, "", previews)
        except messages.MessageError as error:
            raise BridgeError(Code.BAD_INPUT, str(error)) from error
        colours = None if image is None else _strips(swap_red_and_blue(image))
        self.client.submit(
            submit,
            colours,
            None if mask is None else _strips(mask),
            references=[
                Pixels(each.shape, _strips(swap_red_and_blue(each))) for each in references
            ],
            controls={
                number: _strips(swap_red_and_blue(each))
                for number, each in (controls or {}).items()
            },
        )
        try:
            return self._finish(submit.job)
        except KeyboardInterrupt:
            self._cancel(submit.job)
            raise BridgeError(Code.CANCELLED, "Cancelled.") from None

    def acknowledge(self, finished: Finished) -> None:
        """The result is safe here: the bridge may forget it."""
        self.client.acknowledge(finished.job)

    def greet(self) -> None:
        """Wait until the bridge has said welcome."""
        while True:
            message = self._next_message()
            if message is not None and isinstance(message.message, messages.Welcome):
                self.welcome = message.message
                self._tell_status(self.welcome.status)
                return

    def _finish(self, job: str) -> Finished:
        while True:
            received = self._next_message()
            if received is None or getattr(received.message, "job", job) != job:
                continue
            message = received.message
            if isinstance(message, messages.Result):
                layer = _pixels(received, message.bounds)
                maps = {number: _map(kept) for number, kept in received.maps.items()}
                return Finished(job, layer, message.bounds, message.facts, maps)
            if isinstance(message, messages.Ended):
                raise _error(message.code, message.message or "Cancelled.", message.hint)
            if isinstance(message, messages.Fault) and message.job == job:
                raise _error(message.code, message.message, message.hint)
            self._tell(received)

    def _tell(self, received: Received) -> None:
        message = received.message
        if isinstance(message, messages.Progress):
            self.listener.on_progress(message)
        elif isinstance(message, messages.Preview) and self.listener.on_preview is not None:
            self.listener.on_preview(
                message.step, message.bounds, _pixels(received, message.bounds)
            )
        elif isinstance(message, messages.Accepted) and message.position > 0:
            self.listener.on_sentence(f"Waiting for {message.position} other jobs...")
        elif isinstance(message, messages.EngineStatus):
            self._tell_status(message)
        elif isinstance(message, messages.Fault):
            self.listener.on_sentence(f"{message.message} {message.hint}".strip())

    def _tell_status(self, status: messages.EngineStatus) -> None:
        if status.state not in (messages.EngineState.READY, messages.EngineState.BUSY):
            self.listener.on_sentence(status.sentence)

    def _next_message(self) -> Received | None:
        """The next event; None for one about the connection, which is told. Raises when it failed."""
        while True:
            try:
                # A wait without end could not be interrupted by Ctrl+C on Windows.
                event = self.events.get(timeout=0.2)
            except queue.Empty:
                continue
            if isinstance(event, Received):
                return event
            if event.state is ConnectionState.FAILED:
                raise BridgeError(Code.NOT_RUNNING, event.sentence)
            if event.state in (ConnectionState.STARTING_BRIDGE, ConnectionState.WAITING):
                self.listener.on_sentence(event.sentence)

    def _cancel(self, job: str) -> None:
        self.client.cancel(job)
        deadline = time.monotonic() + _CANCEL_PATIENCE
        while time.monotonic() < deadline:
            try:
                event = self.events.get(timeout=0.2)
            except queue.Empty:
                continue
            if isinstance(event, ConnectionChanged) or not isinstance(event.message, _ENDINGS):
                continue
            if event.message.job == job:
                # A result that was faster than the cancel is not wanted either.
                self.client.acknowledge(job)
                return


@contextmanager
def open_session(home: Path, listener: Listener) -> Iterator[Session]:
    """Find or start the bridge of `home` and connect; the bridge is left to its idle exit."""
    events: queue.Queue[Event] = queue.Queue()
    own = [sys.executable, "-m", "bridge.cli"]
    launcher = Launcher(home, None if os.environ.get(LAUNCH_VARIABLE) else own)
    # Results are kept for a client id; a command that ends without its result never asks for it again.
    client_id = f"paint-{secrets.token_hex(8)}"
    client = Client("krita-bridge paint", client_id, events.put, home, launcher)
    client.start()
    try:
        session = Session(client, listener, events)
        session.greet()
        yield session
    finally:
        client.stop()


def _strips(pixels: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]) -> list[memoryview]:
    return [
        np.ascontiguousarray(pixels[top : top + _STRIP_ROWS]).data.cast("B")
        for top in range(0, len(pixels), _STRIP_ROWS)
    ]


def _pixels(received: Received, bounds: Bounds) -> ImageU8:
    assert received.image is not None  # the link has checked it
    flat = np.frombuffer(received.image, np.uint8)
    return swap_red_and_blue(flat.reshape(bounds.height, bounds.width, 4))


def _map(kept: Tensor) -> ImageU8:
    return swap_red_and_blue(np.frombuffer(kept.data, np.uint8).reshape(kept.shape))


def _error(code: str, message: str, hint: str) -> BridgeError:
    known = code if code in {each.value for each in Code} else Code.INTERNAL.value
    return BridgeError(Code(known), message, hint)

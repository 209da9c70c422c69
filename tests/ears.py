"""Listening to a client of the bridge, and a job for it, for tests."""

from __future__ import annotations

import queue
import time

from krita_plugin.krita_bridge.client import (
    ConnectionChanged,
    ConnectionState,
    Event,
    Received,
)
from krita_plugin.krita_bridge.wire import frames, messages
from krita_plugin.krita_bridge.wire.geometry import Bounds, Extent
from tests.bridge_process import PATIENCE

CANVAS = Extent(400, 300)
BOUNDS = Bounds(20, 10, 64, 48)


class Ears:
    """Collects a client's events and waits for the one that a test is about."""

    def __init__(self) -> None:
        self.events: queue.Queue[Event] = queue.Queue()
        self.all: list[Event] = []

    def __call__(self, event: Event) -> None:
        self.all.append(event)
        self.events.put(event)

    def until(self, kind: type, job: str = "") -> Received:
        deadline = time.monotonic() + PATIENCE
        while True:
            event = self.events.get(timeout=max(0.01, deadline - time.monotonic()))
            if not (isinstance(event, Received) and isinstance(event.message, kind)):
                continue
            if not job or getattr(event.message, "job", "") == job:
                return event

    def until_state(self, state: ConnectionState) -> ConnectionChanged:
        deadline = time.monotonic() + PATIENCE
        while True:
            event = self.events.get(timeout=max(0.01, deadline - time.monotonic()))
            if isinstance(event, ConnectionChanged) and event.state is state:
                return event

    def states(self) -> list[ConnectionState]:
        return [event.state for event in self.all if isinstance(event, ConnectionChanged)]

    def heard(self, kind: type) -> list[Received]:
        return [e for e in self.all if isinstance(e, Received) and isinstance(e.message, kind)]


def submit(job: str, prompt: str = "a red boat") -> messages.Submit:
    return messages.Submit(job, messages.PaintRequest(prompt, seed=1), CANVAS, BOUNDS, "note")


def strips(channels: int, rows: int = 7) -> list[bytes]:
    """The pixels of BOUNDS in strips of `rows` rows, every byte different from its neighbours."""
    row_bytes = BOUNDS.width * channels
    whole = bytes(i * 37 % 251 for i in range(row_bytes * BOUNDS.height))
    return [whole[i : i + rows * row_bytes] for i in range(0, len(whole), rows * row_bytes)]


def echo(submitted: messages.Submit, frame: frames.Frame | None) -> bytes:
    assert frame is not None
    return bytes(frame.tensors[messages.IMAGE].data)

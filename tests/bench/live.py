"""What live painting costs: bytes of a stroke, looking at a canvas at rest, and the way from a stroke to its picture.

The plugin's own client and change detection, on a canvas in memory, against the bridge with the embedded model on one
thread. Where there is a Krita, the same detection reads its canvas.
"""

from __future__ import annotations

import queue
import shutil
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from krita_plugin.krita_bridge.capture import Plan
from krita_plugin.krita_bridge.client import Client, ConnectionChanged, ConnectionState, Event
from krita_plugin.krita_bridge.link import Pixels as Strips
from krita_plugin.krita_bridge.live.follow import Follow, Wanted
from krita_plugin.krita_bridge.live.watch import Watch
from krita_plugin.krita_bridge.wire.geometry import Bounds, Extent
from krita_plugin.krita_bridge.wire.messages import (
    ClientMessage,
    EngineState,
    EngineStatus,
    LivePicture,
    PaintRequest,
)
from tests.bench.bridge import REAL, _bridge, _figures, _ms, _p95
from tests.bridge_process import PATIENCE
from tests.krita.harness import HostBridge, Krita, find

SIDES = (1024, 2048, 4096)
SELECTED = 512
STROKE = (300, 60)
"""Width and height of a typical stroke, px."""

LOOKS = 20
LIVE_SIDE = 256
STROKES = 20
EDITS = 50
STRENGTH = 0.4


class Canvas:
    """A square canvas in memory."""

    def __init__(self, side: int) -> None:
        self.pixels = np.full((side, side, 4), 255, np.uint8)
        self.extent = Extent(side, side)

    def is_idle(self) -> bool:
        return True

    def read_image(self, area: Bounds) -> bytes:
        return self.pixels[area.y : area.bottom, area.x : area.right].tobytes()

    def read_mask(self, area: Bounds) -> bytes:
        return b"\xff" * (area.width * area.height)

    def stroke(self, number: int) -> None:
        """A bar somewhere, in a colour that was not there."""
        width, height = min(STROKE[0], self.extent.width // 3), STROKE[1] // 3
        x, y = (37 * number) % width, (53 * number) % (self.extent.height - height)
        self.pixels[y : y + height, x : x + width, :3] = (number * 7 % 251, number % 256, 90)


def run() -> dict[str, object]:
    """Times in ms, minimum and median unless it says otherwise."""
    figures: dict[str, object] = {"stroke_bytes": stroke_bytes(), "look": looks()}
    if shutil.which("krita") is not None:
        figures["look_krita"] = looks_in_krita()
    with _bridge(REAL) as (process, _):
        process.wait_until_listening()
        with Painter(process.home) as painter:
            figures["stroke_to_picture"] = painter.strokes()
            figures["rest"] = painter.rest()
            figures["burst"] = painter.burst()
    return figures


def stroke_bytes() -> dict[str, int]:
    """What an update carries for one stroke of STROKE px across a canvas of 1024 px, wherever it lies."""
    canvas = Canvas(1024)
    watch = Watch(Plan(canvas.extent, Bounds.of_canvas(canvas.extent), True, False))
    sizes = []
    _look(watch, canvas)
    watch.take()
    for number in range(40):
        x, y = (31 * number) % (1024 - STROKE[0]), (61 * number) % (1024 - STROKE[1])
        canvas.pixels[y : y + STROKE[1], x : x + STROKE[0], 0] = number
        _look(watch, canvas)
        sizes.append(sum(map(len, watch.take()["image"].values())))
    found = {"median": int(statistics.median(sizes)), "max": max(sizes)}
    print(
        f"a stroke of {STROKE[0]} x {STROKE[1]} px: {found['median'] / 1024:.0f} KiB, most {found['max'] / 1024:.0f} KiB"
    )
    return found


def looks() -> dict[str, object]:
    """A look at a canvas at rest: an area of SELECTED px on canvases of all sides, and all of each up to 2048 px."""
    figures: dict[str, object] = {}
    for side in SIDES:
        canvas = Canvas(side)
        middle = (side - SELECTED) // 2
        areas = {"selected": Bounds(middle, middle, SELECTED, SELECTED)}
        if side <= 2048:
            areas["whole"] = Bounds.of_canvas(canvas.extent)
        for name, area in areas.items():
            watch = Watch(Plan(canvas.extent, area, True, False))
            _look(watch, canvas)
            watch.take()
            times = [
                _timed(lambda watch=watch, canvas=canvas: _look(watch, canvas))
                for _ in range(LOOKS)
            ]
            assert watch.take() == {"image": {}}
            figures[f"{side}px_{name}"] = _figures(times)
            print(f"a look at {area.width} px of {side} px, in memory: {_microseconds(times)}")
    return figures


_LOOK_IN_KRITA = """\
import time
from krita_bridge import document as documents
from krita_bridge.capture import Plan
from krita_bridge.live.watch import Watch
from krita_bridge.wire.geometry import Bounds
document = documents.active_document()
canvas = document.canvas()
middle = (canvas.width - {selected}) // 2
watch = Watch(Plan(canvas, Bounds(middle, middle, {selected}, {selected}), True, False))
times = []
for _ in range({looks} + 1):
    began = time.perf_counter()
    list(watch.look(document))
    times.append(1000 * (time.perf_counter() - began))
times[1:]
"""


def looks_in_krita() -> dict[str, object]:
    """As `looks`, reading Krita's own canvas."""
    figures: dict[str, object] = {}
    install = find()
    with HostBridge(install) as bridge, Krita(install, bridge.prepare) as krita:
        for side in SIDES:
            krita.new_document(side, side).settle()
            times = krita.evaluate(_LOOK_IN_KRITA.format(selected=SELECTED, looks=LOOKS))
            figures[f"{side}px_selected"] = _figures(times)
            print(f"a look at {SELECTED} px of {side} px, in Krita: {_microseconds(times)}")
            krita.close_all()
    return figures


class Painter:
    """Live painting as the plugin does it, with a canvas in memory. Use as a context manager."""

    def __init__(self, home: Any) -> None:
        self._events: queue.Queue[Event] = queue.Queue()
        self._client = Client("bench", "bench", self._events.put, home)
        self._follow = Follow(self, time.monotonic)
        self._canvas = Canvas(LIVE_SIDE)
        plan = Plan(self._canvas.extent, Bounds.of_canvas(self._canvas.extent), True, False)
        self._wanted = Wanted("canvas", plan, PaintRequest("a lake", strength=STRENGTH))
        self._sent = self._updates = self._pictures = self._revision = self._shown = 0

    def __enter__(self) -> Painter:
        self._client.start()
        self._hear_until(
            lambda event: (
                isinstance(event, ConnectionChanged) and event.state is ConnectionState.CONNECTED
            )
        )
        self._hear_until(_is_ready)
        for number in range(3):  # the first pictures of a process are slow
            self._paint(number + 1)
        return self

    def __exit__(self, *exc: object) -> None:
        self._follow.stop()
        self._client.stop()

    def say(self, message: ClientMessage, tensors: Mapping[str, Strips]) -> bool:
        self._updates += 1
        self._sent += sum(memoryview(strip).nbytes for t in tensors.values() for strip in t.strips)
        self._revision = getattr(message, "revision", self._revision)
        return self._client.say(message, tensors)

    def strokes(self) -> dict[str, object]:
        times = [self._paint(number + 10) for number in range(STROKES)]
        print(
            f"a stroke to its picture at {LIVE_SIDE} px, p50 {statistics.median(times):.0f} ms, p95 {_p95(times):.0f} ms"
        )
        return {**_figures(times), "p95": _p95(times)}

    def rest(self) -> dict[str, int]:
        sent, updates, pictures = self._sent, self._updates, self._pictures
        for _ in range(LOOKS):
            self._look()
        found = {
            "bytes": self._sent - sent,
            "updates": self._updates - updates,
            "pictures": self._pictures - pictures,
        }
        print(f"{LOOKS} looks at a canvas at rest: {found}")
        return found

    def burst(self) -> dict[str, object]:
        pictures, updates = self._pictures, self._updates
        for number in range(EDITS):
            self._canvas.stroke(number + 100)
            self._look()
            self._look()  # at rest, so that each is sent
        self._wait_for_the_latest()
        found = {
            "edits": EDITS,
            "sent": self._updates - updates,
            "pictures": self._pictures - pictures,
        }
        print(f"a burst: {found}, the last one shown")
        return found

    def _paint(self, number: int) -> float:
        """Draw a stroke; the ms until its picture is here."""
        self._canvas.stroke(number)
        began = time.perf_counter()
        self._look()
        self._wait_for_the_latest()
        return _ms(began)

    def _look(self) -> None:
        for _ in self._follow.look(self._canvas, self._wanted):
            pass

    def _wait_for_the_latest(self) -> None:
        until = time.monotonic() + PATIENCE
        while self._shown < self._revision:
            assert time.monotonic() < until, "the picture did not come"
            self._hear(0.5)

    def _hear(self, seconds: float) -> Event | None:
        try:
            event = self._events.get(timeout=seconds)
        except queue.Empty:
            return None
        message = getattr(event, "message", None)
        if isinstance(message, LivePicture) and self._follow.arrived(message):
            self._pictures += 1
            self._shown = message.revision
        return event

    def _hear_until(self, condition: Callable[[Event], bool]) -> None:
        until = time.monotonic() + PATIENCE
        while True:
            assert time.monotonic() < until, "the bridge is not ready"
            event = self._hear(0.5)
            if event is not None and condition(event):
                return


def _is_ready(event: Event) -> bool:
    message = getattr(event, "message", None)
    status = getattr(message, "status", message)
    return isinstance(status, EngineStatus) and status.state is EngineState.READY


def _look(watch: Watch, canvas: Canvas) -> None:
    for _ in watch.look(canvas):
        pass


def _microseconds(times: Sequence[float]) -> str:
    return f"min {1000 * min(times):.0f}, median {1000 * statistics.median(times):.0f} microseconds"


def _timed(work: Callable[[], None]) -> float:
    began = time.perf_counter()
    work()
    return _ms(began)

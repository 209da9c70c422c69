"""What live painting costs: bytes of a stroke, looking at a canvas at rest, and the way from a stroke to its picture.

The plugin's own client and change detection, on a canvas in memory, against the bridge with the embedded model on one
thread; how soon a stale picture makes way, against the bridge with an engine that does nothing but take its time. Where there
is a Krita, the same detection reads its canvas. Each row says what was wanted (`goals`).
"""

from __future__ import annotations

import asyncio
import queue
import shutil
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from bridge.live.economy import TARGET_SECONDS
from bridge.presets import DEFAULT_PRESET, load_presets
from krita_plugin.krita_bridge.capture import Plan
from krita_plugin.krita_bridge.client import Client, ConnectionChanged, ConnectionState, Event
from krita_plugin.krita_bridge.gather import Layer
from krita_plugin.krita_bridge.link import Pixels as Strips
from krita_plugin.krita_bridge.live.follow import Follow, Wanted
from krita_plugin.krita_bridge.live.watch import Watch
from krita_plugin.krita_bridge.wire import tiles
from krita_plugin.krita_bridge.wire.frames import Tensor
from krita_plugin.krita_bridge.wire.geometry import Bounds, Extent
from krita_plugin.krita_bridge.wire.messages import (
    ClientMessage,
    EngineState,
    EngineStatus,
    LivePicture,
    LiveUpdate,
    PaintRequest,
)
from tests.bench import engine
from tests.bench.bridge import REAL, _bridge, _figures, _ms, _p95
from tests.bench.goals import row
from tests.bridge_process import FAKE, PATIENCE, BareClient, client
from tests.krita.harness import HostBridge, Krita, find

SIDES = (1024, 2048, 4096)
SMALL, LARGE = 1024, 8192
"""Canvases on which the same selection must cost the same."""

SELECTED = 512
STROKE = (300, 60)
"""Width and height of a typical stroke, px."""

LOOKS = 20
LIVE_SIDE = 256
STROKES = 20
EDITS = 50
STALE = 12
STEP_SECONDS = 0.2
"""A step of the engine that only takes its time."""

LOADING = 900.0
"""Seconds for a model of 10 GB to be read and hashed (`gpu.py`)."""

FRAME_SIDES = (64, 256)
STRENGTH = 0.4
_REQUEST = PaintRequest("a lake", strength=STRENGTH)
_NO_CONTROLS: Mapping[str, tuple[str, Layer]] = {}


class Canvas:
    """A square canvas in memory."""

    def __init__(self, side: int) -> None:
        self.pixels = np.zeros(
            (side, side, 4), np.uint8
        )  # memory that is never written to costs nothing
        self.extent = Extent(side, side)

    def is_idle(self) -> bool:
        return True

    def read_image(self, area: Bounds) -> bytes:
        return self.pixels[area.y : area.bottom, area.x : area.right].tobytes()

    def read_mask(self, area: Bounds) -> bytes:
        return b"\xff" * (area.width * area.height)

    def stroke(self, number: int, area: Bounds) -> None:
        """A bar somewhere in `area`, in a colour that was not there."""
        width, height = min(STROKE[0], area.width // 3), STROKE[1] // 3
        x = area.x + (37 * number) % width
        y = area.y + (53 * number) % (area.height - height)
        self.pixels[y : y + height, x : x + width] = (number * 7 % 251, number % 256, 90, 255)


def run() -> dict[str, object]:
    """Times in ms, minimum and median unless it says otherwise."""
    figures: dict[str, object] = {"stroke_bytes": stroke_bytes(), "look": looks()}
    figures["growth"] = growth()
    if shutil.which("krita") is not None:
        figures["look_krita"] = looks_in_krita()
    with _bridge(REAL) as (process, _):
        process.wait_until_listening()
        with Painter(process.home, LIVE_SIDE) as painter:
            figures["stroke_to_picture"] = painter.strokes()
            figures["rest"] = painter.rest()
            figures["burst"] = painter.burst()
        with (
            Painter(process.home, SMALL, "small") as small,
            Painter(process.home, LARGE, "large") as large,
        ):
            figures["growth_of_latency"] = growth_of_latency(small, large)
    figures["stale"] = asyncio.run(stale())
    figures["frame"] = frames_beyond_the_model()
    return figures


def stroke_bytes() -> dict[str, object]:
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
    return {
        **found,
        **row(
            f"bytes of a stroke of {STROKE[0]} x {STROKE[1]} px",
            f"median {found['median'] / 1024:.0f} KiB, most {found['max'] / 1024:.0f} KiB",
            "256 KiB",
            found["max"] <= 256 * 1024,
        ),
    }


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


def growth() -> dict[str, object]:
    """A look at a canvas at rest and the bytes of a stroke: the same selection on a small and on a large canvas, in turn."""
    canvases = {side: Canvas(side) for side in (SMALL, LARGE)}
    watches = {side: Watch(_middle(canvas, SELECTED)) for side, canvas in canvases.items()}
    times: dict[int, list[float]] = {SMALL: [], LARGE: []}
    sent: dict[int, int] = {}
    for side, canvas in canvases.items():
        _look(watches[side], canvas)
        watches[side].take()
        area = watches[side].plan.bounds
        canvas.pixels[area.y + 70 : area.y + 70 + STROKE[1], area.x + 40 : area.x + 340] = 200
        _look(watches[side], canvas)
        sent[side] = sum(map(len, watches[side].take()["image"].values()))
    for _ in range(10 * LOOKS):
        for side, canvas in canvases.items():
            times[side].append(_timed(partial(_look, watches[side], canvas)))
    ratio = statistics.median(times[LARGE]) / statistics.median(times[SMALL])
    return {
        **{f"{side}px": _figures(each) for side, each in times.items()},
        "bytes": list(sent.values()),
        **row(
            f"a look at {SELECTED} px and a stroke's bytes, canvas of {LARGE} px against {SMALL} px",
            f"{ratio:.2f} times the time, {sent[LARGE] / sent[SMALL]:.2f} times the bytes",
            "1.05 times each",
            max(ratio, sent[LARGE] / sent[SMALL]) <= 1.05,
        ),
    }


def growth_of_latency(small: Painter, large: Painter) -> dict[str, object]:
    """From a stroke to its picture, the same selection on a small and on a large canvas, in turn."""
    times: dict[str, list[float]] = {"small": [], "large": []}
    for number in range(STROKES):
        times["small"].append(small.paint(number + 10))
        times["large"].append(large.paint(number + 10))
    # Pairs: another program, or the economy, may make the later ones slower than the earlier ones.
    ratio = statistics.median(b / a for a, b in zip(times["small"], times["large"], strict=True))
    return {
        **{name: _figures(each) for name, each in times.items()},
        **row(
            f"a stroke to its picture, {LIVE_SIDE} px of a canvas of {LARGE} px against {SMALL} px",
            f"{ratio:.2f} times",
            "1.05 times",
            ratio <= 1.05,
        ),
    }


async def stale() -> dict[str, object]:
    """How long the newest edit waits for a picture that is out of date, beyond what it takes alone: in steps of
    STEP_SECONDS, of which the stale one has many."""
    alone, waits = [], []
    with _bridge(FAKE) as (process, _):
        async with client(process.wait_until_listening()) as painter:
            for number in range(STALE):
                alone.append(await _painted(painter, 3 * number + 1))
                await painter.send(*_whole(3 * number + 2, f"steps=50 pause={STEP_SECONDS}"))
                # At another place within a step each time.
                await asyncio.sleep(STEP_SECONDS * (1 + number / STALE))
                waits.append(await _painted(painter, 3 * number + 3))
    waits = [(wait - statistics.median(alone)) / STEP_SECONDS for wait in waits]
    p95 = _p95(waits)
    return {
        "steps": {"median": statistics.median(waits), "p95": p95, "max": max(waits)},
        **row(
            "the newest edit waits for a stale picture",
            f"median {statistics.median(waits):.2f} steps, p95 {p95:.2f}, most {max(waits):.2f}",
            "one step",
            p95 <= 1,
        ),
    }


async def _painted(painter: BareClient, revision: int) -> float:
    """Seconds from an edit that is painted in no time to its picture."""
    began = time.perf_counter()
    await painter.send(*_whole(revision, "steps=1"))
    picture, _ = await painter.until(LivePicture)
    assert isinstance(picture, LivePicture) and picture.revision == revision
    return time.perf_counter() - began


def _whole(revision: int, prompt: str) -> tuple[LiveUpdate, tuple[str, Tensor]]:
    """An update with all of a canvas of one tile."""
    area, data = Bounds(0, 0, tiles.TILE, tiles.TILE), bytes(4 * tiles.TILE**2)
    hashes = tiles.TileHashes(area)
    hashes.set(0, data)
    update = LiveUpdate(
        "bench", revision, 0, PaintRequest(prompt), area.extent, area, True, False, (0,), (), tiles.digest_of(hashes)
    )  # fmt: skip
    return update, ("image", Tensor((len(data),), data))


def frames_beyond_the_model() -> dict[str, object]:
    """A live frame of one step beyond the model's own time, against diffusers' img2img pipeline and a bare loop."""
    found: dict[str, object] = {}
    with engine.one_thread():
        for side in FRAME_SIDES:
            figures = engine.overhead(side, 1)
            found[f"{side}px"] = {**figures, **engine.ratio_row(side, 1, figures)}
    return found


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

    def __init__(
        self,
        home: Any,
        side: int,
        name: str = "bench",
        area: int = LIVE_SIDE,
        request: PaintRequest = _REQUEST,
        controls: Mapping[str, tuple[str, Layer]] = _NO_CONTROLS,
    ) -> None:
        """The middle `area` px of a canvas of `side` px; `controls` as in `Wanted`."""
        self._events: queue.Queue[Event] = queue.Queue()
        self._client = Client("bench", name, self._events.put, home)
        self._follow = Follow(self, time.monotonic)
        self._canvas = Canvas(side)
        plan = _middle(self._canvas, area)
        self._area = plan.bounds
        self._wanted = Wanted("canvas", plan, request, controls)
        self._full: list[bool] = []
        self._sent = self._updates = self._pictures = self._revision = self._shown = 0

    def __enter__(self) -> Painter:
        self._client.start()
        self._hear_until(
            lambda event: (
                isinstance(event, ConnectionChanged) and event.state is ConnectionState.CONNECTED
            )
        )
        self._hear_until(_is_ready, LOADING)
        for number in range(3):  # the first pictures of a process are slow
            self.paint(number + 1)
        return self

    def __exit__(self, *exc: object) -> None:
        self._follow.stop()
        self._client.stop()

    @property
    def full_share(self) -> float:
        """Of all pictures so far, how many were painted with all of the work, 0 to 1."""
        return statistics.mean(self._full)

    def say(self, message: ClientMessage, tensors: Mapping[str, Strips]) -> bool:
        self._updates += 1
        self._sent += sum(memoryview(strip).nbytes for t in tensors.values() for strip in t.strips)
        self._revision = getattr(message, "revision", self._revision)
        return self._client.say(message, tensors)

    def strokes(self) -> dict[str, object]:
        self._full.clear()
        times = [self.paint(number + 10) for number in range(STROKES)]
        p50, target = statistics.median(times), 1000 * TARGET_SECONDS
        steps = load_presets()[DEFAULT_PRESET].live.steps
        return {
            **_figures(times),
            "p95": _p95(times),
            **row(
                f"a stroke to its picture at {LIVE_SIDE} px, {STRENGTH:.0%} of {steps} steps, embedded model",
                f"p50 {p50:.0f} ms, p95 {_p95(times):.0f} ms, {sum(self._full)} of {len(self._full)} with all of the work",
                f"p50 of {target:.0f} ms, which the economy aims at",
                p50 <= target,
            ),
        }

    def rest(self) -> dict[str, object]:
        self._wait_for_the_full_one()
        sent, updates, pictures = self._sent, self._updates, self._pictures
        for _ in range(LOOKS):
            self._look()
        found = {
            "bytes": self._sent - sent,
            "updates": self._updates - updates,
            "pictures": self._pictures - pictures,
        }
        return {
            **found,
            **row(
                f"{LOOKS} looks at a canvas at rest",
                ", ".join(f"{number} {what}" for what, number in found.items()),
                "0 bytes, 0 model calls",
                not any(found.values()),
            ),
        }

    def burst(self) -> dict[str, object]:
        pictures, updates = self._pictures, self._updates
        for number in range(EDITS):
            self._canvas.stroke(number + 100, self._area)
            self._look()
            self._look()  # at rest, so that each is sent
        self._wait_for_the_latest()
        found = {"sent": self._updates - updates, "pictures": self._pictures - pictures}
        return {
            **found,
            **row(
                f"a burst of {EDITS} edits",
                f"{found['sent']} updates, {found['pictures']} pictures, the last edit's shown",
                "the last edit shown, at most one waiting",
                self._shown == self._revision,
            ),
        }

    def paint(self, number: int) -> float:
        """Draw a stroke; the ms until its picture is here. Each number is another stroke."""
        self._canvas.stroke(number, self._area)
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

    def _wait_for_the_full_one(self) -> None:
        until = time.monotonic() + PATIENCE
        while not self._full[-1]:
            assert time.monotonic() < until, "the full picture did not come"
            self._hear(0.5)

    def _hear(self, seconds: float) -> Event | None:
        try:
            event = self._events.get(timeout=seconds)
        except queue.Empty:
            return None
        message = getattr(event, "message", None)
        if isinstance(message, LivePicture) and self._follow.arrived(message):
            self._pictures += 1
            self._full.append(message.full)
            self._shown = message.revision
        return event

    def _hear_until(self, condition: Callable[[Event], bool], patience: float = PATIENCE) -> None:
        until = time.monotonic() + patience
        while True:
            assert time.monotonic() < until, "the bridge is not ready"
            event = self._hear(0.5)
            if event is not None and condition(event):
                return


def _middle(canvas: Canvas, side: int) -> Plan:
    left, top = (canvas.extent.width - side) // 2, (canvas.extent.height - side) // 2
    return Plan(canvas.extent, Bounds(left, top, side, side), True, False)


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

"""Live painting from the canvas to the picture: what is painted is what the canvas shows, and the last edit always is."""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bridge.live.mirror import Drift, Mirror
from bridge.server.dispatcher import Dispatcher
from bridge.server.outbox import Outbox
from bridge.server.store import Store
from krita_plugin.krita_bridge.capture import Plan
from krita_plugin.krita_bridge.link import Pixels as Strips
from krita_plugin.krita_bridge.live.follow import Follow, Wanted
from krita_plugin.krita_bridge.wire import frames, messages
from krita_plugin.krita_bridge.wire.frames import Buffer, Frame, Tensor
from krita_plugin.krita_bridge.wire.geometry import Bounds, Extent
from krita_plugin.krita_bridge.wire.messages import (
    Cancel,
    Ended,
    EngineState,
    EngineStatus,
    JobState,
    LivePicture,
    LiveResync,
    LiveStop,
    LiveUpdate,
    PaintRequest,
    Result,
    ResultFacts,
    Submit,
)

CANVAS = Extent(200, 170)
AREAS = (Bounds(0, 0, 200, 170), Bounds(30, 20, 64, 64), Bounds(70, 1, 129, 130))
FACTS = ResultFacts("", "", "p", 1, 1.0, 2, 2, 1.0, "s", "m", "", 8, 8, 0.1, "0")
READY = EngineStatus(EngineState.READY, "Ready.")
PAINTING = EngineStatus(EngineState.BUSY, "Painting.")


class Canvas:
    """What the painter sees, and counts how often it is read."""

    def __init__(self) -> None:
        self.image = np.zeros((CANVAS.height, CANVAS.width, 4), np.uint8)
        self.mask = np.full((CANVAS.height, CANVAS.width), 255, np.uint8)

    def is_idle(self) -> bool:
        return True

    def read_image(self, area: Bounds) -> bytes:
        return self.image[area.y : area.bottom, area.x : area.right].tobytes()

    def read_mask(self, area: Bounds) -> bytes:
        return self.mask[area.y : area.bottom, area.x : area.right].tobytes()


class Worker:
    """Stands for the supervisor: holds at most the one job it was sent, and what was cancelled."""

    def __init__(self) -> None:
        self.job: Submit | None = None
        self.frame = Frame("", {})
        self.cancelled: set[str] = set()
        self.most = 0

    def send(self, buffers: Sequence[Buffer]) -> None:
        frame = frames.decode(b"".join(buffers))
        message = messages.loads(frame.message)
        if isinstance(message, Cancel):
            self.cancelled.add(message.job)
        elif isinstance(message, Submit):
            assert self.job is None, "two jobs at a time"
            self.job, self.frame = message, frame

    def revive(self) -> None:
        raise AssertionError("the worker never died")

    def kill(self) -> None:
        raise AssertionError("the worker never hung")


class Studio:
    """A canvas, the plugin's side of live painting, the bridge's, and a worker that steps when told to."""

    def __init__(self, folder: Path) -> None:
        self.canvas, self.worker, self.mirror = Canvas(), Worker(), Mirror()
        self.outbox = Outbox()
        self.dispatcher = Dispatcher(Store(folder))
        self.dispatcher.attach(self.worker)  # type: ignore[arg-type]
        self.dispatcher.worker_said(READY, Frame("", {}), b"")
        self.now = 0.0
        self.follow = Follow(self, lambda: self.now)
        self.wanted = self.aim(0, 0)
        self.shown: tuple[LivePicture, bytes] | None = None
        self.sent_bytes = 0
        self.updates = 0
        self.painted = 0
        self.jobs = 0
        self.ended_jobs: list[str] = []
        self.seconds = 0.1

    def aim(self, area: int, seed: int, mask: bool = True) -> Wanted:
        plan = Plan(CANVAS, AREAS[area], reads_image=True, reads_mask=mask)
        return Wanted("document", plan, PaintRequest("a lake", seed=seed, steps=8))

    # ---- follow.Link: over the wire and into the bridge, as session.py does it

    def say(self, message: messages.ClientMessage, tensors: Mapping[str, Strips]) -> bool:
        sent = {
            n: Tensor(t.shape, b"".join(bytes(s) for s in t.strips)) for n, t in tensors.items()
        }
        self.sent_bytes += sum(len(bytes(t.data)) for t in sent.values())
        update = messages.loads(messages.dumps(message))
        if isinstance(update, LiveStop):
            self.dispatcher.stop_live("anna", self.outbox)
            return True
        assert isinstance(update, LiveUpdate)
        self.updates += 1
        try:
            self.mirror.take(update, sent)
        except Drift:
            self.dispatcher.stop_live("anna", self.outbox)
            self.outbox.put(LiveResync(update.live, update.revision))
        else:
            self.dispatcher.paint_live("anna", self.mirror, self.outbox)
        return True

    # ---- what happens

    def look(self) -> None:
        looking = self.follow.look(self.canvas, self.wanted)
        while True:
            try:
                next(looking)
            except StopIteration as end:
                self.now += end.value
                self.begin()
                return

    def begin(self) -> None:
        """The worker has the model that its job needs."""
        if self.worker.job is not None:
            self.dispatcher.worker_said(PAINTING, Frame("", {}), b"")

    def step(self) -> None:
        """The worker ends what it has: it gives up what was cancelled, and paints the rest."""
        job, self.worker.job = self.worker.job, None
        if job is None:
            return
        if job.job in self.worker.cancelled or not job.job.startswith("live-"):
            message: messages.Message = Ended(job.job, JobState.CANCELLED, "cancelled")
            tensors: Mapping[str, Tensor] = {}
            self.ended_jobs.append(job.job)
        else:
            facts = replace(FACTS, seconds=self.seconds)
            message = Result(job.job, job.bounds, job.canvas, facts, "")
            tensors = {"image": self.worker.frame.tensors["image"]}
            self.painted += 1
        frame = Frame(messages.dumps(message), tensors)
        self.dispatcher.worker_said(message, frame, frames.join(frame))
        self.begin()

    def submit(self) -> None:
        """An ordinary job."""
        self.jobs += 1
        bounds = Bounds(0, 0, 8, 8)
        order = Submit(f"job{self.jobs}", PaintRequest(""), CANVAS, bounds)
        self.dispatcher.submit(
            "berta", order, frames.encode(Frame(messages.dumps(order), {})), Outbox()
        )

    async def hear(self) -> None:
        """Hand the plugin what the bridge has said."""
        self.outbox.put(messages.Unknown("last"))
        while True:
            item = await self.outbox.next()
            frame = Frame(item, {}) if isinstance(item, str) else frames.decode(item)  # type: ignore[arg-type]
            message = messages.loads(frame.message)
            if message == messages.Unknown("last"):
                return
            if isinstance(message, LiveResync):
                self.follow.lost(message)
            elif isinstance(message, LivePicture) and self.follow.arrived(message):
                self.shown = (message, bytes(frame.tensors["image"].data))

    async def settle(self) -> None:
        """The pen rests until nothing happens any more."""
        for _ in range(12):
            self.look()
            self.step()
            await self.hear()
        assert self.worker.job is None

    def shows_the_canvas(self) -> bool:
        area = self.wanted.plan.bounds
        return self.shown is not None and (self.shown[0].bounds, self.shown[1]) == (
            area,
            self.canvas.read_image(area),
        )


def in_studio(run: object) -> None:
    async def whole() -> None:
        with tempfile.TemporaryDirectory() as folder:
            await run(Studio(Path(folder)))  # type: ignore[operator]

    asyncio.run(whole())


STROKE = st.tuples(
    st.just("stroke"),
    st.integers(0, 199),
    st.integers(0, 169),
    st.integers(1, 80),
    st.integers(1, 255),
)
HAPPENINGS = st.lists(
    STROKE
    | st.sampled_from(
        [
            ("look",),
            ("step",),
            ("hear",),
            ("submit",),
            ("lose",),
            ("select",),
            ("reconnect",),
            ("seed",),
            ("area", 0),
            ("area", 1),
            ("area", 2),
        ]
    ),
    max_size=40,
)


async def happen(studio: Studio, what: tuple[object, ...]) -> None:
    name, *numbers = what
    if name == "stroke":
        x, y, length, colour = numbers
        studio.canvas.image[y : y + 3, x : x + length] = colour  # type: ignore[operator, misc]
    elif name == "select":
        studio.canvas.mask[::7] ^= 255
    elif name == "lose":
        studio.mirror = Mirror()
    elif name == "reconnect":
        studio.follow.begin_anew()
    elif name == "seed":
        request = replace(studio.wanted.request, seed=studio.wanted.request.seed + 1)
        studio.wanted = Wanted("document", studio.wanted.plan, request)
    elif name == "area":
        studio.wanted = studio.aim(int(str(numbers[0])), 0, mask=studio.now % 2 < 1)
    elif name == "hear":
        await studio.hear()
    else:
        getattr(studio, str(name))()


@given(HAPPENINGS)
@settings(max_examples=60)
def test_whatever_happens_the_last_edit_is_painted_from_exactly_what_the_canvas_shows(
    happenings: list[tuple[object, ...]],
) -> None:
    async def run(studio: Studio) -> None:
        studio.look()
        for what in happenings:
            await happen(studio, what)
        for _ in range(studio.jobs):
            studio.step()
        await studio.settle()
        assert studio.shows_the_canvas()
        assert studio.shown is not None
        # What was lost is told only when something is sent again: a look at a canvas at rest sends nothing.
        before = studio.updates
        studio.look()
        assert studio.updates == before

    in_studio(run)


@given(st.integers(0, 199), st.integers(0, 169), st.integers(0, 3), st.integers(1, 255))
@example(0, 0, 0, 1)
@example(199, 169, 3, 1)  # the last byte of a tile, a band and the canvas
def test_a_change_of_one_byte_anywhere_is_found_and_costs_one_tile(
    x: int, y: int, channel: int, colour: int
) -> None:
    async def run(studio: Studio) -> None:
        await studio.settle()
        studio.sent_bytes = 0
        studio.canvas.image[y, x, channel] = colour
        studio.look()
        studio.look()
        assert 0 < studio.sent_bytes <= 64 * 64 * 4
        await studio.settle()
        assert studio.shows_the_canvas()

    in_studio(run)


def test_a_canvas_at_rest_sends_nothing_and_paints_nothing() -> None:
    async def run(studio: Studio) -> None:
        await studio.settle()
        updates, painted = studio.updates, studio.painted
        for _ in range(20):
            studio.look()
            studio.step()
        assert (studio.updates, studio.painted) == (updates, painted)

    in_studio(run)


def test_a_change_of_the_request_alone_is_painted_and_costs_no_pixels() -> None:
    async def run(studio: Studio) -> None:
        await studio.settle()
        studio.sent_bytes, painted = 0, studio.painted
        studio.wanted = replace(
            studio.wanted, request=replace(studio.wanted.request, strength=0.5, seed=7)
        )
        studio.look()
        assert studio.worker.job is not None
        assert (studio.worker.job.request.strength, studio.worker.job.request.seed) == (0.5, 7)
        await studio.settle()
        assert (studio.sent_bytes, studio.painted) == (0, painted + 1)

    in_studio(run)


def test_while_the_pen_moves_a_picture_is_finished_and_once_it_rests_the_newest_takes_its_place() -> (
    None
):
    async def run(studio: Studio) -> None:
        studio.look()
        for n in range(1, 6):
            studio.canvas.image[n] = n
            studio.look()
        assert studio.updates == 1 and not studio.worker.cancelled
        studio.look()  # nothing new: the pen rests
        assert studio.updates == 2 and len(studio.worker.cancelled) == 1
        await studio.settle()
        assert studio.painted == 1 and studio.shows_the_canvas()

    in_studio(run)


def test_of_fifty_edits_that_are_all_sent_the_last_is_painted_and_at_most_one_waits() -> None:
    async def run(studio: Studio) -> None:
        await studio.settle()
        painted = studio.painted
        for n in range(50):
            studio.canvas.image[n] = n + 1
            studio.look()
            studio.look()  # at rest each time, so that each is sent
        assert studio.updates == 51
        studio.step()  # the first of them, cancelled
        studio.step()
        await studio.hear()
        assert studio.shows_the_canvas() and studio.painted == painted + 1

    in_studio(run)


def test_a_live_picture_makes_way_for_an_ordinary_job_and_is_painted_after_it() -> None:
    async def run(studio: Studio) -> None:
        studio.look()
        studio.submit()
        assert len(studio.worker.cancelled) == 1
        studio.step()
        assert studio.worker.job is not None and studio.worker.job.job == "job1"
        studio.step()
        assert studio.worker.job is not None and studio.worker.job.job.startswith("live-")
        studio.step()
        await studio.hear()
        assert studio.shows_the_canvas()

    in_studio(run)


def test_switched_off_nothing_is_painted_or_shown_any_more() -> None:
    async def run(studio: Studio) -> None:
        studio.look()
        studio.follow.stop()
        studio.step()
        await studio.hear()
        assert studio.shown is None and studio.worker.job is None

    in_studio(run)


def test_on_a_slow_machine_the_full_picture_is_shown_once_the_pen_rests() -> None:
    async def run(studio: Studio) -> None:
        studio.seconds = 60.0
        await studio.settle()
        studio.canvas.image[5] = 9
        studio.look()
        assert studio.worker.job is not None and studio.worker.job.request.steps == 2
        studio.step()
        await studio.hear()
        assert studio.shown is not None and not studio.shown[0].full
        until = time.monotonic() + 90
        while not studio.shown[0].full and time.monotonic() < until:
            await asyncio.sleep(0.01)
            studio.look()
            studio.step()
            await studio.hear()
        assert studio.shown[0].full and studio.shows_the_canvas()
        assert studio.shown[0].revision == 2 == studio.updates

    in_studio(run)


def test_the_full_picture_of_a_place_that_was_left_is_not_shown() -> None:
    async def run(studio: Studio) -> None:
        await studio.settle()
        assert studio.shown is not None
        reduced = replace(studio.shown[0], revision=2, full=False)
        studio.canvas.image[5] = 9
        studio.look()
        assert studio.follow.arrived(reduced)
        assert not studio.follow.arrived(reduced)
        studio.wanted = studio.aim(1, 0)
        studio.look()
        assert not studio.follow.arrived(replace(reduced, full=True))

    in_studio(run)

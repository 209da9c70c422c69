"""What of the canvas is sent when, and how far the pictures are behind. Knows neither Krita nor Qt.

While the painter goes on changing things, what is being painted may be finished, so that pictures come on a slow
computer too. Once the canvas rests for one look, what it shows is sent at once and takes the place of what is older.
"""

from __future__ import annotations

import uuid
from collections import deque
from dataclasses import dataclass, field
from typing import Callable, Deque, Dict, Generator, Mapping, Optional, Protocol, Sequence, Tuple

from ..capture import Pixels, Plan
from ..link import Pixels as Strips
from ..notes import Form
from ..wire.messages import (
    IMAGE,
    MASK,
    ClientMessage,
    LivePicture,
    LiveResync,
    LiveStop,
    LiveUpdate,
    PaintRequest,
)
from ..wire.reference import reference_tensor
from .references import References, ReferenceSource
from .watch import Layer, Watch

QUICK_SECONDS = 0.03
"""Between two looks while things change."""

CALM_SECONDS = 0.25
"""Between two looks while nothing happens."""

ACTIVE_SECONDS = 1.0
"""For so long after a change the next one is looked for quickly."""

REST_PER_LOOK = 9.0
"""Looking takes a tenth of the UI thread's time at most."""

_LATEST = 8


class Link(Protocol):
    """The part of `client.Client` that is needed here."""

    def say(self, message: ClientMessage, tensors: Mapping[str, Strips]) -> bool:
        """Send a message if there is a connection; returns whether there is one."""


@dataclass(frozen=True)
class Wanted:
    """What shall be painted now: `key` names the document that `plan` is about.

    `controls`: the layers of the request's controls that bring a picture, and what names each, by the names of their tensors.
    `references`: where the pictures of the request's references come from. `asked`: the form that says all this.
    """

    key: str
    plan: Plan
    request: PaintRequest
    controls: Mapping[str, Tuple[str, Layer]] = field(default_factory=dict)
    references: Sequence[ReferenceSource] = ()
    asked: Optional[Form] = None

    @property
    def place(self) -> Tuple[object, ...]:
        """What the pixels are of: with another one all of them are others."""
        return self.key, self.plan, [(name, layer) for name, (layer, _) in self.controls.items()]


@dataclass(frozen=True)
class Pace:
    """How live it is: pictures a second, and seconds from a change on the canvas to its picture. None: too early."""

    rate: Optional[float] = None
    latency: Optional[float] = None


class Follow:
    """One time that live painting is on."""

    def __init__(self, link: Link, clock: Callable[[], float]) -> None:
        self.live = uuid.uuid4().hex
        self._link = link
        self._clock = clock
        self._watch: Optional[Watch] = None
        self._place: Tuple[object, ...] = ()
        self._references = References(clock)
        self._known: Tuple[str, ...] = ()
        self._request: Optional[PaintRequest] = None
        self._revision = 0
        self._base = 0
        self._complete = 0
        self._answered = 0
        self._reduced = 0
        self._news_since: Optional[float] = None
        self._sent_since = 0.0
        self._changed_at = -ACTIVE_SECONDS
        self._arrivals: Deque[float] = deque(maxlen=_LATEST)
        self._latency: Optional[float] = None

    def look(self, pixels: Pixels, wanted: Wanted) -> Generator[float, None, float]:
        """Look at the canvas once and send what should be sent; returns the seconds until the next look."""
        began, worked = self._clock(), 0.0
        changed = self._aim(wanted)
        watch = self._watch
        assert watch is not None
        looking = self._look(watch, pixels, wanted)
        while True:
            turn = self._clock()
            try:
                pause = next(looking)
            except StopIteration as end:
                changed = bool(end.value) or changed
                worked += self._clock() - turn
                break
            worked += self._clock() - turn
            yield pause
        if self._watch is not watch:
            # The bridge has asked for all of it meanwhile.
            return QUICK_SECONDS
        if changed:
            self._changed_at = self._clock()
            if self._news_since is None:
                self._news_since = began
        rests = self._is_answered() or not changed
        if self._news_since is not None and rests and not watch.is_empty():
            self._send(wanted)
        busy = self._clock() - self._changed_at < ACTIVE_SECONDS
        return max(QUICK_SECONDS if busy else CALM_SECONDS, worked * REST_PER_LOOK)

    def _look(self, watch: Watch, pixels: Pixels, wanted: Wanted) -> Generator[float, None, bool]:
        layers = {name: layer for name, (_, layer) in wanted.controls.items()}
        differs = yield from watch.look(pixels, layers)
        others = yield from self._references.look(wanted.references, pixels.is_idle)
        return others or differs

    def arrived(self, picture: LivePicture) -> bool:
        """Note a picture; returns whether it is one of this time and newer than the one before, or the full one of it."""
        if picture.live != self.live:
            return False
        if picture.revision <= self._answered:
            return picture.full and picture.revision == self._reduced
        self._reduced = 0 if picture.full else picture.revision
        self._answered = picture.revision
        now = self._clock()
        self._arrivals.append(now)
        # Of what was sent as a whole, as at the beginning, no stroke is the reason.
        if self._is_answered() and picture.revision > self._complete:
            self._latency = now - self._sent_since
        return True

    def begin_anew(self) -> None:
        """The bridge is another one, or has begun anew itself: send everything."""
        self._watch = None

    def lost(self, message: LiveResync) -> None:
        """The bridge has no use for its copy; for an update before the one that sent everything that is old news."""
        if message.live == self.live and message.revision >= self._complete:
            self.begin_anew()

    def stop(self) -> None:
        self._link.say(LiveStop(self.live), {})

    def pace(self) -> Pace:
        if len(self._arrivals) < 2:
            return Pace(None, self._latency)
        span = self._arrivals[-1] - self._arrivals[0]
        return Pace((len(self._arrivals) - 1) / span if span > 0 else None, self._latency)

    def _aim(self, wanted: Wanted) -> bool:
        """Watch what is wanted now; returns whether that is something else than before."""
        same_request, self._request = self._request == wanted.request, wanted.request
        if self._watch is not None and self._place == wanted.place:
            return not same_request
        self._watch = Watch(wanted.plan, list(wanted.controls))
        self._place, self._base = wanted.place, 0
        # What was sent of another place is not waited for.
        self._answered, self._reduced = self._revision, 0
        return True

    def _is_answered(self) -> bool:
        return self._answered >= self._revision

    def _send(self, wanted: Wanted) -> None:
        watch = self._watch
        assert watch is not None and self._news_since is not None
        changed = watch.take()
        update = LiveUpdate(
            self.live,
            self._revision + 1,
            self._base,
            wanted.request,
            wanted.plan.canvas,
            wanted.plan.bounds,
            watch.image is not None,
            watch.mask is not None,
            tuple(changed.get(IMAGE, ())),
            tuple(changed.get(MASK, ())),
            watch.digest(),
            tuple(tuple(changed[name]) for name in watch.controls),
            self._references.digests(),
        )
        tensors = {
            name: Strips((sum(map(len, found.values())),), list(found.values()))
            for name, found in changed.items()
            if found
        }
        tensors.update(self._news_of_references(update))
        if not self._link.say(update, tensors):
            self.begin_anew()
            return
        if update.base == 0:
            self._complete = update.revision
        self._revision = self._base = update.revision
        self._known = update.reference_digests
        self._sent_since, self._news_since = self._news_since, None

    def _news_of_references(self, update: LiveUpdate) -> Dict[str, Strips]:
        """Their pictures that the bridge does not have."""
        known = self._known if update.base else ()
        pictures = self._references.pictures()
        return {
            reference_tensor(index): pictures[index]
            for index, digest in enumerate(update.reference_digests)
            if digest not in known
        }

"""Newest wins: of each client at most one live picture is being made and one waits. No IO.

What waits is not a picture of the canvas but the wish for one: it is taken from the mirror when its turn comes, so
it is never out of date by then. On a slow machine a picture is made with less work (`economy`); the full one is then
owed, and made once nothing has changed for a while and nobody waits.
"""

from __future__ import annotations

import time
import uuid
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from bridge.live.economy import FULL, REST_SECONDS, Economy, Effort
from krita_plugin.krita_bridge.wire import messages
from krita_plugin.krita_bridge.wire.frames import Buffer, Frame, join
from krita_plugin.krita_bridge.wire.messages import (
    Ended,
    Fault,
    JobState,
    LivePicture,
    LiveUpdate,
    PaintRequest,
    Result,
    ServerMessage,
)


class Source(Protocol):
    """Where a live picture is painted from: `mirror.Mirror`."""

    @property
    def latest(self) -> LiveUpdate: ...

    def order(self, job: str, request: PaintRequest) -> Sequence[Buffer]: ...


class Audience(Protocol):
    """Who wants the pictures: `server.outbox.Outbox`."""

    def put(self, message: ServerMessage) -> None: ...

    def put_live_picture(self, data: bytes) -> None: ...


@dataclass(frozen=True)
class _Wish:
    """`full_from`: the time from which the full picture is owed; None: whatever can be made quickly."""

    source: Source
    by: Audience
    full_from: float | None = None


@dataclass
class _Run:
    """A picture that the worker paints. `wanted`: somebody will look at it. `began`: when, once it has. `in_the_way`: it is to
    be cancelled as soon as it begins."""

    client: str
    job: str
    update: LiveUpdate
    effort: Effort
    wish: _Wish
    began: float | None = None
    in_the_way: bool = False
    cancelled: bool = False
    wanted: bool = True

    @property
    def is_full(self) -> bool:
        return self.effort.of(self.update.request) == self.update.request


class LiveDesk:
    """The live pictures of all clients. Clients take turns."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._economy = Economy()
        self._waiting: OrderedDict[str, _Wish] = OrderedDict()
        self._run: _Run | None = None

    @property
    def job(self) -> str:
        """The job that the worker has of this desk; empty for none."""
        return self._run.job if self._run is not None else ""

    def want(self, client: str, source: Source, by: Audience) -> str:
        """The canvas has changed. Returns the job that is out of date now and should be cancelled; empty for none: one that
        still waits for its model loads it for the next, and a cancel would break that off."""
        before, self._waiting[client] = self._waiting.get(client), _Wish(source, by)
        if before is not None and before.full_from is not None:
            self._waiting.move_to_end(client)  # what was owed kept no place in the queue
        run = self._run
        return self._make_way(run) if run is not None and run.client == client else ""

    def yield_(self) -> str:
        """Something else goes first: what is being painted waits again. Returns the job to cancel, as `want` does."""
        run = self._run
        if run is None or run.cancelled:
            return ""
        if run.client not in self._waiting:
            self._waiting[run.client] = run.wish
            self._waiting.move_to_end(run.client, last=False)
        return self._make_way(run)

    def stop(self, client: str, by: Audience) -> str:
        """This audience wants no more pictures. Returns the job to cancel; empty for none."""
        wish = self._waiting.get(client)
        if wish is not None and wish.by is by:
            del self._waiting[client]
        run = self._run
        if run is None or run.wish.by is not by:
            return ""
        run.wanted = False
        return self._cancel(run)

    def take(self) -> Sequence[Buffer] | None:
        """Begin the next picture; returns its frame for the worker, None when there is none to be made now."""
        client = self._next()
        if client is None or self._seconds_until(self._waiting[client]) > 0:
            return None
        wish = self._waiting.pop(client)
        update = wish.source.latest
        effort = self._economy.choose(update) if wish.full_from is None else FULL
        job = f"live-{uuid.uuid4().hex}"
        self._run = _Run(client, job, update, effort, wish)
        return wish.source.order(job, effort.of(update.request))

    def pause(self) -> float | None:
        """After `take` gave nothing: seconds until it should be asked again; None: when something happens."""
        client = self._next()
        return None if client is None else self._seconds_until(self._waiting[client])

    def painting_began(self) -> str:
        """The worker has all it needs for `job`: from now on the time counts. Returns the job to cancel; empty for none."""
        assert self._run is not None
        self._run.began = self._clock()
        return self._cancel(self._run) if self._run.in_the_way else ""

    def worker_said(self, message: messages.Message, frame: Frame) -> bool:
        """News of `job`; returns whether the worker has let go of it."""
        run = self._run
        assert run is not None
        if not isinstance(message, (Result, Ended)):
            return False
        self._run = None
        if isinstance(message, Result):
            self._economy.took(run.update, run.effort, message.facts.seconds)
            if self._waiting.get(run.client) is run.wish:
                del self._waiting[run.client]  # it was done before it could make way
            if run.wanted:
                run.wish.by.put_live_picture(_picture(run, message, frame))
                self._owe(run)
        elif message.state is JobState.FAILED:
            self._fail(run, message)
        elif run.began is not None:
            self._economy.outlasted(run.update, run.effort, self._clock() - run.began)
        return True

    def _owe(self, run: _Run) -> None:
        """The full picture of what was just painted with less work, unless there is something newer to paint."""
        if not run.is_full and run.client not in self._waiting:
            due = self._clock() + REST_SECONDS
            self._waiting[run.client] = replace(run.wish, full_from=due)

    def _next(self) -> str | None:
        """Whose turn it is: in order of coming, but who is owed a full picture after those who have none yet."""
        return min(self._waiting, key=lambda c: self._waiting[c].full_from or 0.0, default=None)

    def _seconds_until(self, wish: _Wish) -> float:
        return 0.0 if wish.full_from is None else max(0.0, wish.full_from - self._clock())

    def worker_died(self, sentence: str, hint: str, code: str) -> None:
        """What was being painted may be why: it is not tried again by itself."""
        run, self._run = self._run, None
        if run is not None:
            self._fail(run, Ended(run.job, JobState.FAILED, code, sentence, hint))

    def fail_all(self, sentence: str, hint: str, code: str) -> None:
        """Nothing will be painted any more."""
        while self._waiting:
            _, wish = self._waiting.popitem()
            wish.by.put(Fault(code, sentence, hint, wish.source.latest.live))

    def _fail(self, run: _Run, ended: Ended) -> None:
        if run.wanted:
            self.stop(run.client, run.wish.by)
            run.wish.by.put(Fault(ended.code, ended.message, ended.hint, run.update.live))

    def _make_way(self, run: _Run) -> str:
        run.in_the_way = True
        return self._cancel(run) if run.began is not None else ""

    def _cancel(self, run: _Run) -> str:
        if run.cancelled:
            return ""
        run.cancelled = True
        return run.job


def _picture(run: _Run, result: Result, frame: Frame) -> bytes:
    """The worker's result as the frame that the client gets."""
    update, full = run.update, run.is_full
    message = LivePicture(
        update.live, update.revision, result.bounds, result.canvas, result.facts, full
    )
    return join(Frame(messages.dumps(message), frame.tensors))

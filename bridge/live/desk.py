"""Newest wins: of each client at most one live picture is being made and one waits. No IO.

What waits is not a picture of the canvas but the wish for one: it is taken from the mirror when its turn comes, so
it is never out of date by then.
"""

from __future__ import annotations

import uuid
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from krita_plugin.krita_bridge.wire import messages
from krita_plugin.krita_bridge.wire.frames import Buffer, Frame, Tensor, join
from krita_plugin.krita_bridge.wire.messages import (
    Ended,
    Fault,
    JobState,
    LivePicture,
    LiveUpdate,
    Result,
    ServerMessage,
    Submit,
)


class Source(Protocol):
    """Where a live picture is painted from: `mirror.Mirror`."""

    @property
    def latest(self) -> LiveUpdate: ...

    def order(self, job: str) -> tuple[Submit, Sequence[Buffer]]: ...


class Audience(Protocol):
    """Who wants the pictures: `server.outbox.Outbox`."""

    def put(self, message: ServerMessage) -> None: ...

    def put_live_picture(self, data: bytes) -> None: ...


@dataclass(frozen=True)
class _Wish:
    source: Source
    by: Audience


@dataclass
class _Run:
    """A picture that the worker paints. `wanted`: somebody will look at it."""

    client: str
    job: str
    update: LiveUpdate
    wish: _Wish
    cancelled: bool = False
    wanted: bool = True


class LiveDesk:
    """The live pictures of all clients. Clients take turns."""

    def __init__(self) -> None:
        self._waiting: OrderedDict[str, _Wish] = OrderedDict()
        self._run: _Run | None = None

    @property
    def job(self) -> str:
        """The job that the worker has of this desk; empty for none."""
        return self._run.job if self._run is not None else ""

    def want(self, client: str, source: Source, by: Audience) -> str:
        """The canvas has changed. Returns the job that is out of date now and should be cancelled; empty for none."""
        self._waiting[client] = _Wish(source, by)
        run = self._run
        return self._cancel(run) if run is not None and run.client == client else ""

    def yield_(self) -> str:
        """Something else goes first: what is being painted waits again. Returns the job to cancel; empty for none."""
        run = self._run
        if run is None or run.cancelled:
            return ""
        if run.client not in self._waiting:
            self._waiting[run.client] = run.wish
            self._waiting.move_to_end(run.client, last=False)
        return self._cancel(run)

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
        """Begin the next picture; returns its frame for the worker, None when nobody waits."""
        if not self._waiting:
            return None
        client, wish = self._waiting.popitem(last=False)
        job = f"live-{uuid.uuid4().hex}"
        self._run = _Run(client, job, wish.source.latest, wish)
        _, payload = wish.source.order(job)
        return payload

    def worker_said(self, message: messages.Message, frame: Frame) -> bool:
        """News of `job`; returns whether the worker has let go of it."""
        run = self._run
        assert run is not None
        if not isinstance(message, (Result, Ended)):
            return False
        self._run = None
        if isinstance(message, Result):
            if run.wanted:
                run.wish.by.put_live_picture(_picture(run.update, message, frame))
        elif message.state is JobState.FAILED:
            self._fail(run, message)
        return True

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

    def _cancel(self, run: _Run) -> str:
        if run.cancelled:
            return ""
        run.cancelled = True
        return run.job


def _picture(update: LiveUpdate, result: Result, frame: Frame) -> bytes:
    """The worker's result as the frame that the client gets."""
    message = LivePicture(update.live, update.revision, result.bounds, result.canvas, result.facts)
    tensors: dict[str, Tensor] = {messages.IMAGE: frame.tensors[messages.IMAGE]}
    return join(Frame(messages.dumps(message), tensors))

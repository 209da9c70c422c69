"""What a client owes the bridge and what it has heard: pure bookkeeping, no sockets, safe from any thread.

A job stays here with its pixels until it has ended, so that it can be submitted again under the same id
to a bridge that has lost it. Each ending is handed out once. No more is sent than the bridge takes: what is too much
waits here until something has ended.
"""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass
from typing import Deque, Dict, Iterable, List, Mapping, Optional, Set

from .link import Pixels
from .wire import limits, messages

MOST_BYTES = limits.MAX_WAITING_BYTES // 2
"""Of pixels of jobs that are sent and have not ended: those of others wait in the bridge too. The parts of an upscaling to
16384 x 16384 px by a factor of 2 have 380 MB, by 1.1 they have 1.3 GB, and 3.4 GB for SDXL with a control layer."""


@dataclass(frozen=True)
class Outgoing:
    """A message to be sent, with its tensors."""

    message: messages.ClientMessage
    tensors: Mapping[str, Pixels]


class _Pending:
    def __init__(self, submit: messages.Submit, tensors: Mapping[str, Pixels]) -> None:
        self.outgoing = Outgoing(submit, tensors)
        self.size = sum(pixels.size for pixels in tensors.values())
        self.sent = False
        self.cancelled = False


class JobTable:
    """Jobs that have not ended, those asked for, and the messages waiting to be sent."""

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        """`most_bytes`: of the pixels of jobs that are sent and have not ended; a single job is always sent."""
        self._most_bytes = most_bytes
        self._changed = threading.Condition()
        self._online = False
        self._closing = False
        self._outbox: Deque[Outgoing] = deque()
        self._pending: Dict[str, _Pending] = {}
        self._asked: Set[str] = set()
        self._over: Set[str] = set()
        self._acknowledged: Set[str] = set()
        self._ended_here: List[messages.Ended] = []

    # ---- the painter's side

    def submit(self, submit: messages.Submit, tensors: Mapping[str, Pixels]) -> None:
        """Keep the job, and send it when there is a connection, and room in the bridge."""
        with self._changed:
            self._pending[submit.job] = _Pending(submit, tensors)
            self._over.discard(submit.job)
            self._send_what_fits()

    def cancel(self, job: str) -> None:
        """Ask for the end of a job; one that was never sent ends here."""
        with self._changed:
            pending = self._pending.get(job)
            if pending is not None and not pending.sent:
                self._end_here(job)
                return
            if pending is not None:
                pending.cancelled = True
            if self._online:
                self._put(messages.Cancel(job))

    def acknowledge(self, job: str) -> None:
        """The result is safe: repeat it at every connection at which the bridge has not heard it."""
        with self._changed:
            self._acknowledged.add(job)
            if self._online:
                self._put(messages.Acknowledge(job))

    def resume(self, jobs: Iterable[str]) -> None:
        """Ask for jobs of an earlier run; a result that was handed out before is handed out again."""
        with self._changed:
            wanted = [job for job in jobs if job not in self._acknowledged]
            self._asked.update(wanted)
            self._over.difference_update(wanted)
            if self._online and wanted:
                self._put(messages.Resume(tuple(wanted)))

    def say(self, message: messages.ClientMessage, tensors: Mapping[str, Pixels]) -> bool:
        """Send a message that is of use to this connection alone; returns whether there is one."""
        with self._changed:
            if self._online:
                self._outbox.append(Outgoing(message, tensors))
                self._changed.notify_all()
            return self._online

    # ---- the connection's side

    def connected(self, welcome: messages.Welcome) -> None:
        """Queue everything that a fresh connection needs to hear, in order."""
        with self._changed:
            self._online = True
            self._outbox.clear()
            for job in welcome.unacknowledged:
                if job in self._acknowledged:
                    self._put(messages.Acknowledge(job))
            resumed = [job for job, pending in self._pending.items() if pending.sent]
            resumed += [job for job in welcome.unacknowledged if self._is_news(job)]
            resumed += sorted(self._asked)
            if resumed:
                self._put(messages.Resume(tuple(dict.fromkeys(resumed))))
            for job, pending in self._pending.items():
                if pending.sent and pending.cancelled:
                    self._put(messages.Cancel(job))
            self._send_what_fits()

    def disconnected(self) -> None:
        with self._changed:
            self._online = False
            self._outbox.clear()
            self._changed.notify_all()

    def next_outgoing(self, timeout: float) -> Optional[Outgoing]:
        """The next message to send; None after `timeout` seconds, or once the connection is gone."""
        with self._changed:
            if not self._outbox and self._online and not self._closing:
                self._changed.wait(timeout)
            return self._outbox.popleft() if self._outbox else None

    def received(self, message: messages.ServerMessage) -> Optional[messages.ServerMessage]:
        """Note what the bridge says; returns what the painter's side should hear, None for nothing."""
        with self._changed:
            if isinstance(message, messages.Unknown):
                return self._unknown(message)
            job = getattr(message, "job", "")
            if isinstance(message, messages.Fault):
                if job:
                    self._forget(job)
                return message
            if job and job in self._over:
                return None
            if isinstance(message, (messages.Result, messages.Ended)):
                self._forget(job)
                self._over.add(job)
            return message

    @property
    def is_full(self) -> bool:
        """Whether a job waits for room in the bridge, or for a connection."""
        with self._changed:
            return any(not pending.sent for pending in self._pending.values())

    def ended_here(self) -> List[messages.Ended]:
        """Endings that no bridge had a part in; each is returned once."""
        with self._changed:
            ended, self._ended_here = self._ended_here, []
            return ended

    def close(self) -> None:
        """From now on `next_outgoing` returns what waits and never waits itself."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()

    # ---- with the lock held

    def _put(self, message: messages.ClientMessage) -> None:
        self._outbox.append(Outgoing(message, {}))
        self._changed.notify_all()

    def _send_what_fits(self) -> None:
        """Jobs that were not sent yet, in order; those that were make room when they end."""
        if not self._online:
            return
        sent = sum(pending.size for pending in self._pending.values() if pending.sent)
        for pending in self._pending.values():
            if pending.sent:
                continue
            if sent and sent + pending.size > self._most_bytes:
                return
            self._send_pending(pending)
            sent += pending.size

    def _send_pending(self, pending: _Pending) -> None:
        pending.sent = True
        self._outbox.append(pending.outgoing)
        self._changed.notify_all()

    def _unknown(self, message: messages.Unknown) -> Optional[messages.ServerMessage]:
        pending = self._pending.get(message.job)
        if pending is None:
            self._asked.discard(message.job)
            return message
        if pending.cancelled:
            self._forget(message.job)
            self._over.add(message.job)
            return messages.Ended(message.job, messages.JobState.CANCELLED, "cancelled")
        if self._online:
            self._send_pending(pending)
        return None

    def _end_here(self, job: str) -> None:
        self._forget(job)
        self._over.add(job)
        ended = messages.Ended(job, messages.JobState.CANCELLED, "cancelled")
        self._ended_here.append(ended)

    def _forget(self, job: str) -> None:
        self._pending.pop(job, None)
        self._asked.discard(job)
        self._send_what_fits()

    def _is_news(self, job: str) -> bool:
        return job not in self._over and job not in self._acknowledged

"""Whose job is next: clients take turns, each one's jobs in the order it sent them. No IO."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass


@dataclass(frozen=True)
class JobKey:
    """A job of a client. Two clients may use the same id and never meet."""

    client: str
    job: str


class FairQueue:
    """Waiting jobs. With n clients waiting, each gets every n-th turn, however many jobs it sent."""

    def __init__(self) -> None:
        self._lanes: dict[str, deque[str]] = {}
        self._turns: deque[str] = deque()

    def __len__(self) -> int:
        return sum(len(lane) for lane in self._lanes.values())

    def count(self, client: str) -> int:
        """How many jobs of the client wait."""
        return len(self._lanes.get(client, ()))

    def push(self, key: JobKey) -> None:
        """Append a job to its client's lane; a client that had none waits for a whole round."""
        if key.client not in self._lanes:
            self._lanes[key.client] = deque()
            self._turns.append(key.client)
        self._lanes[key.client].append(key.job)

    def push_front(self, key: JobKey) -> None:
        """Put a job that was interrupted before all others."""
        if key.client in self._lanes:
            self._turns.remove(key.client)
        self._lanes.setdefault(key.client, deque()).appendleft(key.job)
        self._turns.appendleft(key.client)

    def take(self) -> JobKey | None:
        """Remove and return the next job, or None."""
        if not self._turns:
            return None
        client = self._turns.popleft()
        lane = self._lanes[client]
        key = JobKey(client, lane.popleft())
        if lane:
            self._turns.append(client)
        else:
            del self._lanes[client]
        return key

    def remove(self, key: JobKey) -> bool:
        """Take a job out of the line; False when it was not waiting."""
        lane = self._lanes.get(key.client)
        if lane is None or key.job not in lane:
            return False
        lane.remove(key.job)
        if not lane:
            del self._lanes[key.client]
            self._turns.remove(key.client)
        return True

    def order(self) -> tuple[JobKey, ...]:
        """All waiting jobs in the order in which `take` would return them."""
        longest = max((len(lane) for lane in self._lanes.values()), default=0)
        return tuple(
            JobKey(client, self._lanes[client][round_])
            for round_ in range(longest)
            for client in self._turns
            if round_ < len(self._lanes[client])
        )

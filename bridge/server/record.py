"""A job on its way through the dispatcher, and what is said of one that the worker died of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from bridge.jobs.queue import JobKey
from bridge.jobs.supervisor import WorkerExit
from krita_plugin.krita_bridge.wire.frames import Buffer
from krita_plugin.krita_bridge.wire.messages import Accepted, Ended, JobState, ServerMessage

from .outbox import Outbox


@dataclass
class Record:
    """A job that has not ended in the store: waiting, running, being saved, or ended without a result."""

    key: JobKey
    payload: Sequence[Buffer]
    previews: bool
    state: JobState = JobState.QUEUED
    attempts: int = 0
    position: int = -1
    ended: Ended | None = None
    watchers: list[Outbox] = field(default_factory=list)

    @property
    def size(self) -> int:
        """Bytes of its Submit frame."""
        return sum(memoryview(buffer).nbytes for buffer in self.payload)

    def tell(self, message: ServerMessage) -> None:
        """Send `message` to all who watch the job."""
        for watcher in self.watchers:
            watcher.put(message)

    def tell_position(self, position: int) -> None:
        """Say how many jobs are before it, where that has changed."""
        if position != self.position:
            self.position = position
            self.tell(Accepted(self.key.job, position))


def death_notice(exit_: WorkerExit) -> tuple[str, str]:
    """Sentence and hint for what the worker had in hand."""
    if exit_.hung:
        return (
            "The model process stopped answering and had to be ended.",
            "Try again, or select a smaller area; `krita-bridge doctor` and the log say more.",
        )
    if exit_.code == -9:
        return (
            "The system ended the model process, most likely because memory ran out.",
            "Select a smaller area or close other programs, then try again.",
        )
    return (
        "The model process stopped unexpectedly.",
        "Try again; if it happens again, `krita-bridge doctor` and the log say more.",
    )

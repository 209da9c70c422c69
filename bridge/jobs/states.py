"""The life of a job as one table.

    QUEUED --start--> RUNNING --finish--> FINISHED
       |                |  |---fail-----> FAILED
       |                |  '---retry----> QUEUED      (its worker died; once)
       |--fail----------|---------------> FAILED
       '--cancel--------'---------------> CANCELLED

A job that has ended never changes again.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from types import MappingProxyType

from krita_plugin.krita_bridge.wire.messages import JobState


class Event(Enum):
    """What can happen to a job."""

    START = "start"
    FINISH = "finish"
    FAIL = "fail"
    CANCEL = "cancel"
    RETRY = "retry"


TABLE: Mapping[tuple[JobState, Event], JobState] = MappingProxyType(
    {
        (JobState.QUEUED, Event.START): JobState.RUNNING,
        (JobState.QUEUED, Event.FAIL): JobState.FAILED,
        (JobState.QUEUED, Event.CANCEL): JobState.CANCELLED,
        (JobState.RUNNING, Event.FINISH): JobState.FINISHED,
        (JobState.RUNNING, Event.FAIL): JobState.FAILED,
        (JobState.RUNNING, Event.CANCEL): JobState.CANCELLED,
        (JobState.RUNNING, Event.RETRY): JobState.QUEUED,
    }
)

ENDED = frozenset({JobState.FINISHED, JobState.FAILED, JobState.CANCELLED})


class TransitionError(RuntimeError):
    """A change the table does not have: a bug, never a painter's doing."""


def after(state: JobState, event: Event) -> JobState:
    """The state that `event` leads to from `state`; raises TransitionError."""
    try:
        return TABLE[state, event]
    except KeyError:
        raise TransitionError(f"a {state.value} job cannot {event.value}") from None

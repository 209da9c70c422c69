"""The transition table of jobs."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.jobs.states import ENDED, TABLE, Event, TransitionError, after
from krita_plugin.krita_bridge.wire.messages import JobState

EVENTS = st.lists(st.sampled_from(Event), max_size=12)


@settings(deadline=None)
@given(EVENTS)
def test_no_sequence_of_events_leaves_an_ended_state_or_finishes_without_running(
    events: list[Event],
) -> None:
    state, visited = JobState.QUEUED, [JobState.QUEUED]
    for event in events:
        try:
            state = after(state, event)
        except TransitionError:
            continue
        assert visited[-1] not in ENDED
        visited.append(state)
    if state is JobState.FINISHED:
        assert visited[-2] is JobState.RUNNING


def test_every_state_can_be_reached() -> None:
    assert {JobState.QUEUED, *TABLE.values()} == set(JobState)


@pytest.mark.parametrize("state", [JobState.QUEUED, JobState.RUNNING])
def test_a_living_job_can_always_be_cancelled_and_can_always_fail(state: JobState) -> None:
    assert after(state, Event.CANCEL) is JobState.CANCELLED
    assert after(state, Event.FAIL) is JobState.FAILED


def test_an_impossible_change_names_both() -> None:
    with pytest.raises(TransitionError, match="a queued job cannot finish"):
        after(JobState.QUEUED, Event.FINISH)

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from krita_plugin.krita_bridge.jobtable import JobTable
from krita_plugin.krita_bridge.link import Pixels
from krita_plugin.krita_bridge.wire import messages
from krita_plugin.krita_bridge.wire.messages import (
    Acknowledge,
    Cancel,
    Ended,
    JobState,
    Progress,
    Result,
    Resume,
    Submit,
    Unknown,
)
from tests.ears import BOUNDS, CANVAS, submit
from tests.scripted_bridge import facts_of

STATUS = messages.EngineStatus(messages.EngineState.READY, "Ready.")


def welcome(*unacknowledged: str) -> messages.Welcome:
    return messages.Welcome(1, "0", (), "", STATUS, unacknowledged)


def result(job: str) -> Result:
    return Result(job, BOUNDS, CANVAS, facts_of(submit(job)), "note")


def sent(table: JobTable) -> list[messages.ClientMessage]:
    found = []
    while (outgoing := table.next_outgoing(0.0)) is not None:
        found.append(outgoing.message)
    return found


@pytest.fixture
def table() -> JobTable:
    return JobTable()


def test_nothing_is_sent_before_there_is_a_connection(table: JobTable) -> None:
    table.submit(submit("a"), {})
    table.acknowledge("b")
    assert sent(table) == []
    table.connected(welcome())
    assert sent(table) == [submit("a")]


def test_what_was_sent_is_asked_for_and_not_sent_again(table: JobTable) -> None:
    table.connected(welcome())
    table.submit(submit("a"), {})
    assert sent(table) == [submit("a")]
    table.disconnected()
    table.submit(submit("b"), {})
    table.connected(welcome("c"))
    assert sent(table) == [Resume(("a", "c")), submit("b")]
    assert table.received(Unknown("a")) is None
    assert sent(table) == [submit("a")]


def test_a_result_is_handed_on_once(table: JobTable) -> None:
    table.connected(welcome())
    table.submit(submit("a"), {})
    assert table.received(result("a")) == result("a")
    assert table.received(result("a")) is None
    table.connected(welcome("a"))
    assert Resume(("a",)) not in sent(table)


def test_nothing_of_a_job_is_heard_after_its_end(table: JobTable) -> None:
    table.connected(welcome())
    table.submit(submit("a"), {})
    assert table.received(Ended("a", JobState.FAILED)) is not None
    assert table.received(Progress("a", 3, 4)) is None
    table.submit(submit("a"), {})
    assert table.received(Progress("a", 1, 4)) is not None


def test_an_acknowledgement_is_repeated_until_the_bridge_has_heard_it(table: JobTable) -> None:
    table.connected(welcome())
    table.acknowledge("a")
    assert sent(table) == [Acknowledge("a")]
    table.disconnected()
    table.connected(welcome("a"))
    assert sent(table) == [Acknowledge("a")]
    table.disconnected()
    table.connected(welcome())
    assert sent(table) == []


def test_a_cancel_is_repeated_and_an_unknown_job_then_ends_here(table: JobTable) -> None:
    table.connected(welcome())
    table.submit(submit("a"), {})
    sent(table)
    table.disconnected()
    table.cancel("a")
    table.connected(welcome())
    assert sent(table) == [Resume(("a",)), Cancel("a")]
    assert table.received(Unknown("a")) == Ended("a", JobState.CANCELLED, "cancelled")
    assert table.received(Unknown("a")) == Unknown("a")


def test_a_job_that_was_never_sent_is_cancelled_here(table: JobTable) -> None:
    table.submit(submit("a"), {})
    table.cancel("a")
    assert table.ended_here() == [Ended("a", JobState.CANCELLED, "cancelled")]
    assert table.ended_here() == []
    table.connected(welcome())
    assert sent(table) == []


def test_a_refused_job_is_not_sent_again(table: JobTable) -> None:
    table.connected(welcome())
    table.submit(submit("a"), {})
    sent(table)
    fault = messages.Fault("bad_input", "No.", "", "a")
    assert table.received(fault) == fault
    table.disconnected()
    table.connected(welcome())
    assert sent(table) == []


def pixels(size: int) -> dict[str, Pixels]:
    return {"image": Pixels((size,), (bytes(size),))}


def test_no_more_is_sent_than_there_is_room_for_and_what_ends_makes_some() -> None:
    table = JobTable(most_bytes=10)
    table.connected(welcome())
    for job, size in (("a", 12), ("b", 6), ("c", 4), ("d", 1)):
        table.submit(submit(job), pixels(size))
    assert sent(table) == [submit("a")], "a single one is always sent"
    assert table.is_full
    table.received(Ended("a", JobState.FAILED))
    assert sent(table) == [submit("b"), submit("c")]
    table.received(result("c"))
    assert sent(table) == [submit("d")] and not table.is_full


def test_what_waits_for_room_is_sent_after_a_break_and_can_be_cancelled() -> None:
    table = JobTable(most_bytes=10)
    table.connected(welcome())
    for job in ("a", "b", "c", "d"):
        table.submit(submit(job), pixels(6))
    assert sent(table) == [submit("a")]
    table.disconnected()
    table.cancel("b")
    assert table.ended_here() == [Ended("b", JobState.CANCELLED, "cancelled")]
    table.connected(welcome())
    assert sent(table) == [Resume(("a",))]
    fault = messages.Fault("busy", "No.", "", "a")
    assert table.received(fault) == fault and sent(table) == [submit("c")]
    table.cancel("c")
    assert sent(table) == [Cancel("c")] and table.is_full
    table.received(Ended("c", JobState.CANCELLED, "cancelled"))
    assert sent(table) == [submit("d")]


def test_resuming_asks_again_even_for_what_was_delivered(table: JobTable) -> None:
    table.connected(welcome())
    table.received(result("a"))
    table.resume(["a"])
    assert sent(table) == [Resume(("a",))]
    assert table.received(result("a")) == result("a")
    table.acknowledge("a")
    sent(table)
    table.resume(["a"])
    assert sent(table) == []


class Bridge:
    """What a bridge would answer, for random histories; it may be killed and lose all but results."""

    def __init__(self) -> None:
        self.running: set[str] = set()
        self.kept: set[str] = set()

    def hear(self, message: messages.ClientMessage) -> list[messages.ServerMessage]:
        if isinstance(message, Submit) and message.job not in self.kept:
            self.running.add(message.job)
        elif isinstance(message, Acknowledge):
            self.kept.discard(message.job)
        elif isinstance(message, Resume):
            return [self.whereabouts(job) for job in message.jobs]
        return []

    def whereabouts(self, job: str) -> messages.ServerMessage:
        if job in self.kept:
            return result(job)
        return messages.Accepted(job, 0) if job in self.running else Unknown(job)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.sampled_from(["submit", "cut", "kill", "hear", "finish", "keep"]), max_size=60))
def test_in_any_history_every_job_is_delivered_exactly_once(history: list[str]) -> None:
    table, bridge = JobTable(most_bytes=10), Bridge()
    delivered: list[str] = []
    submitted: list[str] = []
    answers: list[messages.ServerMessage] = []
    table.connected(welcome())

    def step(name: str) -> None:
        if name == "submit":
            submitted.append(f"job-{len(submitted)}")
            table.submit(submit(submitted[-1]), pixels(4))
        elif name in ("cut", "kill"):
            if name == "kill":
                bridge.running.clear()
            answers.clear()
            table.disconnected()
            table.connected(welcome(*sorted(bridge.kept)))
        elif name == "hear":
            outgoing = table.next_outgoing(0.0)
            if outgoing is not None:
                answers.extend(bridge.hear(outgoing.message))
                assert len(bridge.running) <= 2, "10 bytes and no more"
        elif name == "finish":
            for job in sorted(bridge.running):
                bridge.kept.add(job)
                answers.append(result(job))
            bridge.running.clear()
        while name != "cut" and answers:
            heard = table.received(answers.pop(0))
            if isinstance(heard, Result):
                delivered.append(heard.job)
        if name == "keep":
            for job in delivered:
                table.acknowledge(job)

    for name in history:
        step(name)
    hear = ["hear"] * 200
    two_at_a_time = ["cut", *hear, "finish"] * (len(submitted) // 2 + 1)
    for name in (*two_at_a_time, "cut", *hear, "keep", *hear):
        step(name)
    assert sorted(delivered) == sorted(submitted)
    assert bridge.kept == set()

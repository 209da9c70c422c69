"""What a slow client gets in the end, and what it costs meanwhile."""

from __future__ import annotations

import asyncio

from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.jobs.queue import JobKey
from bridge.server.outbox import ANSWER_BYTES, PREVIEW_BYTES, Outbox, StoredResult
from krita_plugin.krita_bridge.wire import messages
from krita_plugin.krita_bridge.wire.messages import (
    Accepted,
    Ended,
    EngineState,
    EngineStatus,
    Fault,
    JobState,
    Progress,
    Unknown,
)
from tests.bridge_process import PATIENCE
from tests.unit.server.drained import everything


async def test_answers_keep_their_order_and_none_is_dropped() -> None:
    outbox, sent = Outbox(), [Unknown(f"job-{n}") for n in range(100)]
    for message in sent:
        outbox.put(message)
    assert await everything(outbox) == sent


async def test_only_the_newest_preview_progress_and_status_wait() -> None:
    outbox = Outbox()
    for step in range(1, 50):
        outbox.put(Progress("a", step, 50))
        outbox.put(EngineStatus(EngineState.LOADING, f"{step}"))
        outbox.put_preview("a", b"%d" % step)
    got = await everything(outbox)
    assert got == [Progress("a", 49, 50), EngineStatus(EngineState.LOADING, "49"), b"49"]


async def test_results_wait_as_names_once_each() -> None:
    outbox = Outbox()
    for _ in range(3):
        outbox.put_result(JobKey("c", "a"))
        outbox.put_result(JobKey("c", "b"))
    assert outbox.waiting_bytes == 0
    assert set(await everything(outbox)) == {
        StoredResult(JobKey("c", "a")),
        StoredResult(JobKey("c", "b")),
    }


async def test_after_its_end_no_news_of_a_job_is_sent() -> None:
    outbox, end = Outbox(), Ended("a", JobState.CANCELLED)
    outbox.put(Progress("a", 1, 2))
    outbox.put_preview("a", b"old")
    outbox.put(Progress("b", 1, 2))
    outbox.drop_news_of("a")
    outbox.put(end)
    assert await everything(outbox) == [Progress("b", 1, 2), end]


async def test_the_end_of_one_job_leaves_the_preview_of_the_next() -> None:
    outbox = Outbox()
    outbox.put_preview("b", b"new")
    outbox.drop_news_of("a")
    assert await everything(outbox) == [b"new"]


@settings(deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["preview", "progress", "result", "accepted"]), st.integers(0, 9)
        ),
        max_size=200,
    )
)
def test_a_client_that_never_reads_costs_a_bounded_amount(puts: list[tuple[str, int]]) -> None:
    async def fill() -> int:
        outbox = Outbox()
        for kind, number in puts:
            if kind == "preview":
                outbox.put_preview(f"job-{number}", bytes(1000))
            elif kind == "result":
                outbox.put_result(JobKey("c", f"job-{number}"))
            elif kind == "progress":
                outbox.put(Progress(f"job-{number}", 1, 2))
            else:
                outbox.put(Accepted(f"job-{number}", 1))
        return outbox.waiting_bytes

    assert asyncio.run(fill()) <= 1000 + 20 * 120


async def test_a_preview_too_large_to_wait_is_not_sent() -> None:
    outbox = Outbox()
    outbox.put_preview("a", bytes(PREVIEW_BYTES + 1))
    assert await everything(outbox) == []


async def test_too_many_answers_hold_back_the_next_question_until_they_are_read() -> None:
    outbox, long = Outbox(), Fault("bad_message", "x" * 100_000)
    for _ in range(ANSWER_BYTES // 100_000 + 1):
        outbox.put(long)
    room = asyncio.create_task(outbox.room())
    await asyncio.sleep(0.01)
    assert not room.done()
    await outbox.next()
    await asyncio.wait_for(room, PATIENCE)


async def test_next_waits_for_something() -> None:
    outbox = Outbox()
    waiting = asyncio.create_task(outbox.next())
    await asyncio.sleep(0.01)
    assert not waiting.done()
    outbox.put(Unknown("a"))
    assert messages.loads(str(await asyncio.wait_for(waiting, PATIENCE))) == Unknown("a")

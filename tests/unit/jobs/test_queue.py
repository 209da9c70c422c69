"""Fair turns: held against their definition by a state machine."""

from __future__ import annotations

from collections import Counter

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from bridge.jobs.queue import FairQueue, JobKey

CLIENTS = st.sampled_from("ABC")


def drained(queue: FairQueue) -> list[JobKey]:
    taken = []
    while (key := queue.take()) is not None:
        taken.append(key)
    return taken


class Machine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.queue = FairQueue()
        self.waiting: list[JobKey] = []
        self.passed_over: Counter[str] = Counter()
        self.serial = 0

    @rule(client=CLIENTS)
    def push(self, client: str) -> None:
        self.serial += 1
        key = JobKey(client, str(self.serial))
        self.queue.push(key)
        self.waiting.append(key)

    @rule()
    def take(self) -> None:
        expected = self.queue.order()
        key = self.queue.take()
        assert key == (expected[0] if expected else None)
        if key is None:
            assert not self.waiting
            return
        assert key == next(other for other in self.waiting if other.client == key.client)
        self.waiting.remove(key)
        for client in {other.client for other in self.waiting} - {key.client}:
            self.passed_over[client] += 1
            assert self.passed_over[client] <= 2, "with three clients each gets every third turn"
        self.passed_over[key.client] = 0

    @rule(data=st.data())
    def remove(self, data: st.DataObject) -> None:
        if not self.waiting:
            assert not self.queue.remove(JobKey("A", "nothing"))
            return
        key = data.draw(st.sampled_from(self.waiting))
        assert self.queue.remove(key)
        assert not self.queue.remove(key)
        self.waiting.remove(key)
        if all(other.client != key.client for other in self.waiting):
            self.passed_over[key.client] = 0

    @invariant()
    def nothing_is_lost_or_doubled(self) -> None:
        assert sorted(map(str, self.queue.order())) == sorted(map(str, self.waiting))
        assert len(self.queue) == len(self.waiting)
        for client in "ABC":
            assert self.queue.count(client) == sum(key.client == client for key in self.waiting)


Machine.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestFairQueue = Machine.TestCase


def test_a_client_with_one_job_does_not_wait_behind_a_hundred_of_another() -> None:
    queue = FairQueue()
    for number in range(100):
        queue.push(JobKey("many", str(number)))
    queue.push(JobKey("one", "0"))
    assert drained(queue).index(JobKey("one", "0")) == 1


def test_an_interrupted_job_goes_before_all_others() -> None:
    queue = FairQueue()
    for client in "AB":
        for number in "12":
            queue.push(JobKey(client, number))
    queue.push_front(JobKey("B", "0"))
    queue.push_front(JobKey("C", "0"))
    order = [key.client + key.job for key in queue.order()]
    assert order[:3] == ["C0", "B0", "A1"]
    assert [key.client + key.job for key in drained(queue)] == order

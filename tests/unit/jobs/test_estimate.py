"""Seconds left, from made-up clocks."""

from __future__ import annotations

import pytest

from bridge.jobs.estimate import PREVIEW_SECONDS, PREVIEW_SHARE, PreviewPace, StepClock


def test_equal_steps_give_the_exact_time() -> None:
    clock = StepClock(100.0, tail_steps=0.5)
    assert clock.step_done(1, 10, 102.0) == pytest.approx(2.0 * 9.5)
    assert clock.step_done(2, 10, 104.0) == pytest.approx(2.0 * 8.5)
    assert clock.step_done(10, 10, 106.0) == pytest.approx(1.0)


def test_preparation_before_the_first_step_is_not_taken_for_a_step() -> None:
    clock = StepClock(0.0, tail_steps=0.0)
    clock.step_done(1, 10, 60.0)
    assert clock.step_done(2, 10, 61.0) == pytest.approx(8.0)
    assert clock.step_done(3, 10, 62.0) == pytest.approx(7.0)


def test_one_slow_step_does_not_spoil_the_estimate() -> None:
    clock = StepClock(0.0, tail_steps=0.0)
    now = 0.0
    for step in range(1, 6):
        now += 30.0 if step == 4 else 1.0
        left = clock.step_done(step, 10, now)
    assert left == pytest.approx(5.0)


def test_the_tail_is_handed_on_in_steps() -> None:
    clock = StepClock(0.0, tail_steps=1.0)
    assert clock.tail(5.0) == 1.0, "nothing measured yet"
    clock.step_done(1, 2, 2.0)
    clock.step_done(2, 2, 4.0)
    assert clock.tail(7.0) == pytest.approx(1.5)


def test_previews_keep_to_their_share_of_the_time() -> None:
    pace = PreviewPace()
    pace.pause_after(1000, 0.5)
    assert pace.pause_after(1000, 0.5) == pytest.approx(0.5 / PREVIEW_SHARE)


def test_a_cold_first_preview_does_not_keep_the_next_ones_away() -> None:
    pace = PreviewPace()
    assert pace.pause_after(1000, 5.0) == PREVIEW_SECONDS
    assert pace.pause_after(1000, 0.001) == PREVIEW_SECONDS
    assert pace.pause_after(100_000, 0.1) == pytest.approx(0.1 / PREVIEW_SHARE)

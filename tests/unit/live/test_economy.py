"""What a slow machine leaves out, and when it takes it up again."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest

from bridge.live.economy import EFFORTS, FULL, HEADROOM, TARGET_SECONDS, Economy, Effort
from krita_plugin.krita_bridge.wire import limits
from krita_plugin.krita_bridge.wire.geometry import Bounds, Extent
from krita_plugin.krita_bridge.wire.messages import LiveUpdate, PaintRequest

REQUEST = PaintRequest("a lake", steps=8, strength=0.5)
UPDATE = LiveUpdate(
    "l", 1, 0, REQUEST, Extent(512, 512), Bounds(0, 0, 512, 512), True, False, (), (), ""
)


class Machine:
    """Needs so many seconds for all of UPDATE; its time is that of the steps and pixels, and of reading and writing them."""

    def __init__(self, full_seconds: float) -> None:
        self.full_seconds = full_seconds

    def seconds(self, effort: Effort) -> float:
        return self.full_seconds * (0.2 + 0.8 * effort.steps) * effort.scale**2


def paint(economy: Economy, machine: Machine, pictures: int) -> list[Effort]:
    found = []
    for _ in range(pictures):
        found.append(economy.choose(UPDATE))
        economy.took(UPDATE, found[-1], machine.seconds(found[-1]))
    return found


def test_nothing_is_left_out_until_it_is_known_that_the_machine_is_slow() -> None:
    assert Economy().choose(UPDATE) == FULL


def test_a_fast_machine_always_paints_the_full_picture() -> None:
    assert set(paint(Economy(), Machine(TARGET_SECONDS / 2), 20)) == {FULL}


@pytest.mark.parametrize("times_too_slow", [1.2, 2, 4, 8])
def test_a_slow_machine_comes_within_the_target_and_stays_at_one_effort(
    times_too_slow: float,
) -> None:
    machine = Machine(TARGET_SECONDS * times_too_slow)
    found = paint(Economy(), machine, 40)
    assert found[0] == FULL and set(found[10:]) == {found[-1]} and found[-1] != FULL
    assert machine.seconds(found[-1]) <= TARGET_SECONDS


def test_however_slow_the_machine_is_there_is_a_picture_of_the_least_effort() -> None:
    assert paint(Economy(), Machine(1000), 3)[1:] == [EFFORTS[-1]] * 2


def test_the_same_times_give_the_same_efforts() -> None:
    first, second = (paint(Economy(), Machine(0.7), 20) for _ in range(2))
    assert first == second


@pytest.mark.parametrize("times_too_slow", [0.5, 0.7, 0.9, 1, 1.1, 1.3, 2, 3, 5, 9])
def test_times_that_vary_by_a_tenth_do_not_make_the_picture_change_back_and_forth(
    times_too_slow: float,
) -> None:
    economy, found = Economy(), []
    for number in range(60):
        factor = times_too_slow * (0.95 + 0.1 * (number * 7 % 11) / 10)
        found += paint(economy, Machine(TARGET_SECONDS * factor), 1)
    changes = sum(a != b for a, b in pairwise(found[10:]))
    assert changes <= 1


def test_a_machine_that_is_free_again_goes_back_to_all_of_the_work() -> None:
    economy = Economy()
    assert paint(economy, Machine(TARGET_SECONDS * 4), 10)[-1] != FULL
    assert paint(economy, Machine(TARGET_SECONDS / 4), 10)[-1] == FULL


def test_within_the_target_but_without_headroom_nothing_more_is_taken_on() -> None:
    economy = Economy()
    lower = paint(economy, Machine(TARGET_SECONDS * 1.5), 20)[-1]
    near = Machine(TARGET_SECONDS * (HEADROOM + 0.15))
    assert lower != FULL and paint(economy, near, 20)[-1] == lower


def test_the_first_picture_of_a_process_counts_until_there_is_a_second() -> None:
    economy = Economy()
    economy.took(UPDATE, FULL, 9.0)
    assert economy.choose(UPDATE) != FULL
    economy.took(UPDATE, EFFORTS[-1], 0.01)
    assert economy.choose(UPDATE) == FULL


def test_pictures_that_are_always_given_up_tell_that_the_machine_is_slow() -> None:
    economy = Economy()
    economy.outlasted(UPDATE, FULL, 3.0)
    assert economy.choose(UPDATE) != FULL


def test_a_picture_given_up_early_says_nothing_against_the_machine() -> None:
    economy = Economy()
    paint(economy, Machine(TARGET_SECONDS * 2), 10)
    before = economy.choose(UPDATE)
    for _ in range(10):
        economy.outlasted(UPDATE, before, 0.001)
    assert economy.choose(UPDATE) == before


@pytest.mark.parametrize(
    "other",
    [
        replace(UPDATE, request=replace(REQUEST, preset="other")),
        replace(UPDATE, request=replace(REQUEST, guidance=1.0)),
        replace(UPDATE, request=replace(REQUEST, scheduler="heun")),
        replace(UPDATE, bounds=Bounds(0, 0, 256, 256)),
    ],
)
def test_what_is_known_of_one_kind_of_pictures_is_not_held_against_another(
    other: LiveUpdate,
) -> None:
    economy = Economy()
    paint(economy, Machine(9.0), 5)
    assert economy.choose(other) == FULL
    assert economy.choose(UPDATE) == EFFORTS[-1]


def test_the_prompt_the_seed_and_the_colours_change_no_cost() -> None:
    economy = Economy()
    paint(economy, Machine(9.0), 5)
    other = replace(UPDATE, revision=2, request=replace(REQUEST, prompt="a hill", seed=7))
    assert economy.choose(other) == EFFORTS[-1]


def test_a_lower_strength_is_less_work() -> None:
    economy = Economy()
    paint(economy, Machine(TARGET_SECONDS * 1.5), 10)
    assert economy.choose(UPDATE) != FULL
    weaker = replace(UPDATE, request=replace(REQUEST, strength=0.1))
    assert economy.choose(weaker) == FULL


def test_an_effort_lowers_steps_and_size_and_nothing_else() -> None:
    request = replace(REQUEST, steps=5)
    assert FULL.of(request) == request
    assert Effort(0.5, 0.75).of(request) == replace(request, steps=3, scale=0.75)
    assert Effort(0.25).of(replace(request, steps=None)).steps is None
    assert Effort(0.25).of(replace(request, steps=1)).steps == 1
    small = replace(request, scale=limits.MIN_SCALE)
    assert Effort(1.0, 0.5).of(small) == small


def test_only_so_many_kinds_are_remembered() -> None:
    economy = Economy()
    economy.took(UPDATE, FULL, 9.0)
    for side in range(1, 100):
        economy.choose(replace(UPDATE, bounds=Bounds(0, 0, side, side)))
    assert economy.choose(UPDATE) == FULL

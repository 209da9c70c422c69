"""Which mode and strength the docker shows, as selection and canvas change and the painter chooses."""

from __future__ import annotations

import pytest

from krita_plugin.krita_bridge.choice import ModeChoice
from krita_plugin.krita_bridge.wire.modes import MEANINGS, Mode, Situation


def seen(situation: Situation) -> ModeChoice:
    choice = ModeChoice()
    choice.see(situation)
    return choice


def shown(choice: ModeChoice) -> tuple[Mode, float]:
    return choice.mode(), choice.strength()


def test_it_follows_selection_and_canvas() -> None:
    choice = ModeChoice()
    assert shown(choice) == (Mode.FILL, 1.0)
    for situation, mode in (
        (Situation.WHOLE, Mode.REFINE),
        (Situation.INSIDE, Mode.FILL),
        (Situation.BEYOND, Mode.EXPAND),
    ):
        choice.see(situation)
        assert shown(choice) == (mode, MEANINGS[mode].strength)


def test_with_a_selection_the_slider_turns_a_fill_into_a_refinement_and_back() -> None:
    choice = seen(Situation.INSIDE)
    choice.set_strength(0.7)
    assert shown(choice) == (Mode.REFINE, 0.7)
    choice.set_strength(1.0)
    assert shown(choice) == (Mode.FILL, 1.0)


def test_every_situation_remembers_its_own_strength() -> None:
    choice = seen(Situation.INSIDE)
    choice.set_strength(0.7)
    choice.see(Situation.WHOLE)
    choice.set_strength(0.2)
    choice.see(Situation.INSIDE)
    assert shown(choice) == (Mode.REFINE, 0.7)
    choice.see(Situation.WHOLE)
    assert shown(choice) == (Mode.REFINE, 0.2)


def test_a_mode_chosen_by_hand_comes_with_its_strength_and_keeps_it_while_the_slider_moves() -> (
    None
):
    choice = seen(Situation.INSIDE)
    choice.take(Mode.REMOVE)
    assert shown(choice) == (Mode.REMOVE, MEANINGS[Mode.REMOVE].strength)
    choice.set_strength(0.3)
    assert shown(choice) == (Mode.REMOVE, 0.3)
    choice.take(None)
    assert shown(choice) == (Mode.FILL, 1.0)


def test_a_choice_lasts_until_the_kind_of_selection_changes() -> None:
    choice = seen(Situation.INSIDE)
    choice.take(Mode.ADD)
    choice.see(Situation.INSIDE)
    assert choice.mode() is Mode.ADD
    choice.see(Situation.WHOLE)
    assert choice.by_hand is None and choice.mode() is Mode.REFINE
    choice.see(Situation.INSIDE)
    assert choice.mode() is Mode.FILL


def test_the_menu_can_say_what_would_be_suggested() -> None:
    choice = seen(Situation.BEYOND)
    choice.take(Mode.FILL)
    assert choice.suggested() is Mode.EXPAND


@pytest.mark.parametrize(
    ("situation", "strength", "mode"),
    [
        (Situation.INSIDE, 1.0, Mode.FILL),
        (Situation.INSIDE, 0.3, Mode.REFINE),
        (Situation.WHOLE, 0.3, Mode.REFINE),
    ],
)
def test_what_was_set_before_is_set_again(
    situation: Situation, strength: float, mode: Mode
) -> None:
    choice = seen(situation)
    choice.load(None, strength)
    assert shown(choice) == (mode, strength)


@pytest.mark.parametrize("situation", Situation)
@pytest.mark.parametrize("strength", [0.3, 1.0])
def test_what_was_set_elsewhere_does_not_change_the_suggestion(
    situation: Situation, strength: float
) -> None:
    choice = seen(situation)
    choice.load(None, strength)
    allowed = {seen(situation).mode()} | ({Mode.REFINE} if situation is Situation.INSIDE else set())
    assert choice.mode() in allowed


def test_the_settings_of_a_result_are_its_mode_too() -> None:
    choice = seen(Situation.INSIDE)
    choice.load(Mode.VARIATION, 0.4)
    assert shown(choice) == (Mode.VARIATION, 0.4)


@pytest.mark.parametrize("situation", Situation)
def test_only_a_selection_over_paint_can_be_replaced(situation: Situation) -> None:
    assert seen(situation).has_selection == (situation in (Situation.INSIDE, Situation.BEYOND))


@pytest.mark.parametrize("situation", [Situation.BLANK, Situation.BEYOND])
def test_the_strength_of_an_expansion_is_not_kept_for_other_selections(
    situation: Situation,
) -> None:
    choice = seen(situation)
    choice.set_strength(0.5)
    assert choice.strength() == 0.5 and choice.strength_to_keep() == 1.0


def test_the_strength_of_a_refinement_is_kept() -> None:
    choice = seen(Situation.INSIDE)
    choice.set_strength(0.5)
    assert choice.strength_to_keep() == 0.5
    choice.take(Mode.REMOVE)
    assert choice.strength_to_keep() == MEANINGS[Mode.REMOVE].strength

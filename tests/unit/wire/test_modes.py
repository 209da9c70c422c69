"""The table of modes, and the mode that a look at the canvas suggests."""

from __future__ import annotations

import pytest

from krita_plugin.krita_bridge.wire.modes import (
    MEANINGS,
    REACH,
    Mode,
    Prefill,
    Situation,
    choose_mode,
    default_strength,
    situation,
)


@pytest.mark.parametrize(
    ("has_selection", "is_blank", "unpainted", "found"),
    [
        (False, True, 1.0, Situation.BLANK),
        (True, True, 1.0, Situation.BLANK),
        (True, True, 0.0, Situation.BLANK),  # white paper, with nothing on it
        (False, False, 0.0, Situation.WHOLE),
        (False, False, 0.9, Situation.WHOLE),
        (True, False, 0.0, Situation.INSIDE),
        (True, False, REACH - 0.01, Situation.INSIDE),  # a hand that slipped over the edge
        (True, False, REACH, Situation.BEYOND),
        (True, False, 1.0, Situation.BEYOND),
    ],
)
def test_selection_and_canvas_make_the_situation(
    has_selection: bool, is_blank: bool, unpainted: float, found: Situation
) -> None:
    assert situation(has_selection, is_blank, unpainted) is found


@pytest.mark.parametrize(
    ("found", "strength", "mode"),
    [
        (Situation.BLANK, 1.0, Mode.FILL),
        (Situation.BLANK, 0.5, Mode.FILL),
        (Situation.WHOLE, 0.5, Mode.REFINE),
        (Situation.WHOLE, 1.0, Mode.FILL),
        (Situation.INSIDE, 1.0, Mode.FILL),
        (Situation.INSIDE, 0.95, Mode.REFINE),
        (Situation.BEYOND, 1.0, Mode.EXPAND),
        (Situation.BEYOND, 0.5, Mode.EXPAND),
    ],
)
def test_the_situation_and_the_strength_make_the_mode(
    found: Situation, strength: float, mode: Mode
) -> None:
    assert choose_mode(found, strength) is mode


@pytest.mark.parametrize(
    ("found", "mode"),
    [
        (Situation.BLANK, Mode.FILL),
        (Situation.WHOLE, Mode.REFINE),
        (Situation.INSIDE, Mode.FILL),
        (Situation.BEYOND, Mode.EXPAND),
    ],
)
def test_a_slider_that_nobody_moved_suggests_the_mode_it_stands_for(
    found: Situation, mode: Mode
) -> None:
    assert choose_mode(found, default_strength(found)) is mode
    assert default_strength(found) == MEANINGS[mode].strength


def test_every_mode_has_its_row() -> None:
    assert set(MEANINGS) == set(Mode)
    for meaning in MEANINGS.values():
        assert 0 < meaning.strength <= 1 and meaning.margin > 0
        # At full strength nothing would be left of what a mode keeps.
        assert meaning.prefill is not Prefill.KEEP or meaning.strength < 1

from __future__ import annotations

import pytest

from krita_plugin.krita_bridge import words
from krita_plugin.krita_bridge.wire.messages import ResultFacts


@pytest.mark.parametrize(
    ("strength", "has_selection", "mode"),
    [
        (1.0, True, "Fill selection"),
        (1.0, False, "Fill canvas"),
        (0.95, True, "Refine selection"),
        (0.05, False, "Refine canvas"),
    ],
)
def test_the_mode_follows_from_strength_and_selection(
    strength: float, has_selection: bool, mode: str
) -> None:
    assert words.mode_name(strength, has_selection) == mode


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, ""),
        (0.2, "almost done"),
        (1.0, "1 s left"),
        (59.4, "59 s left"),
        (59.6, "1 min 0 s left"),
        (278.0, "4 min 38 s left"),
        (3600.0, "1 h 0 min left"),
        (7530.0, "2 h 5 min left"),
    ],
)
def test_time_left(seconds: float | None, text: str) -> None:
    assert words.time_left(seconds) == text


def test_progress_names_only_what_is_known() -> None:
    assert words.progress_line(7, 20, 3.2, 2) == "step 7 of 20 · 3 s left · 2 more waiting"
    assert words.progress_line(7, 20, None, 0) == "step 7 of 20"
    assert words.progress_line(0, 0, None, 1) == "waiting for its turn · 1 more waiting"


@pytest.mark.parametrize(
    ("prompt", "name"),
    [
        ("a red boat", "a red boat (7)"),
        ("two\nlines\t and  spaces", "two lines and spaces (7)"),
        ("", "(7)"),
        ("x" * 41, "x" * 39 + "… (7)"),
        ("bell\x07 and \u202eturned", "bell and turned (7)"),
    ],
)
def test_layers_are_named_by_prompt_and_seed(prompt: str, name: str) -> None:
    assert words.layer_name(prompt, 7) == name
    assert words.is_layer_name(name)


@pytest.mark.parametrize("name", ["Background", "Paint Layer 1", "copy (2) of", "(x)", ""])
def test_other_layers_are_not_taken_for_results(name: str) -> None:
    assert not words.is_layer_name(name)


@pytest.mark.parametrize(
    ("strength", "steps", "snapped"),
    [(1.0, 20, 20), (0.5, 20, 10), (0.52, 20, 10), (0.01, 20, 1), (0.4, 1, 1), (0.3, 4, 1)],
)
def test_strength_snaps_to_whole_steps(strength: float, steps: int, snapped: int) -> None:
    assert words.snapped_strength(strength, steps) == snapped


def test_a_result_tells_what_made_it() -> None:
    facts = ResultFacts(
        "a red boat", "", "embedded", 12, 0.55, 20, 11, 5.0, "ddim", "embedded model", "ab", 512, 512,
        3.14, "0.1",
    )  # fmt: skip
    assert words.result_tip(facts, "Not placed").split("\n") == [
        "a red boat",
        "Seed 12",
        "Strength 55 %, embedded model, 3.1 s",
        "Not placed",
    ]

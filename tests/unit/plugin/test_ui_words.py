from __future__ import annotations

import pytest

from krita_plugin.krita_bridge import words
from krita_plugin.krita_bridge.wire.messages import ResultFacts
from krita_plugin.krita_bridge.wire.modes import Mode


@pytest.mark.parametrize("mode", Mode)
def test_every_mode_has_a_word(mode: Mode) -> None:
    name = words.mode_name(mode)
    assert name and name[0].isupper()
    assert words.mode_tip(mode)[0].isupper()


@pytest.mark.parametrize(
    ("prompt", "mode", "title"),
    [("a boat ", Mode.FILL, "a boat"), ("", Mode.REMOVE, "Remove"), (" ", Mode.FILL, "Fill")],
)
def test_a_result_without_a_prompt_is_called_by_what_was_done(
    prompt: str, mode: Mode, title: str
) -> None:
    assert words.title(prompt, mode) == title


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
    assert words.progress_line(7, 20, 3.2, 0, in_tiles=True) == "tile 7 of 20 · 3 s left"
    assert words.progress_line(0, 0, None, 0, in_tiles=True) == "waiting for its turn"


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
        3.14, "0.1", Mode.REFINE,
    )  # fmt: skip
    assert words.result_tip(facts, "Not placed").split("\n") == [
        "a red boat",
        "Seed 12",
        "Refine 55\u00a0%, embedded model, 3.1\u00a0s",
        "Not placed",
    ]


@pytest.mark.parametrize(
    ("rate", "latency", "full", "scale", "line"),
    [
        (None, None, True, 1.0, ""),
        (None, 0.4, True, 1.0, "0.40 s after the brush"),
        (2.13, 0.4, True, 1.0, "2.1 a second, 0.40 s after the brush"),
        (0.02, 0.4, True, 1.0, "0.40 s after the brush"),
        (5.0, 0.3, False, 1.0, "5.0 a second, 0.30 s after the brush, fewer steps while you paint"),
        (5.0, 0.3, False, 0.5, "5.0 a second, 0.30 s after the brush, half size while you paint"),
        (None, 1.0, False, 0.75, "1.00 s after the brush, 75 % of the size while you paint"),
    ],
)
def test_the_pace_of_live_painting_says_what_a_slow_machine_leaves_out(
    rate: float | None, latency: float | None, full: bool, scale: float, line: str
) -> None:
    assert words.pace_line(rate, latency, full, scale) == line

from __future__ import annotations

import pytest

from bridge.engine.prompt import MAX_WEIGHT, Prompt, Span, Use, plain, read


def spans(typed: str) -> list[tuple[str, float]]:
    return [(span.text, round(span.weight, 4)) for span in read(typed, 0).spans]


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("", []),
        ("a boat", [("a boat", 1)]),
        ("a (red:1.3) boat", [("a ", 1), ("red", 1.3), (" boat", 1)]),
        ("(red)", [("red", 1.1)]),
        ("((red))", [("red", 1.21)]),
        ("[red]", [("red", 0.9091)]),
        ("(a (red:1.2) boat:0.5)", [("a ", 0.5), ("red", 0.6), (" boat", 0.5)]),
        ("(red:.5)", [("red", 0.5)]),
        ("(red: 2)", [("red", 2)]),
        ("(red:0) sea", [("red", 0), (" sea", 1)]),
        ("(red) (sea)", [("red sea", 1.1)]),
        ("((red):1.2)", [("red", 1.32)]),
        ("a (red:1.0) boat", [("a red boat", 1)]),
        ("(([red])) x", [("red", 1.1), (" x", 1)]),
    ],
)
def test_weights(typed: str, expected: list[tuple[str, float]]) -> None:
    assert spans(typed) == [(text, pytest.approx(weight)) for text, weight in expected]


@pytest.mark.parametrize(
    "typed",
    [
        "a smile :)",
        "(never closed",
        "closed only)",
        "]x[",
        "{never closed | here",
        "closed only}",
        "{one}",
        "<lora:>",
        "<lora:boat:much>",
        "<lora:boat",
        "a < b > c",
        "#ff0000 sky",
        "tone#4",
        "ends with a backslash \\",
        "C:\\pictures",
    ],
)
def test_what_is_not_well_formed_is_text(typed: str) -> None:
    assert read(typed, 0).spans == (Span(typed),)


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("(red:1.2.3)", [("red:1.2.3", 1.1)]),
        ("(red:-1)", [("red:-1", 1.1)]),
        ("(red:1e5)", [("red:1e5", 1.1)]),
        ("(red:123)", [("red:123", 1.1)]),
        ("[red:1.2]", [("red:1.2", 0.9091)]),
        ("([red:1.2])", [("red:1.2", 1)]),
        ("(a [b) c", [("a [b", 1.1), (" c", 1)]),
    ],
)
def test_a_weight_that_is_none_stays_in_the_text(
    typed: str, expected: list[tuple[str, float]]
) -> None:
    assert spans(typed) == [(text, pytest.approx(weight)) for text, weight in expected]


@pytest.mark.parametrize("character", "()[]{}|<>:#\\")
def test_a_backslash_takes_a_character_as_it_is(character: str) -> None:
    assert read(f"a \\{character} b", 0).spans == (Span(f"a {character} b"),)


def test_escaped_brackets_and_weights_go_together() -> None:
    assert spans(r"(\(x\):1.5)") == [("(x)", 1.5)]
    assert spans(r"(ratio 16\:9)") == [("ratio 16:9", 1.1)]
    assert spans(r"\<lora:boat:1>") == [("<lora:boat:1>", 1)]


def test_comments_end_with_the_line() -> None:
    assert read("a boat # not this (one:2)\nat sea", 0).spans == (Span("a boat \nat sea"),)
    assert read("# only this", 0) == Prompt("")
    assert read("a\n#\nb ## c", 0).text.split() == ["a", "b"]


def test_alternatives_follow_the_seed() -> None:
    seen = {read("a {red|green|blue} boat", seed).text for seed in range(40)}
    assert seen == {"a red boat", "a green boat", "a blue boat"}
    assert read("{a|b}", 7) == read("{a|b}", 7)


def test_alternatives_of_a_seed_are_the_same_everywhere() -> None:
    """Pinned: a picture's seed must still mean the same prompt in a later version."""
    assert read("{0|1|2|3|4|5|6|7|8|9}" * 8, 42).text == "84303268"


def test_groups_choose_each_for_itself() -> None:
    seen = {read("{a|b}{c|d}", seed).text for seed in range(60)}
    assert seen == {"ac", "ad", "bc", "bd"}


def test_alternatives_may_nest_be_empty_and_hold_weights_and_loras() -> None:
    assert {read("{a {x|y}|b}", seed).text for seed in range(60)} == {"a x", "a y", "b"}
    assert {read("sea{, boat|}", seed).text for seed in range(40)} == {"sea, boat", "sea"}
    seen = {(read("{(a:2)|<lora:b:1>}", s).spans, read("{(a:2)|<lora:b:1>}", s).loras) for s in range(40)}  # fmt: skip
    assert seen == {((Span("a", 2.0),), ()), ((), (Use("b", 1.0),))}


def test_loras_leave_the_text() -> None:
    read_ = read("a boat<lora:ink style:0.8>, sea <lora:grain>", 0)
    assert read_.loras == (Use("ink style", 0.8), Use("grain", 1.0))
    assert read_.spans == (Span("a boat, sea "),)
    assert read_.text == "a boat<lora:ink style:0.8>, sea <lora:grain>"


def test_a_lora_named_twice_counts_twice() -> None:
    assert read("<lora:a:0.5><lora:b:-1><lora:a:0.25>", 0).loras == (
        Use("a", 0.75),
        Use("b", -1.0),
    )


def test_hypernetworks_leave_the_text_too() -> None:
    read_ = read("a <hypernet:ink:0.5> boat <lora:ink>", 0)
    assert (read_.hypernetworks, read_.loras) == ((Use("ink", 0.5),), (Use("ink", 1.0),))
    assert read_.spans == (Span("a  boat "),)


def test_the_template_goes_round_the_prompt() -> None:
    template = "oil painting of ({prompt}:1.2), {warm|cold} light"
    made = read("a boat # mine", 1, template)
    assert made.text in (
        "oil painting of (a boat:1.2), warm light",
        "oil painting of (a boat:1.2), cold light",
    )
    assert made.spans[1] == Span("a boat", 1.2)


def test_a_prompt_that_looks_like_the_template_is_text() -> None:
    assert read("{prompt}", 0, "a {prompt} b").text == "a {prompt} b"


def test_ten_thousand_brackets_are_read() -> None:
    for typed in (
        "(" * 5000 + "a" + ")" * 5000,
        "[" * 5000 + ")" * 5000,
        "{" * 10_000,
        "{a|" * 3300,
    ):
        prompt = read(typed, 0)
        assert all(0 <= span.weight <= MAX_WEIGHT for span in prompt.spans)
    assert read("(" * 500 + "a" + ")" * 500, 0).spans == (Span("a", MAX_WEIGHT),)


def test_plain_text_keeps_its_brackets() -> None:
    assert plain("(a:2)").spans == (Span("(a:2)"),)
    assert plain("").spans == ()

"""Any text at all can be typed."""

from __future__ import annotations

import re

from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.engine.prompt import MAX_WEIGHT, Span, read

pieces = st.sampled_from(
    [*"()[]{}|<>:#\\ \n", "a", "bc", "1.2", "<lora:", "<lora:x:0.5>", "{prompt}", "# "]
)
typed = st.one_of(st.text(max_size=60), st.lists(pieces, max_size=40).map("".join))
seeds = st.integers(0, 2**63 - 1)


@settings(deadline=None)
@given(typed, seeds)
def test_reading_never_fails(text: str, seed: int) -> None:
    prompt = read(text, seed)
    assert prompt == read(text, seed)
    for span, following in zip(prompt.spans, prompt.spans[1:], strict=False):
        assert span.weight != following.weight
    for span in prompt.spans:
        assert span.text.strip() and 0 <= span.weight <= MAX_WEIGHT


@settings(deadline=None)
@given(st.text(max_size=60), seeds)
def test_escaped_text_comes_through_whole(text: str, seed: int) -> None:
    text = text.strip()
    escaped = re.sub(r"([()\[\]{}|<>:#\\])", r"\\\1", text)
    assert read(escaped, seed).spans == ((Span(text),) if text else ())


@settings(deadline=None)
@given(st.lists(st.text("abc ,.", max_size=8), max_size=6), seeds)
def test_weights_of_one_change_nothing(words: list[str], seed: int) -> None:
    weighed = "".join(f"({word}:1)" if number % 2 else word for number, word in enumerate(words))
    joined = "".join(words)
    read_ = "".join(span.text for span in read(weighed, seed).spans)
    assert read_.split() == joined.split() and len(read(weighed, seed).spans) <= 1

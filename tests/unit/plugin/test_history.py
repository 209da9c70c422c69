from __future__ import annotations

from dataclasses import replace

import pytest

from krita_plugin.krita_bridge import history
from krita_plugin.krita_bridge.history import Entry, History, KeptMap, PromptHistory
from krita_plugin.krita_bridge.notes import DocumentNote
from krita_plugin.krita_bridge.wire.control import ControlKind
from krita_plugin.krita_bridge.wire.geometry import Bounds, Extent
from krita_plugin.krita_bridge.wire.messages import ResultFacts

FACTS = ResultFacts("p", "", "e", 1, 1.0, 20, 20, 5.0, "ddim", "m", "a", 64, 64, 1.0, "0")
BOUNDS = Bounds(0, 0, 2, 2)


def entry(job: str, layer: str | None = None, size: int = 16) -> Entry:
    note = DocumentNote("d", layer, 1, BOUNDS) if layer else None
    return Entry(job, BOUNDS, Extent(9, 9), FACTS, note, bytes(size))


def jobs(of: History) -> list[str]:
    return [e.job for e in of.entries()]


def test_results_keep_their_order_and_come_once() -> None:
    h = History()
    for job in "abca":
        h.add(entry(job))
    assert jobs(h) == ["a", "b", "c"]


def test_being_placed_is_news_once() -> None:
    h = History()
    h.add(entry("a"))
    assert not h.is_placed("a")
    assert [h.placed("a"), h.placed("a"), h.placed("nobody")] == [True, False, False]
    assert h.is_placed("a")


def test_maps_wait_with_their_result_until_it_is_placed() -> None:
    h = History()
    kept = KeptMap(0, ControlKind.DEPTH, BOUNDS, bytes(10))
    h.add(replace(entry("a"), maps=(kept,)))
    waiting = h.get("a")
    assert waiting is not None and waiting.maps == (kept,) and waiting.size == 26
    h.placed("a")
    assert h.get("a") == entry("a")


def test_a_result_that_comes_again_stays_placed() -> None:
    h = History()
    h.add(entry("a"))
    h.placed("a")
    h.add(entry("a"))
    assert h.is_placed("a")


def test_room_is_made_by_the_oldest_placed_results_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history, "MOST_RESULTS", 3)
    h = History()
    for job in "abc":
        h.add(entry(job))
    h.placed("b")
    h.add(entry("d"))
    assert jobs(h) == ["a", "c", "d"]
    h.add(entry("e"))
    assert jobs(h) == ["a", "c", "d", "e"], "results that are nowhere else are never dropped"


def test_bytes_count_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history, "MOST_BYTES", 100)
    h = History()
    for job in "ab":
        h.add(entry(job, size=60))
        h.placed(job)
    assert jobs(h) == ["b"]


def test_siblings_go_round_and_strangers_are_left_out() -> None:
    h = History()
    for job, layer in (("a", "one"), ("x", "two"), ("b", "one"), ("c", "one")):
        h.add(entry(job, layer))
    walk = [h.beside(job, 1) for job in "abc"]
    assert [e.job for e in walk if e] == ["b", "c", "a"]
    back = h.beside("a", -1)
    assert back is not None and back.job == "c"
    assert h.beside("x", 1) is None
    assert h.beside("nobody", 1) is None


def test_results_without_a_note_are_nobodys_siblings() -> None:
    h = History()
    h.add(entry("a"))
    h.add(entry("b"))
    assert h.beside("a", 1) is None


class TestPrompts:
    def test_walking_back_and_forth_returns_to_the_draft(self) -> None:
        prompts = PromptHistory(["one", "two"])
        assert prompts.older("draft") == "two"
        assert prompts.older("two") == "one"
        assert prompts.older("one") is None
        assert prompts.newer("one") == "two"
        assert prompts.newer("two") == "draft"
        assert prompts.newer("draft") is None

    def test_the_present_text_is_not_offered_again(self) -> None:
        assert PromptHistory(["one", "two"]).older("two") == "one"

    def test_a_used_prompt_moves_to_the_end(self) -> None:
        prompts = PromptHistory(["one", "two"])
        prompts.used("one")
        prompts.used("  ")
        assert prompts.prompts() == ["two", "one"]
        assert prompts.older("") == "one"

    def test_only_so_many_are_kept(self) -> None:
        prompts = PromptHistory([])
        for n in range(history.MOST_PROMPTS + 10):
            prompts.used(str(n))
        assert len(prompts.prompts()) == history.MOST_PROMPTS
        assert prompts.prompts()[-1] == str(history.MOST_PROMPTS + 9)

from __future__ import annotations

import itertools

import pytest

from krita_plugin.krita_bridge.guard import DocumentState, LayerFate, Placement, decide

SOUND = DocumentState(is_open=True, same_canvas=True, layer=LayerFate.PRESENT, anchor_usable=True)


def state(**changes: object) -> DocumentState:
    return DocumentState(**{**vars(SOUND), **changes})  # type: ignore[arg-type]


def test_the_preview_layer_becomes_the_result() -> None:
    assert decide(SOUND).placement is Placement.INTO_PREVIEW_LAYER
    assert decide(SOUND).sentence == ""


@pytest.mark.parametrize(
    ("anchor_usable", "placement"),
    [(True, Placement.NEW_LAYER_ABOVE_ANCHOR), (False, Placement.NEW_LAYER_AT_ROOT)],
)
def test_without_a_preview_layer_a_new_one_is_made(
    anchor_usable: bool, placement: Placement
) -> None:
    decision = decide(state(layer=LayerFate.NOT_MADE, anchor_usable=anchor_usable))
    assert decision.placement is placement
    assert decision.sentence == ""


@pytest.mark.parametrize(
    "changes", [{"is_open": False}, {"same_canvas": False}, {"layer": LayerFate.GONE}]
)
def test_a_picture_without_a_place_waits_and_says_why(changes: dict[str, object]) -> None:
    decision = decide(state(**changes))
    assert decision.placement is Placement.KEEP_IN_HISTORY
    assert "Click it to place it." in decision.sentence


def test_the_three_reasons_to_wait_read_differently() -> None:
    reasons = [{"is_open": False}, {"same_canvas": False}, {"layer": LayerFate.GONE}]
    assert len({decide(state(**changes)).sentence for changes in reasons}) == 3


def test_only_an_open_unchanged_document_with_its_layer_is_written_to() -> None:
    for is_open, same, layer, anchor in itertools.product(
        (True, False), (True, False), LayerFate, (True, False)
    ):
        placement = decide(DocumentState(is_open, same, layer, anchor)).placement
        if placement is not Placement.KEEP_IN_HISTORY:
            assert is_open and same and layer is not LayerFate.GONE
        if placement is Placement.INTO_PREVIEW_LAYER:
            assert layer is LayerFate.PRESENT

"""Selections of every kind, and input that cannot be served."""

from __future__ import annotations

import numpy as np

from tests.krita.conftest import Studio
from tests.krita.harness import Before, Document, layers_of


def new_document(studio: Studio) -> Document:
    document = studio.krita.new_document(320, 256)
    studio.krita.agent.call("set_brush", "b) Basic-5", 30.0, [40, 90, 180])
    document.draw_stroke([(40, 60), (280, 60), (280, 200)])
    return document


def check(studio: Studio, document: Document, prompt: str) -> None:
    before = Before.of(document)
    assert 0 < np.count_nonzero(before.selection) < before.selection.size
    studio.docker.paint(document, prompt)
    before.assert_only_selected_pixels_changed()
    before.assert_one_undo_restores_and_redo_repeats()


def test_a_feathered_selection(studio: Studio) -> None:
    document = new_document(studio)
    document.select_rectangle(90, 60, 220, 190)
    document.feather_selection(8)
    selection = document.selection()
    assert ((selection > 0) & (selection < 255)).any()
    check(studio, document, "fog")
    name = layers_of(document, "fog")[0].name
    alpha = document.layer_pixels(name)[..., 3]
    assert np.array_equal(alpha == 0, selection == 0)
    assert ((alpha > 0) & (alpha < 255)).any()


def test_a_lasso_selection(studio: Studio) -> None:
    document = new_document(studio)
    document.select_lasso([(160, 40), (260, 200), (60, 190)])
    check(studio, document, "a tent")


def test_an_inverted_selection(studio: Studio) -> None:
    document = new_document(studio)
    document.select_rectangle(100, 60, 240, 200)
    document.invert_selection()
    check(studio, document, "a frame")


def test_a_selection_at_the_edge_of_the_canvas(studio: Studio) -> None:
    document = new_document(studio)
    document.select_rectangle(230, 150, 345, 275)
    assert document.selection()[255, 319] == 255
    check(studio, document, "a corner")


def refused(studio: Studio, document: Document, sentence: str, prompt: str = "no") -> None:
    """Generating says this sentence and changes nothing."""
    before = Before.of(document)
    studio.docker.ask_for(prompt)
    studio.docker.wait_for_state(sentence)
    studio.docker.wait_until_idle()
    assert before.is_restored()


def test_a_selection_of_one_pixel(studio: Studio) -> None:
    document = new_document(studio)
    document.select_exactly(100, 100, 1, 1)
    refused(studio, document, "The selection is only 1 x 1 px")


def test_an_empty_selection(studio: Studio) -> None:
    document = new_document(studio)
    document.select_exactly(100, 100, 0, 0)
    refused(studio, document, "selection is empty")


def test_no_document(studio: Studio) -> None:
    studio.docker.write("nowhere")
    studio.docker.generate()
    studio.docker.wait_for_state("Open or create a picture first")


def test_a_prompt_of_a_hundred_thousand_characters(studio: Studio) -> None:
    document = new_document(studio)
    before = Before.of(document)
    prompt = "docker.findChild(QtWidgets.QPlainTextEdit, 'prompt')"
    try:
        studio.docker.ask(f"{prompt}.setPlainText('boats ' * 16667)")
        studio.docker.click("QToolButton", "generate")
        studio.docker.wait_for_state("prompt")
        assert len(studio.docker.ask(f"{prompt}.toPlainText()")) == 100_002
        assert not studio.docker.is_busy()
        assert before.is_restored()
    finally:
        studio.docker.ask(f"{prompt}.clear()")


def test_a_small_selection_on_a_huge_canvas(studio: Studio) -> None:
    document = studio.krita.new_document(20_000, 20_000)
    document.select_exactly(10_000, 12_000, 200, 160)
    around = (9_900, 11_900, 400, 360)
    before = document.flattened_part(around)
    studio.docker.ask_for("an island")
    result = studio.docker.wait_for_result(document, "an island")
    assert result.bounds == (10_000, 12_000, 200, 160)
    assert document.recorded() == {result.id}
    changed = (before != document.flattened_part(around)).any(axis=-1)
    inside = np.zeros_like(changed)
    inside[100:260, 100:300] = True
    assert changed[inside].mean() > 0.5 and not changed[~inside].any()
    document.undo()
    assert np.array_equal(document.flattened_part(around), before)

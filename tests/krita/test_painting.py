"""From a selection to a layer, in a real Krita, with a real bridge and its embedded model."""

from __future__ import annotations

import numpy as np

from tests.krita.conftest import Studio
from tests.krita.harness import Before, Document


def painted_document(studio: Studio, width: int = 320, height: int = 256) -> Document:
    document = studio.krita.new_document(width, height)
    studio.krita.agent.call("set_brush", "b) Basic-5", 30.0, [40, 90, 180])
    document.draw_stroke([(40, 60), (width - 40, 60), (width - 40, height - 56)])
    return document


def test_a_selection_is_filled_and_nothing_else_changes(studio: Studio) -> None:
    docker = studio.docker
    document = painted_document(studio)
    document.select_rectangle(90, 40, 220, 170)
    before = Before.of(document)

    docker.ask_for("a red boat", "slow")
    preview = docker.wait_for_preview(document, "a red boat")
    result = docker.wait_for_result(document, "a red boat")

    before.assert_only_selected_pixels_changed()
    assert result.id == preview.id
    assert [layer for layer in document.nodes() if layer.id != result.id] == before.layers
    assert document.facts()["active"]["name"] == "Background"
    before.assert_one_undo_restores_and_redo_repeats()


def test_cancelling_midway_leaves_nothing_behind(studio: Studio) -> None:
    docker = studio.docker
    document = painted_document(studio)
    document.select_rectangle(90, 40, 220, 170)
    before, undo, redo = Before.of(document), document.next_undo(), document.next_redo()

    docker.ask_for("a storm", "endless")
    docker.wait_for_preview(document, "a storm")
    studio.krita.wait_until(docker.is_picture_in_the_making)
    docker.ask_for("a gust", "endless")  # waits behind it
    studio.krita.wait_until(lambda: docker.can_cancel() == ["a storm", "a gust"])
    docker.cancel_only("a gust")
    studio.krita.wait_until(lambda: docker.can_cancel() == ["a storm"])
    assert docker.is_picture_in_the_making()
    docker.click("QToolButton", "cancel")
    docker.wait_until_idle()
    studio.krita.wait_until(lambda: not docker.is_picture_in_the_making())

    studio.krita.wait_until(before.is_restored)
    assert document.next_undo() == undo
    studio.krita.wait_until(lambda: document.next_redo() == redo)
    docker.paint(document, "a calm")  # and the bridge is free again


def test_cancelling_before_the_first_preview(studio: Studio) -> None:
    docker = studio.docker
    document = painted_document(studio)
    before, undo = Before.of(document), document.next_undo()
    docker.ask_for("nothing", "endless")
    studio.krita.wait_until(docker.is_busy)
    studio.krita.shortcut("shift+Escape", "krita_bridge_cancel")
    docker.wait_until_idle()
    studio.krita.wait_until(before.is_restored)
    assert document.next_undo() == undo


def test_without_a_selection_the_whole_canvas_is_painted(studio: Studio) -> None:
    document = painted_document(studio, 160, 144)
    before = Before.of(document)
    studio.docker.choose("quick")
    studio.docker.write("a meadow")
    studio.docker.click("QToolButton", "generate")
    result = studio.docker.wait_for_result(document, "a meadow")
    assert result.bounds == (0, 0, 160, 144)
    assert (document.layer_pixels(result.name)[..., 3] == 255).all()
    before.assert_one_undo_restores_and_redo_repeats()


def test_generating_with_the_keyboard_on_the_canvas(studio: Studio) -> None:
    document = painted_document(studio)
    studio.docker.choose("quick")
    studio.docker.write("a hill")
    document.select_rectangle(90, 40, 220, 170)  # takes the keyboard from the prompt
    before = Before.of(document)
    studio.krita.shortcut("shift+Return", "krita_bridge_generate")
    studio.docker.wait_for_result(document, "a hill")
    before.assert_only_selected_pixels_changed()


def test_the_same_seed_paints_the_same_picture(studio: Studio) -> None:
    document = painted_document(studio, 160, 144)
    first = studio.docker.paint(document, "a lake")
    pixels = document.layer_pixels(first.name)
    document.undo()
    studio.docker.switch("QToolButton", "seed_fold", True)
    studio.docker.switch("QToolButton", "seed_lock", True)
    try:
        studio.docker.generate()
        second = studio.docker.wait_for_result(document, "a lake")
    finally:
        studio.docker.switch("QToolButton", "seed_lock", False)
        studio.docker.switch("QToolButton", "seed_fold", False)
    assert second.name == first.name
    assert np.array_equal(document.layer_pixels(second.name), pixels)

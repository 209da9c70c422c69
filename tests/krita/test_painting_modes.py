"""The mode that the docker finds, choosing another by hand, and what fill, expand and remove do to a picture."""

from __future__ import annotations

import numpy as np
import pytest

from tests.krita.conftest import Studio
from tests.krita.harness import Before, Document, layers_of

WIDTH, HEIGHT = 320, 256
SKY, GRASS = (120, 170, 220, 255), (70, 120, 60, 255)


def scene(studio: Studio, painted: int = WIDTH) -> Document:
    """Sky over grass on the first `painted` columns, nothing on the others."""
    document = studio.krita.new_document(WIDTH, HEIGHT)
    pixels = np.zeros((HEIGHT, WIDTH, 4), np.uint8)
    pixels[: HEIGHT // 2, :painted] = SKY
    pixels[HEIGHT // 2 :, :painted] = GRASS
    document.set_layer_pixels("Background", pixels)
    document.flattened(refresh=True)
    return document


def test_the_mode_follows_from_selection_and_canvas(studio: Studio) -> None:
    docker = studio.docker
    document = studio.krita.new_document(WIDTH, HEIGHT)
    docker.wait_for_mode("Fill")
    document.select_exactly(100, 80, 120, 100)
    studio.krita.agent.call("set_brush", "b) Basic-5", 30.0, [40, 90, 180])
    document.draw_stroke([(110, 100), (200, 160)])
    docker.wait_for_mode("Fill")
    document.deselect()
    docker.wait_for_mode("Refine")


def test_a_selection_past_the_paint_is_expanded(studio: Studio) -> None:
    docker = studio.docker
    document = scene(studio, painted=160)
    document.select_rectangle(170, 30, 290, 220)
    docker.wait_for_mode("Expand")
    before = Before.of(document)
    docker.paint(document, "a meadow")
    before.assert_only_selected_pixels_changed()
    new = document.flattened()[before.selection == 255]
    assert (new[:, 3] == 255).all()
    before.assert_one_undo_restores_and_redo_repeats()


def test_filling_a_selection(studio: Studio) -> None:
    document = scene(studio)
    document.select_rectangle(100, 80, 220, 190)
    studio.docker.wait_for_mode("Fill")
    before = Before.of(document)
    studio.docker.paint(document, "a red ball")
    before.assert_only_selected_pixels_changed()
    before.assert_one_undo_restores_and_redo_repeats()


def test_removing_a_thing_needs_no_prompt(studio: Studio) -> None:
    docker = studio.docker
    document = scene(studio)
    studio.krita.agent.call("set_brush", "b) Basic-5", 40.0, [220, 20, 20])
    document.draw_stroke([(150, 60), (170, 80)])
    document.select_rectangle(110, 25, 215, 115)
    docker.wait_for_mode("Fill")
    docker.write("a red ball")
    before = Before.of(document)
    redness = redness_of(before.pixels, before.selection)
    docker.choose("quick")
    docker.choose_mode("Remove")
    studio.krita.trigger("krita_bridge_generate")
    docker.wait_for_result(document, "Remove")

    assert not layers_of(document, "a red ball")
    before.assert_only_selected_pixels_changed()
    assert redness_of(document.flattened(), before.selection) < 0.2 * redness
    before.assert_one_undo_restores_and_redo_repeats()


@pytest.mark.parametrize("mode", ["Replace background", "Variation"])
def test_other_modes_are_chosen_from_the_menu(studio: Studio, mode: str) -> None:
    docker = studio.docker
    document = scene(studio)
    docker.wait_for_mode("Refine")  # it has seen that there is no selection
    document.select_exactly(0, 0, WIDTH, HEIGHT // 2)
    docker.wait_for_mode("Fill")
    docker.choose_mode(mode)
    before = Before.of(document)
    docker.paint(document, "a red sky")
    assert docker.mode() == mode
    before.assert_only_selected_pixels_changed()
    before.assert_one_undo_restores_and_redo_repeats()


def redness_of(pixels: np.ndarray, selection: np.ndarray) -> int:
    """How many selected pixels are clearly red."""
    red, green, blue = (pixels[..., channel].astype(int) for channel in range(3))
    return int(np.count_nonzero((red > green + 60) & (red > blue + 60) & (selection == 255)))


def test_a_mode_chosen_by_hand_lasts_while_the_selection_stays(studio: Studio) -> None:
    docker = studio.docker
    document = scene(studio)
    document.select_rectangle(100, 80, 220, 190)
    docker.wait_for_mode("Fill")
    docker.choose_mode("Add")
    document.select_exactly(60, 60, 140, 140)
    before = Before.of(document)
    docker.paint(document, "a tree")
    assert docker.mode() == "Add"
    before.assert_only_selected_pixels_changed()
    document.deselect()
    docker.wait_for_mode("Refine")
    document.select_exactly(100, 80, 120, 110)
    docker.wait_for_mode("Fill")


def test_the_canvas_grows_and_what_is_new_is_painted(studio: Studio) -> None:
    docker = studio.docker
    document = scene(studio)
    before = Before.of(document)
    undo = document.next_undo()
    docker.choose("quick")
    docker.write("hills")
    docker.switch("QToolButton", "expand_fold", True)
    try:
        for side, margin in (("left", 64), ("top", 0), ("right", 40), ("bottom", 24)):
            docker.ask(f"docker.findChild(QtWidgets.QSpinBox, 'expand_{side}').setValue({margin})")
        docker.click("QPushButton", "expand")
        docker.wait_for_result(document, "hills")
    finally:
        docker.switch("QToolButton", "expand_fold", False)

    after = document.flattened()
    assert after.shape == (HEIGHT + 24, WIDTH + 64 + 40, 4)
    assert np.array_equal(after[:HEIGHT, 64 : 64 + WIDTH], before.pixels)
    assert (after[..., 3] == 255).all()
    document.undo()  # the layer
    document.undo()  # the canvas
    assert before.is_restored()
    assert document.next_undo() == undo


def test_a_canvas_that_does_not_grow_gets_a_sentence(studio: Studio) -> None:
    docker = studio.docker
    document = scene(studio)
    before = Before.of(document)
    for side in ("left", "top", "right", "bottom"):
        docker.ask(f"docker.findChild(QtWidgets.QSpinBox, 'expand_{side}').setValue(0)")
    studio.krita.trigger("krita_bridge_expand")
    docker.wait_for_state("Nothing grows")
    assert before.is_restored()

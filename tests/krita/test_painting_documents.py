"""Layers and documents of every kind: where a result goes, and where it does not."""

from __future__ import annotations

import numpy as np
import pytest

from tests.krita.conftest import Studio
from tests.krita.harness import Before, Document, layers_of


def new_document(studio: Studio, name: str = "test", **kind: str) -> Document:
    document = studio.krita.new_document(320, 256, name=name, **kind)
    studio.krita.agent.call("set_brush", "b) Basic-5", 30.0, [40, 90, 180])
    document.draw_stroke([(40, 60), (280, 60), (280, 200)])
    return document


@pytest.mark.parametrize("state", ["in a group", "hidden", "locked", "in a hidden group"])
def test_the_active_layer(studio: Studio, state: str) -> None:
    document = new_document(studio)
    document.add_layer("group", "grouplayer")
    document.add_layer("active", parent="group" if "group" in state else None)
    document.change_layer(
        "group" if state == "in a hidden group" else "active",
        visible="hidden" not in state,
        locked=state == "locked",
    )
    document.activate_layer("active")
    studio.krita.wait_until(lambda: document.facts()["active"]["name"] == "active")
    document.select_rectangle(90, 40, 220, 170)
    before = Before.of(document)

    result = studio.docker.paint(document, "a house")

    before.assert_only_selected_pixels_changed()
    in_group = [layer.id for layer in document.layer("group").children]
    assert (result.id in in_group) == (state == "in a group")
    assert document.facts()["active"]["name"] == "active"
    before.assert_one_undo_restores_and_redo_repeats()


def test_a_document_that_is_closed_while_it_is_painted(studio: Studio) -> None:
    docker = studio.docker
    document = new_document(studio)
    document.select_rectangle(90, 40, 220, 170)
    results = docker.results()
    docker.ask_for("a ship", "endless")
    docker.wait_for_preview(document, "a ship")
    with studio.bridge.paused():
        document.close()

    studio.krita.wait_until(lambda: docker.results() > results, 120)
    docker.wait_for_state("was closed")
    other = new_document(studio)
    before = Before.of(other)
    docker.click_result()
    docker.wait_for_result(other, "a ship")
    before.assert_one_undo_restores_and_redo_repeats()


@pytest.mark.parametrize(
    ("colour", "depth"), [("RGBA", "U16"), ("RGBA", "F32"), ("GRAYA", "U8"), ("CMYKA", "U8")]
)
def test_documents_that_are_not_8_bit_rgb(studio: Studio, colour: str, depth: str) -> None:
    document = new_document(studio, colour=colour, depth=depth)
    document.select_rectangle(90, 40, 220, 170)
    before = Before.of(document)
    result = studio.docker.paint(document, "a red boat")
    assert (result.colour, result.depth) == ("RGBA", "U8")
    before.assert_only_selected_pixels_changed()
    before.assert_one_undo_restores_and_redo_repeats()


def test_each_of_two_documents_gets_its_own_result(studio: Studio) -> None:
    docker = studio.docker
    first = new_document(studio, "first")
    first.select_rectangle(90, 40, 220, 170)
    before_first = Before.of(first)
    docker.ask_for("a cat", "medium")
    second = new_document(studio, "second")
    second.select_rectangle(40, 90, 170, 220)
    before_second = Before.of(second)
    docker.ask_for("a dog")

    docker.wait_for_result(first, "a cat")
    docker.wait_for_result(second, "a dog")

    assert not layers_of(first, "a dog") and not layers_of(second, "a cat")
    before_first.assert_only_selected_pixels_changed()
    before_second.assert_only_selected_pixels_changed()
    before_second.assert_one_undo_restores_and_redo_repeats()
    first.activate()
    before_first.assert_one_undo_restores_and_redo_repeats()


def test_variations_take_each_others_place_on_one_layer(studio: Studio) -> None:
    document = new_document(studio)
    before, results = Before.of(document), studio.docker.results()
    studio.docker.choose("quick")
    studio.docker.write("a bird")
    studio.docker.ask("docker.generate(2)")
    first = studio.docker.wait_for_result(document, "a bird")
    studio.krita.wait_until(lambda: studio.docker.results() == results + 2, 120)
    pixels = document.layer_pixels(first.name)

    studio.krita.shortcut("alt+shift+Right", "krita_bridge_next_result")
    studio.krita.wait_until(lambda: layers_of(document, "a bird")[0].name != first.name)

    (second,) = layers_of(document, "a bird")
    assert second.id == first.id
    document.settle()
    assert document.recorded() == {second.id}
    assert not np.array_equal(document.layer_pixels(second.name), pixels)
    before.assert_one_undo_restores_and_redo_repeats()

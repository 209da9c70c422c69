"""A document tells how its results were made, to another Krita too."""

from __future__ import annotations

from typing import Any

import numpy as np
from PIL import Image

from krita_plugin.krita_bridge.reuse import read_file
from tests.krita.conftest import Studio
from tests.krita.harness import BridgeDocker, Document, Krita, KritaInstall
from tests.krita.harness.docker import PATIENCE

PROMPT, OTHER = "a (red:1.2) {boat|boat}", "a cloud"
SELECTED = (40, 30, 100, 80)

_FORM = """\
prompt = docker.findChild(QtWidgets.QPlainTextEdit, 'prompt').toPlainText()
preset = docker.findChild(QtWidgets.QComboBox, 'preset').currentData()
mode = docker.findChild(QtWidgets.QToolButton, 'mode').text()
percent = docker.findChild(QtWidgets.QLabel, 'strength_percent').text()
steps = docker.findChild(QtWidgets.QSpinBox, 'steps').value()
seed = docker.findChild(QtWidgets.QLineEdit, 'seed').text()
template = docker.findChild(QtWidgets.QLineEdit, 'template')
[prompt, preset, mode, percent, steps, seed, template.text(), template.placeholderText()]"""
_SAMPLING = """\
docker.findChild(QtWidgets.QSpinBox, 'steps').setValue({})
docker.findChild(QtWidgets.QLineEdit, 'template').setText({!r})"""
_FACTS = """\
from krita_bridge.extension import studio
from krita_bridge.wire.messages import to_fields
to_fields(studio().painting.history.entries()[-1].facts)"""


def test_a_layers_settings_come_back_in_a_krita_that_knows_nothing_of_it(
    studio: Studio, krita_install: KritaInstall
) -> None:
    docker = studio.docker
    document = studio.krita.new_document(192, 160)
    document.select_exactly(*SELECTED)
    docker.wait_for_mode("Fill")
    docker.ask(_SAMPLING.format(3, "{prompt}, calm"))
    first = docker.paint(document, PROMPT)
    form, facts = docker.ask(_FORM), _facts(studio.krita, PROMPT)
    pixels = document.layer_pixels(first.name)
    docker.ask(_SAMPLING.format(0, ""))
    second = docker.paint(document, OTHER)
    assert document.recorded() == {first.id, second.id}
    document.undo()
    assert document.recorded() == {first.id, second.id}, "redo may bring it back"
    path = studio.krita.home.path / "boat.kra"
    document.save(path)

    with Krita(krita_install, studio.bridge.prepare) as krita:
        fresh = BridgeDocker(krita)
        fresh.wait_until_connected()
        again = krita.open_document(path)
        fresh.make_room()  # with its first document Krita brings its dockers back
        krita.wait_until(lambda: again.recorded() == {first.id}, PATIENCE)
        assert not again.facts()["modified"] and fresh.results() == 0
        again.select_exactly(*SELECTED)
        fresh.wait_for_mode("Fill")
        fresh.switch("QToolButton", "more_fold", True)
        again.activate_layer("Background")
        fresh.click("QPushButton", "settings_of_layer")
        fresh.wait_for_state("“Background” does not say how it was made")

        again.activate_layer(first.name)
        fresh.click("QPushButton", "settings_of_layer")
        fresh.wait_for_state(f"The settings of “{first.name}” are used.")
        assert fresh.ask(_FORM) == form
        _save(krita, fresh, again, first.name)

        again.change_layer(first.name, name="as it was", visible=False)
        again.activate_layer("Background")
        krita.trigger("krita_bridge_generate")
        repeated = fresh.wait_for_result(again, PROMPT)
        assert repeated.name == first.name
        assert np.array_equal(again.layer_pixels(repeated.name), pixels)
        assert _facts(krita, PROMPT) == facts
        assert not krita.exceptions()


def _facts(krita: Krita, prompt: str) -> dict[str, Any]:
    """Of the latest result, but for how long it took."""
    facts: dict[str, Any] = krita.evaluate(_FACTS)
    assert facts.pop("prompt") == prompt and facts.pop("seconds") > 0
    assert facts["full_prompt"].endswith(", calm")
    return facts


def _save(krita: Krita, docker: BridgeDocker, document: Document, name: str) -> None:
    """The active layer into a PNG, as it is on the canvas and with its settings."""
    path = krita.home.path / "layer.png"
    docker.click("QPushButton", "layer_as_png")
    krita.name_file(path)
    docker.wait_for_state("Saved as layer.png, with its settings.")
    with Image.open(path) as picture:
        x, y, width, height = document.layer(name).bounds
        saved = np.asarray(picture)
    assert np.array_equal(saved, document.layer_pixels(name)[y : y + height, x : x + width])
    recipe = read_file(path)
    assert f"{recipe.prompt} ({recipe.seed})" == name

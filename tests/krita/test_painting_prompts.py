"""The prompt language and the settings of a result, as the docker has them."""

from __future__ import annotations

import numpy as np
from PIL import Image

from krita_plugin.krita_bridge.reuse import read_file
from krita_plugin.krita_bridge.wire.geometry import Extent
from tests.krita.conftest import WARM, Studio
from tests.krita.harness import BridgeDocker, layers_of
from tests.krita.harness.docker import PATIENCE

PROMPT = "a (red:1.2) {ball|ball}"

_FORM = """\
prompt = docker.findChild(QtWidgets.QPlainTextEdit, 'prompt').toPlainText()
mode = docker.findChild(QtWidgets.QToolButton, 'mode').text()
percent = docker.findChild(QtWidgets.QLabel, 'strength_percent').text()
[prompt, mode, percent]"""


def test_a_results_settings_can_be_used_again(studio: Studio) -> None:
    docker = studio.docker
    document = studio.krita.new_document(192, 160)
    document.select_rectangle(40, 40, 150, 130)
    docker.wait_for_mode("Fill")
    first = docker.paint(document, PROMPT)
    as_painted = docker.ask(_FORM)

    docker.write("something else")
    docker.choose_mode("Refine")
    assert docker.ask(_FORM) != as_painted
    docker.choose_for_latest(PROMPT, "reused")
    studio.krita.wait_until(lambda: docker.ask(_FORM) == as_painted, PATIENCE)

    studio.krita.trigger("krita_bridge_generate")
    studio.krita.wait_until(
        lambda: len([x for x in layers_of(document, PROMPT) if not x.locked]) == 2, PATIENCE
    )
    names = {layer.name for layer in layers_of(document, PROMPT)}
    assert names == {first.name}, "the layer's name holds the seed"


_SAMPLING = """\
steps = docker.findChild(QtWidgets.QSpinBox, 'steps').value()
scheduler = docker.findChild(QtWidgets.QComboBox, 'scheduler').currentData()
heading = docker.findChild(QtWidgets.QToolButton, 'sampling_fold').text()
[steps, scheduler, heading]"""
_SAMPLE = """\
docker.findChild(QtWidgets.QSpinBox, 'steps').setValue({steps})
box = docker.findChild(QtWidgets.QComboBox, 'scheduler')
box.setCurrentIndex(box.findData({scheduler!r}))"""


def test_sampling_is_asked_for_and_comes_back_with_a_result(studio: Studio) -> None:
    docker, krita = studio.docker, studio.krita
    document = krita.new_document(192, 160)
    document.select_rectangle(40, 40, 150, 130)
    as_preset, as_asked = [0, None, "Sampling"], [3, "euler", "Sampling (2)"]
    assert docker.ask(_SAMPLING) == as_preset
    docker.ask(_SAMPLE.format(steps=3, scheduler="euler"))
    assert docker.ask(_SAMPLING) == as_asked
    docker.paint(document, "a quay")
    docker.ask(_SAMPLE.format(steps=0, scheduler=None))
    assert docker.ask(_SAMPLING) == as_preset
    docker.choose_for_latest("a quay", "reused")
    krita.wait_until(lambda: docker.ask(_SAMPLING) == as_asked)
    krita.new_document(64, 64)
    krita.wait_until(lambda: docker.ask(_SAMPLING) == as_preset)


_VAES = """\
box = docker.findChild(QtWidgets.QComboBox, 'vae')
[[box.itemText(i) for i in range(box.count())], box.currentText(), box.isVisible()]"""


def test_another_vae_makes_the_picture_and_comes_back_with_it(studio: Studio) -> None:
    docker, krita = studio.docker, studio.krita
    document = krita.new_document(128, 128)  # without a selection: no colours to be matched to
    docker.switch("QToolButton", "sampling_fold", True)
    docker.ask("docker.findChild(QtWidgets.QToolButton, 'seed_lock').setChecked(True)")
    offered = ["preset", WARM]
    assert docker.ask(_VAES) == [offered, "preset", True]
    plain = docker.paint(document, "a buoy")
    before = document.layer_pixels(plain.name)

    docker.click("QComboBox", "vae")
    krita.press("Down", "Return")
    krita.wait_until(lambda: docker.ask(_VAES) == [offered, WARM, True])
    warm = docker.paint(document, "a buoy, warm")
    grown = (document.layer_pixels(warm.name).astype(float) - before).mean((0, 1))
    assert grown[0] - grown[2] > 20, "as the VAE for tests does it"

    own = studio.bridge.home / "vaes" / f"{WARM}.safetensors"
    away = own.rename(own.with_suffix(".away"))
    try:
        docker.generate()
        docker.wait_for_state(f"There is no VAE “{WARM}”.")
    finally:
        away.rename(own)
    assert np.array_equal(document.layer_pixels(plain.name), before)
    assert len(document.layers()) == 3, "nothing of the job that failed"

    docker.ask("docker.findChild(QtWidgets.QComboBox, 'vae').setCurrentIndex(0)")
    docker.choose_for_latest("a buoy, warm", "reused")
    krita.wait_until(lambda: docker.ask(_VAES)[1] == WARM)
    docker.ask("docker.findChild(QtWidgets.QComboBox, 'vae').setCurrentIndex(0)")
    docker.switch("QToolButton", "sampling_fold", False)
    _as_at_first(docker)


_INSERT = """\
menu = docker.findChild(QtWidgets.QPlainTextEdit, 'prompt').menu()
insert = menu.actions()[-1].menu()
tags = [action.text() for action in insert.actions()]
insert.actions()[tags.index('<lora:woodcut>')].trigger()
tags"""


def test_the_prompts_menu_puts_in_what_the_preset_has(studio: Studio) -> None:
    docker = studio.docker
    docker.choose("quick")
    docker.write("a pond ")
    assert docker.ask(_INSERT) == ["<lora:few_steps>", "<lora:woodcut>", "<sunset-glow>"]
    assert docker.ask(_FORM)[0] == "a pond <lora:woodcut>"


_MORE = """\
blend = docker.findChild(QtWidgets.QComboBox, 'blend').currentData()
match = docker.findChild(QtWidgets.QCheckBox, 'match_colors').isChecked()
[blend, match]"""


def test_edge_and_colours_are_asked_for_and_come_back_with_a_result(studio: Studio) -> None:
    docker, krita = studio.docker, studio.krita
    document = krita.new_document(192, 160)
    document.select_rectangle(40, 40, 150, 130)
    docker.switch("QToolButton", "more_fold", True)
    assert docker.ask(_MORE) == ["soft", True]
    docker.click("QComboBox", "blend")
    krita.press("Down", "Return")
    krita.wait_until(lambda: docker.ask(_MORE) == ["exact", True])
    docker.switch("QCheckBox", "match_colors", False)
    try:
        docker.paint(document, "a pier")
    finally:
        # By key, as someone without a pointer would.
        docker.ask("docker.findChild(QtWidgets.QCheckBox, 'match_colors').setFocus()")
        krita.press("space")
        krita.wait_until(lambda: docker.ask(_MORE) == ["exact", True])
        docker.ask("docker.findChild(QtWidgets.QComboBox, 'blend').setFocus()")
        krita.press("Up")
        krita.wait_until(lambda: docker.ask(_MORE) == ["soft", True])
    docker.choose_for_latest("a pier", "reused")
    krita.wait_until(lambda: docker.ask(_MORE) == ["exact", False])
    _as_at_first(docker)


def test_the_settings_of_a_file_are_used(studio: Studio) -> None:
    docker, krita = studio.docker, studio.krita
    document = krita.new_document(192, 160)
    document.select_rectangle(40, 40, 150, 130)
    docker.choose("quick")
    text = "a jetty\nNegative prompt: fog\nSteps: 4, Sampler: DDIM, CFG scale: 1, Seed: 4711, Model: none"
    path = krita.home.path / "jetty.txt"
    path.write_text(text)
    docker.switch("QToolButton", "more_fold", True)
    docker.click("QPushButton", "settings_from")
    krita.name_file(path)
    krita.wait_until(lambda: docker.ask(_FORM)[0] == "a jetty")
    docker.wait_for_state("The settings of jetty.txt are used, but not its preset.")
    krita.trigger("krita_bridge_generate")
    assert docker.wait_for_result(document, "a jetty").name == "a jetty (4711)"
    _as_at_first(docker)


def test_a_result_is_saved_with_its_settings(studio: Studio) -> None:
    docker, krita = studio.docker, studio.krita
    document = krita.new_document(192, 160)
    document.select_exactly(40, 30, 100, 80)
    layer = docker.paint(document, "a mole")
    path = krita.home.path / "mole.png"
    docker.choose_for_latest("a mole", "save_wanted")
    krita.name_file(path)
    docker.wait_for_state("Saved as mole.png, with its settings.")
    with Image.open(path) as picture:
        pixels, parameters = np.asarray(picture), str(picture.info["parameters"])
    assert np.array_equal(pixels, document.layer_pixels(layer.name)[30:110, 40:140])
    assert parameters.startswith("a mole\n")
    recipe = read_file(path)
    assert f"a mole ({recipe.seed})" == layer.name and recipe.size == Extent(192, 160)


def _as_at_first(docker: BridgeDocker) -> None:
    """The studio is one for all tests."""
    docker.switch("QToolButton", "more_fold", False)
    docker.ask(
        "docker.findChild(QtWidgets.QCheckBox, 'match_colors').setChecked(True)\n"
        "docker.findChild(QtWidgets.QComboBox, 'blend').setCurrentIndex(0)\n"
        "docker.findChild(QtWidgets.QPlainTextEdit, 'negative').setPlainText('')\n"
        "docker.findChild(QtWidgets.QToolButton, 'negative_fold').setChecked(False)\n"
        "docker.findChild(QtWidgets.QToolButton, 'seed_lock').setChecked(False)\n"
        "docker.findChild(QtWidgets.QToolButton, 'seed_fold').setChecked(False)"
    )

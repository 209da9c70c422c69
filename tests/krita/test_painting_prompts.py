"""The prompt language and the settings of a result, as the docker has them."""

from __future__ import annotations

from tests.krita.conftest import Studio
from tests.krita.harness import layers_of
from tests.krita.harness.docker import PATIENCE

PROMPT = "a (red:1.2) {ball|ball}"

_FORM = """\
prompt = docker.findChild(QtWidgets.QPlainTextEdit, 'prompt').toPlainText()
mode = docker.findChild(QtWidgets.QToolButton, 'mode').text()
percent = docker.findChild(QtWidgets.QLabel, 'strength_percent').text()
[prompt, mode, percent]"""

_USE_THE_LATEST = """\
results = docker.findChild(QtWidgets.QListWidget, 'results')
results.reused.emit(results.item(0).data(QtCore.Qt.ItemDataRole.UserRole))"""


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
    # The entry "Use These Settings" of the thumbnail's menu, without the pointer.
    docker.ask(_USE_THE_LATEST)
    studio.krita.wait_until(lambda: docker.ask(_FORM) == as_painted, PATIENCE)

    studio.krita.trigger("krita_bridge_generate")
    studio.krita.wait_until(
        lambda: len([x for x in layers_of(document, PROMPT) if not x.locked]) == 2, PATIENCE
    )
    names = {layer.name for layer in layers_of(document, PROMPT)}
    assert names == {first.name}, "the layer's name holds the seed"

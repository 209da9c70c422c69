"""Live painting with a control layer and a reference, in a real Krita."""

from __future__ import annotations

import numpy as np

from tests.krita.conftest import Studio
from tests.krita.harness import Live
from tests.krita.harness.controlled import NAME as CONTROLLED
from tests.krita.harness.docker import PATIENCE
from tests.krita.harness.live import HEIGHT, PROMPT, WIDTH
from tests.krita.test_painting_controls import Rows, controls, references

__all__ = ["controls", "references"]


def sketch(row: int, width: int = 6) -> np.ndarray:
    """A line in ink on nothing."""
    pixels = np.zeros((HEIGHT, WIDTH, 4), np.uint8)
    pixels[row : row + width, 30:-30] = (0, 0, 0, 255)
    return pixels


def test_a_control_layer_and_a_reference_are_heard_live(
    studio: Studio, live: Live, controls: Rows, references: Rows
) -> None:
    document = live.document()
    for name, row in (("Sketch", 60), ("Style", 90)):
        document.add_layer(name)
        document.set_layer_pixels(name, sketch(row))
        document.change_layer(name, visible=False)
    live.docker.choose(CONTROLLED)
    document.activate_layer("Sketch")
    controls.add()
    controls.choose(0, "kind", "Scribble")
    controls.choose(0, "source", "Layer as is")
    document.activate_layer("Style")
    references.add()
    assert (controls.layers(), references.layers()) == (["Sketch"], ["Style"])
    live.begin(1.0)
    first = live.picture().facts
    assert [used["kind"] for used in first["controls"]] == ["scribble"]
    (reference,) = first["references"]

    # The layers are hidden: of what is drawn on them the canvas shows nothing.
    document.set_layer_pixels("Sketch", sketch(120))
    studio.krita.wait_until(
        lambda: (
            live.picture().facts["controls"][0]["map_sha256"] != first["controls"][0]["map_sha256"]
        ),
        PATIENCE,
    )
    assert live.picture().facts["references"] == [reference]
    # Of a reference only what is on the layer counts, wherever it lies.
    document.set_layer_pixels("Style", sketch(150, width=12))
    studio.krita.wait_until(
        lambda: live.picture().facts["references"][0]["sha256"] != reference["sha256"], PATIENCE
    )

    studio.krita.shortcut("alt+Return", "krita_bridge_keep")
    kept = live.docker.wait_for_result(document, PROMPT)
    live.switch(False)
    controls.remove_all()
    references.remove_all()
    document.activate_layer(kept.name)
    live.docker.ask("docker.findChild(QtWidgets.QPushButton, 'settings_of_layer').click()")
    studio.krita.wait_until(
        lambda: (controls.layers(), references.layers()) == (["Sketch"], ["Style"]), PATIENCE
    )

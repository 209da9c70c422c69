"""Painting on while a picture is made: the brush does not wait for it, and paints the same pixels."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pytest

from tests.krita.harness import (
    BridgeDocker,
    Document,
    HostBridge,
    Krita,
    KritaInstall,
    layers_of,
)
from tests.krita.harness.previewing import PreviewingBridge

SIDE = 1024
LARGE_SIDE = 1600
"""Large enough for what is done otherwise on large canvases (`redraw.LEAST_PIXELS`)."""

PROMPT = "a lake"
ROUNDS = 5
"""One in which the pen does not wait is enough: other programs disturb some rounds, a plugin that blocks spoils all."""

STROKES = (
    ((80, 100), (900, 100)),
    ((100, 200), (100, 900)),
    ((300, 300), (900, 900)),
)
"""Straight ones: of a bend, Krita paints what it was free to see of the pointer, also while nothing else happens."""

POINTS = 24
PAUSE = 1.0
"""Seconds between two strokes. Pictures are put onto the canvas only in the pauses: the test needs some."""

MOST_WAIT = 4.0
"""How many times longer than without a job an event of the pen may wait. Measured on one busy core: 1.0 to 1.2 times with
Krita 5.1.5, 5.3.4 and 6.0.4, and 22 to 32 times with 200 ms spent in the UI thread for each preview that arrives."""

AT_EACH_PREVIEW = ("krita_bridge.easel:DocumentEasel", "preview")
LEAST_BLOCK, LONGEST_BLOCK = 0.2, 0.5
"""Seconds."""
BLOCK_RATIO = 40.0
"""A block in relation to what an event of the pen waits anyway: the mean wait becomes about a quarter of the block."""

_REDRAW_PROVEN_WITH = "Krita.instance().readSetting('krita_bridge', 'redraw_proven_with', '')"


@dataclass(frozen=True)
class Drawn:
    """What came of the strokes: the layer's pixels, and how long the UI thread was away meanwhile, ms."""

    pixels: np.ndarray
    gaps: list[float]

    @property
    def wait(self) -> float:
        """The time in ms that an event at any moment waits for the UI thread, on average."""
        return sum(gap * gap for gap in self.gaps) / (2 * sum(self.gaps))


@dataclass(frozen=True)
class Easel:
    krita: Krita
    docker: BridgeDocker
    bridge: PreviewingBridge

    def document(self, side: int = SIDE) -> Document:
        """An empty one, all of it selected, with a brush in hand."""
        document = self.krita.new_document(side, side)
        document.select_exactly(0, 0, side, side)
        self.krita.agent.call("set_brush", "b) Basic-5", 30.0, [40, 90, 180])
        self.krita.agent.call("take_tool", "KritaShape/KisToolBrush")
        self.docker.write(PROMPT)
        return document

    def draw(self, document: Document, strokes: object = STROKES) -> None:
        for start, end in strokes:
            document.drag([(x, y) for x, y in np.linspace(start, end, POINTS)])
            time.sleep(PAUSE)

    def draw_undisturbed(self) -> Drawn:
        document = self.document()
        with self.krita.ui_gaps(own=True) as gaps:
            self.draw(document)
        return self._drawn(document, gaps)

    def draw_while_generating(self) -> Drawn:
        """The same strokes, between the first preview and the result; the last one may be after it."""
        document = self.document()
        jobs = self.bridge.jobs()
        self.docker.generate()
        submit = self.bridge.wait_for_job(jobs + 1)
        with self.krita.ui_gaps(own=True) as gaps:
            with self.bridge.previews(submit):
                self.docker.wait_for_preview(document, PROMPT)
                self.draw(document, STROKES[:-1])
            self.bridge.finish(submit)
            self.draw(document, STROKES[-1:])
        self.docker.wait_for_result(document, PROMPT)
        return self._drawn(document, gaps)

    def _drawn(self, document: Document, gaps: list[float]) -> Drawn:
        document.settle()
        drawn = Drawn(document.layer_pixels("Background"), list(gaps))
        self.krita.close_all()
        return drawn


@pytest.fixture(scope="module")
def easel(krita_install: KritaInstall) -> Iterator[Easel]:
    """A Krita of its own: its bridge holds every job for as long as the strokes take."""
    with (
        HostBridge(krita_install, presets=False) as host,
        PreviewingBridge(host.home) as bridge,
        Krita(krita_install, host.prepare) as krita,
    ):
        docker = BridgeDocker(krita)
        docker.make_room()
        docker.wait_until_connected()
        yield Easel(krita, docker, bridge)
        assert not krita.exceptions()


def test_the_brush_does_not_wait_for_a_job_and_paints_the_same(easel: Easel) -> None:
    waits = []
    for _ in range(ROUNDS):
        undisturbed, generating = easel.draw_undisturbed(), easel.draw_while_generating()
        assert len(np.unique(undisturbed.pixels)) > 2, "the strokes left nothing on the layer"
        assert np.array_equal(undisturbed.pixels, generating.pixels), "a stroke came out different"
        waits.append((undisturbed.wait, generating.wait))
        if generating.wait < MOST_WAIT * undisturbed.wait:
            return
    pytest.fail(f"an event of the pen waits for the UI thread, ms alone and beside a job: {waits}")


def test_a_plugin_that_keeps_the_brush_waiting_would_be_noticed(easel: Easel) -> None:
    """Shows that the test above can fail: the plugin blocks Krita at each preview that arrives."""
    undisturbed = easel.draw_undisturbed()
    block = min(LONGEST_BLOCK, max(LEAST_BLOCK, BLOCK_RATIO * undisturbed.wait / 1000))
    easel.krita.agent.call("slow_down", *AT_EACH_PREVIEW, block)
    try:
        generating = easel.draw_while_generating()
    finally:
        easel.krita.agent.call("slow_down", *AT_EACH_PREVIEW, 0.0)
    assert generating.wait > MOST_WAIT * undisturbed.wait


@pytest.mark.parametrize("side", [512, LARGE_SIDE])
def test_a_stroke_that_begins_while_the_layer_is_added_lands_where_the_painter_paints(
    easel: Easel, side: int
) -> None:
    """Krita activates a new layer; on a large canvas it is Krita that makes it."""
    krita = easel.krita
    document = easel.document(side)
    document.add_layer("Sketch")
    document.activate_layer("Background")
    before = document.layer_pixels("Background")
    jobs = easel.bridge.jobs()
    easel.docker.generate()
    submit = easel.bridge.wait_for_job(jobs + 1)
    document.activate_layer("Sketch")
    points = [document.to_screen((x, side / 2)) for x in (side / 4, side / 2)]
    krita.agent.call("hasty_painter_start", "Sketch", *points)
    with easel.bridge.previews(submit):
        easel.docker.wait_for_preview(document, PROMPT)
        krita.wait_until(lambda: document.facts()["active"]["name"] == "Sketch")
    seen = krita.agent.call("hasty_painter_stop")
    easel.bridge.finish(submit)
    result = easel.docker.wait_for_result(document, PROMPT)
    colours = np.unique(document.layer_pixels(result.name).reshape(-1, 4), axis=0)
    is_kept = np.array_equal(document.layer_pixels("Background"), before)
    assert is_kept and len(colours) == 1, f"a stroke landed elsewhere, begun on one of {seen}"
    assert document.layer_pixels("Sketch").any() == bool(seen)
    assert document.facts()["active"]["name"] == "Sketch"
    krita.close_all()


def test_on_a_large_canvas_previews_are_redrawn_by_the_layers_docker(easel: Easel) -> None:
    """The way that costs no merge of the whole canvas was tried against the certain one, and is used from then on."""
    krita = easel.krita
    document = easel.document(LARGE_SIDE)
    jobs = easel.bridge.jobs()
    easel.docker.generate()
    submit = easel.bridge.wait_for_job(jobs + 1)
    with easel.bridge.previews(submit):
        easel.docker.wait_for_preview(document, PROMPT)
        krita.wait_until(lambda: krita.evaluate(_REDRAW_PROVEN_WITH) == krita.version)
    easel.bridge.finish(submit)
    result = easel.docker.wait_for_result(document, PROMPT)
    krita.wait_until(
        lambda: np.array_equal(document.flattened(), document.layer_pixels(result.name))
    )
    krita.close_all()


@pytest.mark.parametrize("previews", [True, False])
def test_what_is_painted_by_hand_meanwhile_is_kept(easel: Easel, previews: bool) -> None:
    krita, docker = easel.krita, easel.docker
    document = easel.document()  # without one, Krita from 5.2 on hides its dockers
    docker.switch("QToolButton", "settings", True)
    docker.switch("QCheckBox", "previews_on_canvas", previews)
    docker.write(PROMPT)
    jobs = easel.bridge.jobs()
    docker.generate()
    submit = easel.bridge.wait_for_job(jobs + 1)
    with easel.bridge.previews(submit):
        krita.wait_until(lambda: docker.progress() > 0)
        if previews:
            docker.wait_for_preview(document, PROMPT)
        document.draw_stroke([(100, 60), (200, 150)])
    by_hand = document.layer_pixels("Background")
    assert bool(layers_of(document, PROMPT)) == previews
    easel.bridge.finish(submit)
    result = docker.wait_for_result(document, PROMPT)
    assert np.array_equal(document.layer_pixels("Background"), by_hand)
    if not previews:
        document.undo()
        assert result.name not in [layer.name for layer in document.layers()]
        assert np.array_equal(document.layer_pixels("Background"), by_hand)
    docker.switch("QCheckBox", "previews_on_canvas", True)
    docker.switch("QToolButton", "settings", False)
    krita.close_all()

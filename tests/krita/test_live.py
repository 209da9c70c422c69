"""Live painting in a real Krita: the picture follows the brush, and the document knows nothing of it."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

import numpy as np
import pytest

from tests.krita.conftest import Studio
from tests.krita.harness import Before, Document, Live
from tests.krita.harness.docker import PATIENCE
from tests.krita.harness.live import HEIGHT, WIDTH

DARK, LIGHT = 140, 160
"""Brightness of a live picture at a strength of 25 %: below where the canvas has a dark stroke, however thin the model makes it (112
was seen), above where it is white (243)."""

SIDE = 512
LONG_SECONDS = 20.0
STROKES_AT_LEAST = 8
POINTS = 24
PAUSE = 0.3
"""Seconds between two strokes."""

ROUNDS = 4
"""One without a disturbance is enough: other programs disturb some rounds (the pen waits, or some of its moves are lost), a
plugin that blocks or that writes into the document spoils all."""

STROKES = (0.4, 0.6, 0.8)
"""Where strokes lie, shares of the height."""

NOWHERE = (0, 0, 0, 0)

MOST_WAIT = 4.0
"""How many times longer than without live painting an event of the pen may wait: as in test_brush.py, where 22 to 32
times are measured when the UI thread is blocked for 200 ms at each picture."""


def test_the_picture_follows_each_stroke_and_each_undo(studio: Studio, live: Live) -> None:
    document = live.document()
    live.begin(0.25)
    y = 0.6
    studio.krita.wait_until(lambda: live.brightness(0.5, y) > LIGHT, PATIENCE)
    document.draw_stroke([(30, y * HEIGHT), (WIDTH - 30, y * HEIGHT)])
    studio.krita.wait_until(lambda: live.brightness(0.5, y) < DARK, PATIENCE)
    studio.krita.wait_until(lambda: "after the brush" in live.pace(), PATIENCE)
    document.undo()
    studio.krita.wait_until(lambda: live.brightness(0.5, y) > LIGHT, PATIENCE)


def test_a_layer_that_is_shown_a_selection_and_another_size_are_changes_too(
    studio: Studio, live: Live
) -> None:
    krita, document, y = studio.krita, live.document(), 0.6
    ink = np.zeros((HEIGHT, WIDTH, 4), np.uint8)
    ink[round(y * HEIGHT) - 20 : round(y * HEIGHT) + 20] = (10, 10, 10, 255)
    document.add_layer("Ink")
    document.set_layer_pixels("Ink", ink)
    document.change_layer("Ink", visible=False)
    live.begin(0.25)
    krita.wait_until(lambda: live.brightness(0.5, y) > LIGHT, PATIENCE)
    document.change_layer("Ink", visible=True)
    krita.wait_until(lambda: live.brightness(0.5, y) < DARK, PATIENCE)

    document.select_rectangle(60, 50, 200, 150)
    selected = document.selection_bounds()
    krita.wait_until(lambda: live.area() == selected, PATIENCE)
    document.deselect()
    krita.wait_until(lambda: live.area() == (0, 0, WIDTH, HEIGHT), PATIENCE)
    krita.evaluate(f"Krita.instance().activeDocument().resizeImage(0, 0, {WIDTH + 64}, {HEIGHT})")
    krita.wait_until(lambda: live.area() == (0, 0, WIDTH + 64, HEIGHT), PATIENCE)


@dataclass(frozen=True)
class Painted:
    """A document after some strokes: the pixels of its layers from the bottom, and all else that can be told of it."""

    pixels: list[np.ndarray]
    rest: list[object]


def paint(studio: Studio, live: Live, on: bool) -> Painted:
    """The same strokes on a fresh document, with live painting on or off."""
    document = live.document()
    document.add_layer("Sketch")
    document.select_rectangle(20, 40, WIDTH - 60, HEIGHT - 10)
    if on:
        live.begin(0.25)
    for y in STROKES:
        seen = live.picture().revision if on else 0
        document.draw_stroke([(30, y * HEIGHT), (WIDTH - 30, y * HEIGHT)])
        if on:
            studio.krita.wait_until(lambda seen=seen: live.picture().revision > seen, PATIENCE)
    if on:
        live.switch(False)
    document.settle()
    layers = document.layers()
    pixels = [document.selection(), *(document.layer_pixels(layer.name) for layer in layers)]
    active, redo = document.facts()["active"]["name"], document.next_redo()
    undone = []
    while (step := document.next_undo()) is not None:
        undone.append(step)
        document.undo()
    studio.krita.close_all()
    tree = [replace(layer, id="", bounds=NOWHERE) for layer in layers]
    return Painted(pixels, [tree, active, redo, undone])


def test_of_live_painting_nothing_is_left_but_the_strokes(studio: Studio, live: Live) -> None:
    for _ in range(ROUNDS):
        without, painted = paint(studio, live, on=False), paint(studio, live, on=True)
        assert painted.rest[-1], "no stroke can be undone"
        assert painted.rest == without.rest
        if all(map(np.array_equal, painted.pixels, without.pixels)):
            return
    pytest.fail("the same strokes leave other pixels when live painting is on")


def test_a_saved_document_that_is_not_painted_on_is_not_modified(
    studio: Studio, live: Live
) -> None:
    document = live.document()
    path = studio.krita.home.path / "saved.kra"
    document.save(path)
    before, facts = Before.of(document), document.facts()
    steps = document.next_undo(), document.next_redo()
    assert not facts["modified"]
    live.begin(0.25)
    live.switch(False)
    document.settle()
    assert before.is_restored()
    assert document.facts() == facts  # whether it is modified, and which layer is active
    assert (document.next_undo(), document.next_redo()) == steps
    visible = "docker.findChild(QtWidgets.QLabel, 'live_picture').isVisible()"
    studio.krita.wait_until(lambda: not live.docker.ask(visible), PATIENCE)


def test_inside_a_selection_only_what_is_selected_is_painted(studio: Studio, live: Live) -> None:
    document = live.document()
    document.select_lasso([(60, 50), (200, 60), (180, 160), (70, 140)])
    live.docker.choose_mode("Refine")
    live.begin(0.8)
    picture, selected = live.picture(), document.selection()
    rows, columns = picture.pixels.shape[:2]
    alpha = np.zeros_like(selected)
    alpha[picture.y : picture.y + rows, picture.x : picture.x + columns] = picture.pixels[..., 3]
    assert not alpha[selected == 0].any(), "something is painted outside the selection"
    assert alpha[selected == 255].mean() > 200, "the selection stays empty"


def test_a_window_of_its_own_shows_the_picture_and_leaves_the_keyboard_alone(
    studio: Studio, live: Live
) -> None:
    krita, y = studio.krita, 0.6
    document = live.document()
    live.begin(0.25)
    live.docker.switch("QToolButton", "live_window", True)
    krita.wait_until(live.has_window)
    # Its sides are equal: of a picture of 4 : 3 it shows bars above and below.
    in_window = 0.5 + (y - 0.5) * HEIGHT / WIDTH
    krita.wait_until(lambda: live.brightness_in_window(0.5, in_window) > LIGHT, PATIENCE)
    document.draw_stroke([(30, y * HEIGHT), (WIDTH - 30, y * HEIGHT)])
    krita.wait_until(lambda: live.brightness_in_window(0.5, in_window) < DARK, PATIENCE)
    document.undo()
    krita.wait_until(lambda: live.brightness_in_window(0.5, in_window) > LIGHT, PATIENCE)
    live.switch(False)
    krita.wait_until(lambda: not live.has_window())


def draw_for_long(document: Document) -> None:
    """Straight strokes over the upper half, for LONG_SECONDS and at least so many; then one in the middle of the lower."""
    until, count = time.monotonic() + LONG_SECONDS, 0
    while time.monotonic() < until or count < STROKES_AT_LEAST:
        y = 60 + count * 37 % (SIDE // 2 - 90)
        document.drag(_straight((40, y), (SIDE - 40, y + 20)))
        time.sleep(PAUSE)
        count += 1
    document.drag(_straight((60, 0.75 * SIDE), (SIDE - 60, 0.75 * SIDE)))
    document.settle()


def _straight(start: tuple[float, float], end: tuple[float, float]) -> list[tuple[float, float]]:
    return [(x, y) for x, y in np.linspace(start, end, POINTS)]


def _wait(gaps: list[float]) -> float:
    """The time in ms that an event of the pen waits for the UI thread, on average."""
    return sum(gap * gap for gap in gaps) / (2 * sum(gaps))


def test_live_for_long_the_brush_does_not_wait_and_the_last_stroke_is_seen(
    studio: Studio, live: Live
) -> None:
    waits = []
    for _ in range(ROUNDS):
        document = live.document(SIDE, SIDE)
        with studio.krita.ui_gaps(own=True) as idle:
            draw_for_long(document)
        studio.krita.close_all()

        document = live.document(SIDE, SIDE)
        live.begin(0.25)
        studio.krita.wait_until(lambda: live.brightness(0.5, 0.75) > LIGHT, PATIENCE)
        with studio.krita.ui_gaps(own=True) as painting:
            draw_for_long(document)
        studio.krita.wait_until(lambda: live.brightness(0.5, 0.75) < DARK, PATIENCE)
        live.switch(False)
        studio.krita.close_all()

        for name, gaps in (("without", idle), ("with", painting)):
            p99 = np.percentile(gaps, 99)
            print(f"UI gaps {name} live painting: p99 {p99:.1f} ms, max {max(gaps):.1f} ms")
        waits.append((_wait(idle), _wait(painting)))
        if _wait(painting) < MOST_WAIT * _wait(idle):
            return
    pytest.fail(f"an event of the pen waits, ms without live painting and with it: {waits}")

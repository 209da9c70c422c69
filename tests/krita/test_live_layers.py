"""What becomes of a live picture in a real Krita: a layer, parts of a layer, a full result, an animated layer."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
from PIL import Image

from tests.krita.conftest import Studio
from tests.krita.harness import (
    Before,
    BridgeDocker,
    HostBridge,
    Krita,
    KritaInstall,
    Live,
    layers_of,
)
from tests.krita.harness.bridge import STEPS
from tests.krita.harness.docker import PATIENCE
from tests.krita.harness.live import HEIGHT, PROMPT, WIDTH

MASK = "Paint White Here"
RECORDING = "Live recording"


def test_a_kept_picture_is_a_layer_and_one_undo_step_and_stays_in_the_selection(
    studio: Studio, live: Live
) -> None:
    document = live.document()
    document.select_rectangle(60, 50, 200, 150)
    live.docker.choose_mode("Refine")
    before = Before.of(document)
    live.begin(1.0)
    studio.krita.shortcut("alt+Return", "krita_bridge_keep")
    studio.krita.wait_until(
        lambda: any(not layer.locked for layer in layers_of(document, PROMPT)), PATIENCE
    )
    live.switch(False)
    document.settle()
    assert document.recorded() == {layer.id for layer in layers_of(document, PROMPT)}
    before.assert_only_selected_pixels_changed()
    before.assert_one_undo_restores_and_redo_repeats()


def test_of_a_picture_kept_in_parts_only_what_is_painted_white_is_seen(
    studio: Studio, live: Live
) -> None:
    document = live.document()
    before = Before.of(document)
    live.begin(1.0)
    studio.krita.shortcut("ctrl+alt+Return", "krita_bridge_keep_parts")
    studio.krita.wait_until(lambda: document.facts()["active"]["name"] == MASK, PATIENCE)
    live.switch(False)
    document.settle()
    layer = next(layer for layer in layers_of(document, PROMPT) if not layer.locked)
    assert [(child.name, child.kind) for child in layer.children] == [(MASK, "transparencymask")]
    assert layer.id in document.recorded()
    assert np.array_equal(document.flattened(), before.pixels), "the mask hides not all of it"

    studio.krita.agent.call("set_brush", "b) Basic-5", 40.0, [255, 255, 255])
    y = round(0.7 * HEIGHT)
    document.drag([(x, y) for x in range(60, WIDTH - 60, 8)])
    studio.krita.wait_until(lambda: not np.array_equal(document.flattened(), before.pixels))
    document.settle()
    painted, kept = document.flattened(), document.layer_pixels(layer.name)
    middle = (slice(y - 5, y + 5), slice(80, WIDTH - 80))
    assert np.array_equal(painted[middle], kept[middle]), "the stroke shows something else"
    changed = (painted != before.pixels).any(axis=-1)
    assert not changed[: y - 30].any() and not changed[y + 30 :].any(), "more than the stroke shows"

    document.undo()
    assert np.array_equal(document.flattened(), before.pixels)
    before.assert_one_undo_restores_and_redo_repeats()


def test_the_full_render_is_what_live_painting_shows_with_all_steps(
    studio: Studio, live: Live
) -> None:
    document = live.document()
    live.docker.choose("medium")
    live.begin(0.5)
    shown, results = live.picture().facts, live.docker.results()
    studio.krita.shortcut("alt+shift+Return", "krita_bridge_render_live")
    studio.krita.wait_until(lambda: live.docker.results() > results, PATIENCE)
    live.docker.wait_for_result(document, PROMPT)
    facts = live.result_facts()
    same = ("prompt", "negative_prompt", "preset", "mode", "strength", "seed", "blend")
    assert {name: facts[name] for name in same} == {name: shown[name] for name in same}
    assert facts["steps"] == STEPS["medium"] > shown["steps"]


def test_recorded_pictures_become_one_animated_layer_and_one_undo_step(
    studio: Studio, live: Live
) -> None:
    document = live.document()
    live.begin(0.25)
    times = "d = Krita.instance().activeDocument()\n[d.framesPerSecond(), d.fullClipRangeEndTime(), d.currentTime()]"
    clock = studio.krita.evaluate(times)
    live.docker.switch("QToolButton", "live_record", True)
    for number in (0.5, 0.7):
        frames = live.frames()
        document.draw_stroke([(30, number * HEIGHT), (WIDTH - 30, number * HEIGHT)])
        studio.krita.wait_until(lambda frames=frames: live.frames() > frames, PATIENCE)
    # No picture is on its way once the latest is the full one of a canvas at rest.
    studio.krita.wait_until(lambda: live.picture().full, PATIENCE)
    before = Before.of(document)
    live.docker.switch("QToolButton", "live_record", False)
    studio.krita.wait_until(
        lambda: any(layer.name == RECORDING for layer in document.layers()), PATIENCE
    )
    said = live.docker.wait_for_state("frames")
    live.switch(False)
    document.settle()
    find = f"layer = next(n for n in Krita.instance().activeDocument().rootNode().childNodes() if n.name() == {RECORDING!r})\n"
    count = int(
        studio.krita.evaluate(find + "sum(layer.hasKeyframeAtTime(at) for at in range(1000))")
    )
    assert not document.layer(RECORDING).visible
    assert document.layer(RECORDING).id in document.recorded()
    assert count >= 2 and f" {count} frames" in said
    read = "bytes(layer.pixelDataAtTime(0, 0, {}, {}, {}))"
    frames = [studio.krita.evaluate(find + read.format(WIDTH, HEIGHT, at)) for at in (0, count - 1)]
    assert all(len(frame) == WIDTH * HEIGHT * 4 for frame in frames) and frames[0] != frames[1]
    assert studio.krita.evaluate(times) == clock
    before.assert_one_undo_restores_and_redo_repeats()
    assert not list((studio.bridge.home / "recordings").iterdir()), "the frames lie about"


def test_frames_stay_when_krita_goes_while_it_records(
    krita_install: KritaInstall, bridge: HostBridge
) -> None:
    home = bridge.home / "recordings"
    with Krita(krita_install, bridge.prepare) as krita:
        docker = BridgeDocker(krita)
        docker.make_room()
        docker.wait_until_connected()
        live = Live(krita, docker)
        document = live.document()
        live.begin(0.25)
        docker.switch("QToolButton", "live_record", True)
        for number in (1, 2):
            document.draw_stroke([(30, number * HEIGHT / 3), (WIDTH - 30, number * HEIGHT / 3)])
            krita.wait_until(lambda number=number: live.frames() >= number, PATIENCE)
        krita.wait_until(lambda: frames_in(home), PATIENCE)
        krita.kill()
    frames = frames_in(home)
    with Image.open(frames[0]) as picture:
        assert picture.size == (WIDTH, HEIGHT)
    with Krita(krita_install, bridge.prepare) as krita:
        docker = BridgeDocker(krita)
        docker.make_room()
        docker.wait_until_connected()
        live = Live(krita, docker)
        live.document()
        live.begin(0.25)
        docker.wait_for_state("Frames of an earlier recording are still in")
        assert frames_in(home) == frames
    shutil.rmtree(home)


def frames_in(home: Path) -> list[Path]:
    """The pictures that are complete: the latest may be half written."""
    return sorted(home.glob("*/*.png"))[:-1]

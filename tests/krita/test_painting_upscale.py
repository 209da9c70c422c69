"""A larger picture: a document of its own, and the painter's own stays as it is."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from tests.krita.conftest import Studio
from tests.krita.harness import (
    Before,
    BridgeDocker,
    Document,
    Home,
    HostBridge,
    Krita,
    KritaInstall,
)
from tests.krita.harness.docker import PATIENCE

WIDTH, HEIGHT = 160, 120

_LAYERS_SHOWN = """\
layers = next(d for d in Krita.instance().dockers() if d.objectName() == 'KisLayerBox')
models = [view.model() for view in layers.findChildren(QtWidgets.QTreeView)]
[model.index(0, 0).data() for model in models if model is not None]"""
LEFT, RIGHT = (120, 170, 220, 255), (70, 120, 60, 255)


def scene(krita: Krita) -> Document:
    """Two colours side by side."""
    document = krita.new_document(WIDTH, HEIGHT)
    pixels = np.zeros((HEIGHT, WIDTH, 4), np.uint8)
    pixels[:, : WIDTH // 2], pixels[:, WIDTH // 2 :] = LEFT, RIGHT
    document.set_layer_pixels("Background", pixels)
    document.flattened(refresh=True)
    return document


def set_up(docker: BridgeDocker, factor: float, percent: int) -> None:
    """Open the docker's fold and set these values."""
    docker.switch("QToolButton", "upscale_fold", True)
    for kind, name, value in (
        ("QDoubleSpinBox", "upscale_factor", factor),
        ("QSpinBox", "upscale_strength", percent),
    ):
        docker.ask(f"docker.findChild(QtWidgets.{kind}, {name!r}).setValue({value})")


@contextmanager
def unfolded(docker: BridgeDocker, factor: float, percent: int) -> Iterator[None]:
    """The docker's fold, open, with these values."""
    set_up(docker, factor, percent)
    try:
        yield
    finally:
        docker.switch("QToolButton", "upscale_fold", False)


def larger_document(docker: BridgeDocker) -> Document:
    """The document that has come, behind the one in front."""
    krita = docker.krita
    krita.wait_until("len(Krita.instance().views()) == 2", PATIENCE)
    docker.wait_for_state("is open in a tab of its own")
    keys = krita.agent.call("open_documents")
    assert len(keys) == 2
    return Document(krita, keys[-1])


def test_the_canvas_becomes_a_larger_document(studio: Studio) -> None:
    docker = studio.docker
    document = scene(studio.krita)
    before, undo, results = Before.of(document), document.next_undo(), docker.results()
    docker.choose("quick")
    docker.write("two fields")
    with unfolded(docker, 2.0, 50):
        studio.krita.wait_until(
            lambda: docker.find("QLabel", "upscale_size")["text"] == "becomes 320 x 240 px"
        )
        docker.click("QPushButton", "upscale")
        larger = larger_document(docker)

    assert document.is_on_screen(), "it opens behind the one that is painted on"
    assert studio.krita.evaluate(_LAYERS_SHOWN) == ["Background"]
    assert before.is_restored() and document.next_undo() == undo
    assert docker.results() == results, "what is a document waits nowhere else"
    facts = larger.facts()
    assert (facts["width"], facts["height"]) == (2 * WIDTH, 2 * HEIGHT)
    (layer,) = larger.layers()
    assert layer.name.startswith("two fields (")
    assert larger.recorded() == {layer.id} and not document.recorded()
    made = larger.flattened().astype(int)
    assert (made[..., 3] == 255).all()
    enlarged = before.pixels.astype(int).repeat(2, 0).repeat(2, 1)
    difference = np.abs(made - enlarged)[..., :3].mean()
    assert 0 < difference < 60, "refined, and the same picture still"


def test_what_is_selected_is_enlarged_alone_at_no_strength(studio: Studio) -> None:
    docker, document = studio.docker, scene(studio.krita)
    document.select_exactly(10, 20, 40, 30)
    before = Before.of(document)
    with unfolded(docker, 3.0, 0):
        studio.krita.trigger("krita_bridge_upscale")
        larger = larger_document(docker)
    assert before.is_restored()
    made = larger.flattened()
    assert made.shape == (90, 120, 4)
    assert (made == LEFT).all()


def test_cancelling_leaves_nothing_behind(studio: Studio) -> None:
    docker = studio.docker
    document = scene(studio.krita)
    before, results = Before.of(document), docker.results()
    docker.choose("endless")
    with unfolded(docker, 8.0, 100):
        docker.click("QPushButton", "upscale")
        docker.wait_for_state("tile ")
        docker.click("QToolButton", "cancel")
        docker.wait_until_idle()
    assert before.is_restored()
    assert docker.results() == results
    assert len(studio.krita.agent.call("open_documents")) == 1
    docker.paint(document, "a calm")  # and the bridge is free again


@contextmanager
def small_parts(krita: Krita) -> Iterator[None]:
    """Parts of 160 px instead of 4096, as if 200 x 200 px were all that one job could make."""
    code = (
        "from krita_bridge import parts\n"
        "before = parts.ONE_JOB_PIXELS, parts.PART_SIDE\n"
        "parts.ONE_JOB_PIXELS, parts.PART_SIDE = {}, {}\n"
        "before"
    )
    before = krita.evaluate(code.format(200 * 200, 160))
    try:
        yield
    finally:
        krita.evaluate(code.format(*before))


def test_what_is_too_large_for_one_job_comes_in_parts_and_opens_on_a_click(studio: Studio) -> None:
    docker, krita = studio.docker, studio.krita
    document = scene(krita)
    document.select_exactly(8, 0, 150, 116)
    before, results = Before.of(document), docker.results()
    docker.choose("quick")
    docker.write("two fields")
    with unfolded(docker, 2.0, 50), small_parts(krita):
        docker.click("QPushButton", "upscale")
        docker.wait_for_state("Upscaled: click it below")
    assert docker.results() == results + 4
    assert len(krita.agent.call("open_documents")) == 1
    docker.click_result()
    larger = larger_document(docker)
    assert docker.results() == results
    assert before.is_restored()
    made = larger.flattened().astype(int)
    assert (made[..., 3] == 255).all()
    enlarged = before.pixels[:116, 8:158].astype(int).repeat(2, 0).repeat(2, 1)
    assert made.shape == enlarged.shape
    assert 0 < np.abs(made - enlarged)[..., :3].mean() < 60, "refined, and the same picture still"


def test_what_is_too_large_gets_a_sentence(studio: Studio) -> None:
    docker = studio.docker
    document = studio.krita.new_document(2400, 1800)
    before = Before.of(document)
    with unfolded(docker, 8.0, 30):
        docker.click("QPushButton", "upscale")
        docker.wait_for_state("Upscaled, the area would be 19200 x 14400 px, which is too large")
    assert not docker.is_busy()
    assert before.is_restored()


def test_a_krita_that_crashes_meanwhile_finds_it_again(krita_install: KritaInstall) -> None:
    with HostBridge(krita_install) as bridge:

        def prepare(home: Home) -> dict[str, str]:
            variables = bridge.prepare(home)
            with (home.config / "kritarc").open("a") as settings:
                settings.write(
                    "client_id=upscaler\n"
                )  # a crash may be faster than Krita's settings
            return variables

        with Krita(krita_install, prepare) as first:
            docker = BridgeDocker(first)
            docker.make_room()
            pixels = scene(first).flattened()
            docker.choose("medium")
            docker.write("two fields")
            set_up(docker, 2.0, 50)
            docker.click("QPushButton", "upscale")
            docker.wait_for_state("tile ")
            first.hang()
            kept = bridge.home / "results"
            first.wait_until(lambda: list(kept.glob("*/*.frame")), 2 * PATIENCE)
            first.kill()
            with Krita(krita_install, bridge.prepare, first.home) as second:
                docker = BridgeDocker(second)
                docker.make_room()
                before = Before.of(second.new_document(WIDTH, HEIGHT))
                second.wait_until(lambda: docker.results() == 1, PATIENCE)
                docker.wait_for_state("A picture from before waits below")
                docker.click_result()
                made = larger_document(docker).flattened().astype(int)
                assert docker.results() == 0
                assert before.is_restored()
                assert not second.exceptions()
    enlarged = pixels.astype(int).repeat(2, 0).repeat(2, 1)
    assert made.shape == enlarged.shape
    assert np.abs(made - enlarged)[..., :3].mean() < 60

"""The bridge comes and goes; results do not."""

from __future__ import annotations

from tests.krita.conftest import Studio
from tests.krita.harness import Before, BridgeDocker, HostBridge, Krita, KritaInstall

_WIDGET_AT = """\
front = QtWidgets.QApplication.widgetAt(docker.widget().mapToGlobal(at))
front is not None and docker.isAncestorOf(front)
"""


def test_a_bridge_that_is_killed_midway_comes_back_with_the_result(studio: Studio) -> None:
    docker = studio.docker
    document = studio.krita.new_document(320, 256)
    document.select_rectangle(90, 40, 220, 170)
    before = Before.of(document)
    docker.ask_for("a phoenix", "slow")
    docker.wait_for_preview(document, "a phoenix")
    killed = studio.bridge.pid()
    studio.bridge.kill()

    docker.wait_for_result(document, "a phoenix")

    assert studio.bridge.pid() not in (None, killed)
    before.assert_only_selected_pixels_changed()
    before.assert_one_undo_restores_and_redo_repeats()
    docker.wait_for_state("Ready")


def test_on_a_first_run_the_docker_shows_itself_and_has_room(krita_install: KritaInstall) -> None:
    with (
        HostBridge(krita_install) as bridge,
        Krita(krita_install, lambda home: bridge.prepare(home, first_run=True)) as krita,
    ):
        krita.new_document(160, 144)
        docker = BridgeDocker(krita)

        def stands_in_front() -> bool:
            at = docker.ask("at = docker.widget().rect().center()\n" + _WIDGET_AT)
            return bool(at) and docker.ask("docker.height() > 0.4 * docker.window().height()")

        krita.wait_until(stands_in_front)
        assert not krita.exceptions()


def test_krita_starts_the_bridge_and_paints_what_was_asked_before(
    krita_install: KritaInstall,
) -> None:
    with HostBridge(krita_install) as bridge, Krita(krita_install, bridge.prepare) as krita:
        docker = BridgeDocker(krita)
        document = krita.new_document(160, 144)
        docker.make_room()
        before = Before.of(document)
        docker.write("a sunrise")
        docker.generate()
        docker.wait_for_result(document, "a sunrise")
        assert bridge.pid() is not None
        before.assert_one_undo_restores_and_redo_repeats()
        assert not krita.exceptions()

"""One Krita for the whole run, a fresh document for each test.

A missing Krita skips with its reason; with KRITA_BRIDGE_REQUIRE_KRITA=1 it fails instead.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2]))  # so that plain `pytest` finds `tests.krita`

from tests.krita.harness import (
    BridgeDocker,
    Home,
    HostBridge,
    Krita,
    KritaInstall,
    Live,
    MissingKrita,
    find,
)

WARM = "warm"
"""A VAE for the embedded model that the shared bridge offers: more red, less blue."""

TEST_LIMIT = 1800.0
"""Seconds: a Krita on a machine that does other things too is slow, and each wait in a test has its own limit."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.krita)
            item.add_marker(pytest.mark.timeout(TEST_LIMIT))


@pytest.fixture(scope="session")
def krita_install() -> KritaInstall:
    try:
        return find()
    except MissingKrita as missing:
        if os.environ.get("KRITA_BRIDGE_REQUIRE_KRITA") == "1":
            pytest.fail(str(missing), pytrace=False)
        pytest.skip(str(missing))


class SharedKrita:
    """One Krita for many tests. A crash fails the test it happens in; the next gets a new Krita."""

    def __init__(
        self,
        install: KritaInstall,
        prepare: Callable[[Home], Mapping[str, str]] | None = None,
    ) -> None:
        self._install = install
        self._prepare = prepare
        self._running: Krita | None = None

    def get(self) -> Krita:
        if self._running is None or not self._running.is_running:
            self.stop()
            self._running = Krita(self._install, self._prepare).__enter__()
        return self._running

    def stop(self) -> None:
        if self._running is not None:
            self._running.__exit__(None, None, None)
            self._running = None


@pytest.fixture(scope="session")
def shared_krita(krita_install: KritaInstall) -> Iterator[SharedKrita]:
    shared = SharedKrita(krita_install)
    yield shared
    shared.stop()


@pytest.fixture
def krita(shared_krita: SharedKrita) -> Iterator[Krita]:
    """The shared Krita with no document open; an exception inside it fails the test."""
    running = shared_krita.get()
    running.exceptions()
    yield running
    assert running.is_running, f"Krita crashed ({running.exit_code})\n{running.log()}"
    running.close_all()
    raised = running.exceptions()
    assert not raised, "\n".join(raised)


@dataclass(frozen=True)
class Studio:
    """A Krita with the plugin, its docker, and the bridge that it is connected to."""

    krita: Krita
    docker: BridgeDocker
    bridge: HostBridge


@pytest.fixture(scope="session")
def bridge(krita_install: KritaInstall) -> Iterator[HostBridge]:
    """One bridge for all tests, because its model takes seconds to load."""
    from tests.krita.harness.controlled import (  # loads torch
        add_controlled_preset,
        add_depth_preset,
    )
    from tests.tiny_vaes import EMBEDDED_VAE, write_tinted

    with HostBridge(krita_install) as running:
        add_controlled_preset(running.home)
        add_depth_preset(running.home)
        write_tinted(EMBEDDED_VAE, running.home / "vaes" / f"{WARM}.safetensors")
        running.start()
        yield running


@pytest.fixture(scope="session")
def krita_with_plugin(krita_install: KritaInstall, bridge: HostBridge) -> Iterator[SharedKrita]:
    shared = SharedKrita(krita_install, bridge.prepare)
    yield shared
    shared.stop()


@pytest.fixture
def studio(krita_with_plugin: SharedKrita, bridge: HostBridge) -> Iterator[Studio]:
    """The shared Krita with the plugin: connected, idle, no document open."""
    running = krita_with_plugin.get()
    running.exceptions()
    docker = BridgeDocker(running)
    docker.make_room()
    docker.wait_until_connected()
    # By now more tests may have painted than the history holds: tests that count results want all of theirs.
    running.evaluate("setattr(__import__('krita_bridge.history').history, 'MOST_RESULTS', 1000)")
    yield Studio(running, docker, bridge)
    assert running.is_running, f"Krita crashed ({running.exit_code})\n{running.log()}"
    if docker.is_busy():
        running.trigger("krita_bridge_cancel")
        docker.wait_until_idle()
    running.close_all()
    raised = running.exceptions()
    assert not raised, "\n".join(raised)


@pytest.fixture
def live(studio: Studio) -> Iterator[Live]:
    """Live painting, off; switched off again at the end."""
    found = Live(studio.krita, studio.docker)
    yield found
    found.end()

"""What a job paints does not depend on its connection: cut anywhere and as often as may be, the same bytes arrive."""

from __future__ import annotations

import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from krita_plugin.krita_bridge import link
from krita_plugin.krita_bridge.client import Client
from krita_plugin.krita_bridge.wire import messages
from krita_plugin.krita_bridge.wire.geometry import Bounds, Extent
from krita_plugin.krita_bridge.wire.runfile import RunFile
from tests.bridge_process import PATIENCE, BridgeProcess
from tests.cutting_proxy import Budget, cutting_proxy
from tests.ears import Ears

SIDE, RADIUS = 128, 50
SERVE = (sys.executable, "-m", "bridge.cli", "serve", "--home")


@pytest.fixture(scope="module")
def serving(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, RunFile]]:
    """The real bridge with the real engine, on the embedded model."""
    process = BridgeProcess(tmp_path_factory.mktemp("home"), command=SERVE)
    try:
        yield process.home, process.wait_until_listening()
    finally:
        process.kill()


def picture() -> tuple[bytes, bytes]:
    """BGRA and a round selection."""
    image = np.random.default_rng(3).integers(0, 256, (SIDE, SIDE, 4), np.uint8)
    image[..., 3] = 255
    y, x = np.mgrid[:SIDE, :SIDE] - SIDE // 2
    return image.tobytes(), ((np.hypot(x, y) < RADIUS) * 255).astype(np.uint8).tobytes()


def test_no_cut_connection_changes_a_result(
    serving: tuple[Path, RunFile],
    monkeypatch: pytest.MonkeyPatch,
    record_property: Callable[[str, object], None],
) -> None:
    home, running = serving
    extent = Extent(SIDE, SIDE)
    request = messages.PaintRequest("a red boat", seed=7, steps=3, strength=0.8)
    image, mask = picture()

    def painted(job: str, *budgets: Budget) -> bytes:
        """The result over connections that are cut after so many bytes."""
        ears = Ears()
        with cutting_proxy(*budgets) as proxy:
            proxy.target = running.port
            # The port is part of the proof: only the socket goes another way.
            monkeypatch.setattr(
                link, "_socket", lambda _: socket.create_connection(("127.0.0.1", proxy.port))
            )
            client = Client("test", "painter", ears, home)
            client.start()
            try:
                submitted = messages.Submit(
                    job, request, extent, Bounds.of_canvas(extent), previews=False
                )
                client.submit(submitted, [image], [mask])
                result = ears.until(messages.Result, job)
                client.acknowledge(job)
            finally:
                client.stop()
                client._thread.join(PATIENCE)
            assert not proxy.budgets, "every cut was made"
        return bytes(result.image or b"")

    expected = painted("whole")
    assert len(expected) == (2 * RADIUS - 1) ** 2 * 4 and len(set(expected)) > 50
    upload, download = len(image), len(expected)
    # Each is less than the connection needs, so none gets through uncut.
    cuts = {
        "handshake": [Budget(up=150)],
        "upload": [Budget(up=upload // 2), Budget(up=upload)],
        "progress": [Budget(down=600), Budget(down=900), Budget(down=1200)],
        "download": [Budget(down=download // share) for share in (4, 2, 1)],
        "all": [Budget(up=upload // 3), Budget(down=400), Budget(down=download // 2)],
    }
    changed = sum(painted(name, *budgets) != expected for name, budgets in cuts.items())
    record_property("results that reconnects changed", changed)
    assert changed == 0

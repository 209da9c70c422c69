"""`python -m tests.fake_bridge HOME`: the real serve process over the fake worker."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from bridge.errors import BridgeError
from bridge.live.sampling import LiveSampling
from bridge.server import app
from krita_plugin.krita_bridge.wire.messages import PresetInfo

PRESETS = (PresetInfo("fake", "Fake", "fake model", 64, 2, 1.0, "none"),)

LIVE = LiveSampling(2, template="{prompt} <lora:few>")


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("home", type=Path)
    parser.add_argument("--idle-minutes", type=float)
    parser.add_argument("--handshake-seconds", type=float, default=10.0)
    parser.add_argument("--heartbeat-seconds", type=float, default=30.0)
    parser.add_argument("--silence-seconds", type=float, default=300.0)
    parser.add_argument("--broken-unless", default="", help="the worker starts only if this exists")
    parser.add_argument("--offer-when", type=Path, help="presets are listed once this exists")
    given = parser.parse_args()

    def configure() -> app.ServiceConfig:
        from bridge.server.service import ServiceConfig
        from bridge.server.session import Offer

        def offer() -> Offer:
            while given.offer_when is not None and not given.offer_when.exists():
                time.sleep(0.01)
            return Offer(PRESETS, "fake", live={"fake": LIVE})

        return ServiceConfig(
            results=given.home / "results",
            worker_command=[sys.executable, "-m", "tests.fake_worker", given.broken_unless],
            offer=offer,
            idle_minutes=given.idle_minutes,
            handshake_seconds=given.handshake_seconds,
            heartbeat_seconds=given.heartbeat_seconds,
            silence_seconds=given.silence_seconds,
        )

    try:
        return app.run(given.home, 0, configure)
    except BridgeError as error:
        print(error, file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())

"""`make krita`: open Krita on your own screen with the plugin, in a profile that is thrown away afterwards."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from krita_plugin.krita_bridge.wire.runfile import RunFileError, read_run_file

REPOSITORY = Path(__file__).resolve().parents[2]


def main() -> int:
    krita = shutil.which("krita")
    if krita is None:
        print("Krita is not installed (apt-get install krita python3-pyqt5).", file=sys.stderr)
        return 1
    if not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        print("There is no screen here: run this from a desktop, or set DISPLAY.", file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory(prefix="krita-bridge-try-") as folder:
        profile, bridge = Path(folder) / "profile", Path(folder) / "bridge"
        _install(profile, bridge)
        print("The first start of a new profile takes half a minute.", flush=True)
        try:
            return subprocess.run(
                [krita, "--nosplash"], env=_environment(profile, bridge)
            ).returncode
        finally:
            _end_bridge(bridge)


def _install(profile: Path, bridge: Path) -> None:
    bridge.mkdir(mode=0o700)
    config, resources = profile / ".config", profile / ".local" / "share" / "krita"
    for path in (config, resources):
        path.mkdir(parents=True)
    places = ["--resources", str(resources), "--kritarc", str(config / "kritarc")]
    command = [sys.executable, "-m", "bridge.cli", "install", "--home", str(bridge), *places]
    subprocess.run(command, cwd=REPOSITORY, check=True, stdout=subprocess.DEVNULL)


def _environment(profile: Path, bridge: Path) -> dict[str, str]:
    """Yours, except for where Krita and the bridge keep their things."""
    kept = {k: v for k, v in os.environ.items() if k not in ("XDG_CONFIG_HOME", "XDG_DATA_HOME")}
    authority = os.environ.get("XAUTHORITY") or str(Path.home() / ".Xauthority")
    return {
        **kept,
        "HOME": str(profile),
        "XAUTHORITY": authority,
        "KRITA_BRIDGE_HOME": str(bridge),
    }


def _end_bridge(bridge: Path) -> None:
    """The bridge that Krita started outlives it; this one's folder goes, so it goes too."""
    with contextlib.suppress(RunFileError, ProcessLookupError):
        run = read_run_file(bridge)
        if run is not None:
            os.kill(run.pid, signal.SIGTERM)


if __name__ == "__main__":
    raise SystemExit(main())

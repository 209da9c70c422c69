"""Which Krita to test: the machine's own, or the one in the chroot that KRITA_ROOT names."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

HOST_TOOLS = ("Xvfb", "xdotool", "import")


class MissingKrita(Exception):
    """There is nothing to test with; the message says what to install."""


@dataclass(frozen=True)
class KritaInstall:
    """A Krita below `root` (`/` for the machine's own) and its Debian version."""

    root: Path
    version: str

    @property
    def is_chroot(self) -> bool:
        return self.root != Path("/")

    @property
    def numbers(self) -> tuple[int, ...]:
        """`(5, 1, 5)` of `1:5.1.5+dfsg-2`."""
        upstream = self.version.partition(":")[2] or self.version
        return tuple(int(part) for part in upstream.partition("+")[0].split(".") if part.isdigit())

    def inside(self, path: Path) -> str:
        """A path of the host as a process in this Krita's root sees it."""
        if not self.is_chroot:
            return str(path)
        return "/" + str(path.relative_to(self.root))

    def command(self, environment: dict[str, str], program: list[str]) -> list[str]:
        """The program with exactly this environment, inside the root; the pid stays one and the same."""
        enter = ["chroot", str(self.root)] if self.is_chroot else []
        settings = [f"{name}={value}" for name, value in sorted(environment.items())]
        return [*enter, "/usr/bin/env", "-i", *settings, *program]

    def scratch(self) -> Path:
        """A folder for throwaway homes, on the host, that this Krita can see."""
        folder = self.root / "tmp" if self.is_chroot else Path(os.environ.get("TMPDIR", "/tmp"))
        return folder / f"krita-tests-{os.getuid()}"

    def cache(self) -> Path:
        """A folder for what outlives a test run: the warmed home."""
        if self.is_chroot:
            return self.root / "var/cache/krita-tests"
        base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
        return Path(base) / "krita-bridge-tests"


def find() -> KritaInstall:
    """The Krita to test.

    Raises:
        MissingKrita: Krita, its PyQt, or a tool of the harness is not installed.
    """
    missing = [tool for tool in HOST_TOOLS if shutil.which(tool) is None]
    if missing:
        raise MissingKrita(
            f"{', '.join(missing)} not installed (apt-get install xvfb xdotool imagemagick)"
        )
    chosen = os.environ.get("KRITA_ROOT")
    root = Path(chosen).resolve() if chosen else Path("/")
    if chosen and not (root / ".krita-provisioned").exists():
        raise MissingKrita(f"no Krita in {root} (make one: tests/krita/provision SUITE {root})")
    if not (root / "usr/bin/krita").exists():
        raise MissingKrita("Krita is not installed (apt-get install krita python3-pyqt5)")
    if chosen and not (root / "proc/self").exists():
        raise MissingKrita(f"/proc is not mounted in {root} (run tests/krita/provision again)")
    python = root / "usr/lib/python3/dist-packages"
    if not any((python / name).exists() for name in ("PyQt5", "PyQt6")):
        raise MissingKrita("Krita's Python plugins need python3-pyqt5 (Krita 6: python3-pyqt6)")
    return KritaInstall(root, _version(root))


def _version(root: Path) -> str:
    query = ["dpkg-query", f"--admindir={root / 'var/lib/dpkg'}", "-W", "-f", "${Version}", "krita"]
    return subprocess.run(query, check=True, capture_output=True, text=True).stdout

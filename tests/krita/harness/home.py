"""Throwaway profiles for Krita.

The first start in an empty home builds an 87 MB resource database and takes half a minute, so one
home per Krita version is warmed once, kept in a cache, and copied for each start.
"""

from __future__ import annotations

import fcntl
import hashlib
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from .install import KritaInstall

AGENT = Path(__file__).parents[1] / "agent"
AGENT_ID = "krita_test_agent"

# Without a GPU Krita aborts on any other renderer.
_DISPLAY_CONFIG = "[General]\nOpenGLRenderer=none\n"
_CONFIG = """\
FavoritePresets=default
HideSplashScreen=true

[AutoSave]
AutoSaveInterval=0

[python]
"""


@dataclass(frozen=True)
class Home:
    """A HOME folder, as the host sees it."""

    path: Path

    @property
    def config(self) -> Path:
        return self.path / ".config"

    @property
    def resources(self) -> Path:
        return self.path / ".local/share/krita"

    @property
    def runtime(self) -> Path:
        return self.path / "run"

    def enable_plugin(self, plugin: str) -> None:
        """Tick a Python plugin in Krita's settings."""
        file = self.config / "kritarc"
        line = f"enable_{plugin}=true"
        lines = [old for old in file.read_text().splitlines() if not old.startswith(line[:-4])]
        if "[python]" not in lines:
            lines += ["", "[python]"]
        lines.insert(lines.index("[python]") + 1, line)
        file.write_text("\n".join(lines) + "\n")

    def install_plugin(self, manifest: Path, package: Path) -> Path:
        """Copy a plugin's .desktop file and package as Krita's importer does, and enable it."""
        target = self.resources / "pykrita"
        target.mkdir(parents=True, exist_ok=True)
        shutil.copy2(manifest, target)
        installed = target / package.name
        shutil.rmtree(installed, ignore_errors=True)
        shutil.copytree(package, installed, ignore=shutil.ignore_patterns("__pycache__"))
        self.enable_plugin(manifest.stem)
        return installed


def fresh(install: KritaInstall, warm_up: Callable[[Home], None]) -> Home:
    """A warmed home of one's own; delete it with `discard`. `warm_up` starts Krita once in a home."""
    warmed = _warmed(install, warm_up)
    install.scratch().mkdir(parents=True, exist_ok=True, mode=0o700)
    home = Home(Path(tempfile.mkdtemp(dir=install.scratch(), prefix="home-")))
    subprocess.run(["cp", "-a", "--reflink=auto", f"{warmed.path}/.", home.path], check=True)
    _install_agent(home)  # the warmed one may carry an older agent
    return home


def discard(home: Home) -> None:
    shutil.rmtree(home.path, ignore_errors=True)


def _warmed(install: KritaInstall, warm_up: Callable[[Home], None]) -> Home:
    cache = install.cache()
    cache.mkdir(parents=True, exist_ok=True, mode=0o700)
    kept = Home(cache / f"home-{_key(install)}")
    with (cache / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not kept.path.exists():
            being_made = Home(Path(tempfile.mkdtemp(dir=cache, prefix="warming-")))
            try:
                _furnish(being_made)
                warm_up(being_made)
                being_made.path.rename(kept.path)
            finally:
                discard(being_made)
    return kept


def _key(install: KritaInstall) -> str:
    """Changes with the Krita and the settings, so that no stale home is reused."""
    digest = hashlib.sha256(f"{install.version}\n{_CONFIG}{_DISPLAY_CONFIG}".encode())
    return f"{'.'.join(map(str, install.numbers))}-{digest.hexdigest()[:12]}"


def _furnish(home: Home) -> None:
    for folder in (home.config, home.resources, home.runtime):
        folder.mkdir(parents=True)
    home.runtime.chmod(0o700)
    (home.config / "kritadisplayrc").write_text(_DISPLAY_CONFIG)
    (home.config / "kritarc").write_text(_CONFIG)
    _install_agent(home)


def _install_agent(home: Home) -> None:
    home.install_plugin(AGENT / f"{AGENT_ID}.desktop", AGENT / AGENT_ID)

"""Checks of Krita: is it there, does it run Python plugins, is ours in it, on, and of this version."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from bridge.commands.bundle import PLUGIN, own_files
from bridge.commands.doctor import Finding, Level
from bridge.commands.krita_places import KritaPlace, find_places, has_snap, is_enabled

_OLDEST = (5, 1)
_SECONDS = 20


def krita(home: Path) -> Iterator[Finding]:
    if has_snap():
        yield Finding(
            Level.WARN,
            "Krita",
            "There is a Krita from a snap, which cannot reach the bridge.",
            "Use the AppImage, the Flatpak or your distribution's package.",
        )
    program = _program()
    if program is None:
        flatpak = [place for place in find_places() if place.is_flatpak]
        level, sentence = (
            (Level.OK, "It is a Flatpak.") if flatpak else (Level.WARN, "It is not on the PATH.")
        )
        remedy = "" if flatpak else "Fine for an AppImage; otherwise install Krita 5.1 or newer."
        yield Finding(level, "Krita", sentence, remedy)
        return
    version = _version(program)
    if version is None:
        yield Finding(Level.OK, "Krita", f"{program}, which says its version on a desktop only")
    elif version < _OLDEST:
        text = ".".join(map(str, version))
        yield Finding(Level.PROBLEM, "Krita", f"{text} is too old.", "Install Krita 5.1 or newer.")
        return
    else:
        yield Finding(Level.OK, "Krita", f"{'.'.join(map(str, version))}, {program}")
    yield from _pyqt(program, 6 if version and version[0] >= 6 else 5)


def plugin(home: Path, resources: Path | None = None) -> Iterator[Finding]:
    places = find_places(resources)
    found = [place for place in places if _folder(place).is_dir()]
    if not found:
        where = places[0].resources / "pykrita"
        yield Finding(
            Level.PROBLEM, "plugin", f"It is not in {where}.", "Run `krita-bridge install`."
        )
    for place in found:
        yield _plugin_in(place)


def _plugin_in(place: KritaPlace) -> Finding:
    folder = _folder(place)
    if _differs(folder):
        return Finding(
            Level.PROBLEM,
            "plugin",
            f"The one in {folder} is of another version than this bridge.",
            "Run `krita-bridge install` again and restart Krita.",
        )
    if not (folder / "vendor" / "websockets").is_dir():
        return Finding(
            Level.PROBLEM,
            "plugin",
            f"The one in {folder} lacks the library websockets.",
            "Run `krita-bridge install` again and restart Krita.",
        )
    try:
        enabled = is_enabled(place.kritarc.read_text("utf-8", "replace"), PLUGIN)
    except OSError:
        enabled = False
    if not enabled:
        return Finding(
            Level.PROBLEM,
            "plugin",
            f"{place.kritarc} does not switch it on.",
            "Run `krita-bridge install` again, or use Settings, Python Plugin Manager in Krita.",
        )
    return Finding(Level.OK, "plugin", f"this version, switched on, in {folder}")


def _differs(folder: Path) -> bool:
    for name, data in own_files().items():
        inside = name.removeprefix(f"{PLUGIN}/")
        if inside == name:
            continue
        path = folder / inside
        if not path.is_file() or path.read_bytes() != data:
            return True
    return False


def _folder(place: KritaPlace) -> Path:
    return place.resources / "pykrita" / PLUGIN


def _program() -> str | None:
    found = shutil.which("krita")
    if found is None and sys.platform == "darwin":
        bundle = Path("/Applications/krita.app/Contents/MacOS/krita")
        found = str(bundle) if bundle.is_file() else None
    return found


def _version(program: str) -> tuple[int, ...] | None:
    # Without a display Krita aborts before it answers; the package manager may know.
    for command in ([program, "--version"], ["dpkg-query", "-W", "-f", "${Version}", "krita"]):
        try:
            done = subprocess.run(
                command, capture_output=True, text=True, timeout=_SECONDS, check=False
            )
        except (OSError, subprocess.TimeoutExpired):
            continue
        found = re.search(r"(\d+)\.(\d+)\.(\d+)", done.stdout)
        if found:
            return tuple(map(int, found.groups()))
    return None


def _pyqt(program: str, major: int) -> Iterator[Finding]:
    """A distribution's Krita runs plugins on the system's Python with its PyQt; bundles bring their own."""
    system = Path("/usr/bin/python3")
    if program != "/usr/bin/krita" or not system.is_file():
        return
    done = subprocess.run(
        [str(system), "-c", f"import PyQt{major}.QtWidgets"],
        capture_output=True,
        timeout=_SECONDS,
        check=False,
    )
    if done.returncode:
        yield Finding(
            Level.PROBLEM,
            "Krita",
            f"Its Python has no PyQt{major}, without which no Python plugin loads.",
            f"Install the package python3-pyqt{major}.",
        )
    else:
        yield Finding(Level.OK, "Krita", f"its Python has PyQt{major}")

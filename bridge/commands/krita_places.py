"""Where Krita keeps its resources and settings, on every system, and how to switch a plugin on there."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

_FLATPAK_ID = "org.kde.krita"


@dataclass(frozen=True)
class KritaPlace:
    """One Krita's folders: `resources` holds pykrita/ and actions/, `kritarc` is its settings file."""

    name: str
    resources: Path
    kritarc: Path

    @property
    def is_flatpak(self) -> bool:
        return self.name == "Flatpak"


def find_places(
    resources: Path | None = None,
    *,
    platform: str = sys.platform,
    environment: Mapping[str, str] = os.environ,
    user: Path | None = None,
) -> list[KritaPlace]:
    """Every Krita of this user; with `resources` the one whose resource folder that is.

    A resource folder that the painter has moved (Krita writes it down in kritarc) is followed.
    """
    user = user or Path.home()
    usual = _usual(platform, environment, user)
    if resources is not None:
        return [KritaPlace("Krita", resources, _kritarc_beside(resources) or usual.kritarc)]
    places = [_moved(usual)]
    sandbox = user / ".var" / "app" / _FLATPAK_ID
    if platform.startswith("linux") and sandbox.is_dir():
        inside = KritaPlace("Flatpak", sandbox / "data" / "krita", sandbox / "config" / "kritarc")
        places.append(_moved(inside))
    return places


def has_snap(user: Path | None = None) -> bool:
    """Whether there is a Krita from a snap, which can neither start the bridge nor read its run file."""
    return sys.platform.startswith("linux") and ((user or Path.home()) / "snap" / "krita").is_dir()


def with_plugin(kritarc: str, plugin: str, *, enabled: bool) -> str:
    """The text of a kritarc in which the plugin is on, or not mentioned; nothing else changes."""
    key = f"enable_{plugin}"
    lines = kritarc.split("\n")
    start = next((i for i, line in enumerate(lines) if line.strip() == "[python]"), None)
    if start is None:
        if not enabled:
            return kritarc
        body = kritarc.rstrip("\n")
        return (body + "\n\n" if body else "") + f"[python]\n{key}=true\n"
    end = next((i for i in range(start + 1, len(lines)) if lines[i].startswith("[")), len(lines))
    section = [line for line in lines[start + 1 : end] if line.split("=")[0].strip() != key]
    if enabled:
        section.insert(0, f"{key}=true")
    return "\n".join([*lines[: start + 1], *section, *lines[end:]])


def is_enabled(kritarc: str, plugin: str) -> bool:
    """Whether a kritarc switches the plugin on."""
    return f"enable_{plugin}=true" in _section(kritarc, "[python]")


def _section(kritarc: str, header: str) -> list[str]:
    lines = [line.strip() for line in kritarc.split("\n")]
    if header and header not in lines:
        return []
    rest = lines[lines.index(header) + 1 :] if header else lines
    end = next((i for i, line in enumerate(rest) if line.startswith("[")), len(rest))
    return rest[:end]


def _usual(platform: str, environment: Mapping[str, str], user: Path) -> KritaPlace:
    if platform == "win32":
        roaming = Path(environment.get("APPDATA") or user / "AppData" / "Roaming")
        local = Path(environment.get("LOCALAPPDATA") or user / "AppData" / "Local")
        return KritaPlace("Krita", roaming / "krita", local / "kritarc")
    if platform == "darwin":
        library = user / "Library"
        resources = library / "Application Support" / "krita"
        return KritaPlace("Krita", resources, library / "Preferences" / "kritarc")
    data = Path(environment.get("XDG_DATA_HOME") or user / ".local" / "share")
    config = Path(environment.get("XDG_CONFIG_HOME") or user / ".config")
    return KritaPlace("Krita", data / "krita", config / "kritarc")


def _kritarc_beside(resources: Path) -> Path | None:
    """The settings file of a profile that has the usual Linux shape, as a throwaway HOME has."""
    if resources.parts[-3:] == (".local", "share", "krita"):
        return resources.parents[2] / ".config" / "kritarc"
    return None


def _moved(place: KritaPlace) -> KritaPlace:
    try:
        text = place.kritarc.read_text("utf-8")
    except (OSError, UnicodeDecodeError):
        return place
    for line in _section(text, ""):
        name, _, value = line.partition("=")
        if name == "ResourceDirectory" and value and Path(value).is_dir():
            return KritaPlace(place.name, Path(value), place.kritarc)
    return place

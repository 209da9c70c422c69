"""`krita-bridge install`: the plugin into Krita's resource folder, and switched on."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

from bridge.commands.bundle import ACTION, DESKTOP, PLUGIN, all_files
from bridge.commands.files import write_atomically
from bridge.commands.krita_places import KritaPlace, find_places, has_snap, with_plugin
from bridge.errors import BridgeError, Code

EXAMPLE = "krita-bridge install"

_FLATPAK_NOTE = (
    "Krita from Flatpak may start programs outside its sandbox only when you allow it, once: "
    "flatpak override --user --talk-name=org.freedesktop.Flatpak org.kde.krita "
    "(or start `krita-bridge serve` yourself)"
)
_SNAP_NOTE = (
    "Krita from a snap can neither start the bridge nor reach its files: "
    "use the AppImage, the Flatpak or your distribution's package"
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--resources", type=Path, metavar="DIR", help="Krita's resource folder (found by itself)"
    )
    parser.add_argument(
        "--kritarc", type=Path, metavar="FILE", help="Krita's settings file (found by itself)"
    )
    parser.add_argument("--uninstall", action="store_true", help="take the plugin out again")


def run(arguments: argparse.Namespace, home: Path) -> int:
    places = find_places(arguments.resources)
    if arguments.kritarc is not None:
        places = [KritaPlace(place.name, place.resources, arguments.kritarc) for place in places]
    files = {} if arguments.uninstall else all_files(home)
    for place in places:
        try:
            if arguments.uninstall:
                uninstall(place)
                print(f"Removed the plugin from {place.resources}.")
            else:
                install(place, files, home)
                print(f"Installed the plugin in {place.resources / 'pykrita'}.")
        except OSError as error:
            raise BridgeError(
                Code.BAD_INPUT,
                f"{error.filename or place.resources} cannot be changed: {error.strerror}.",
                "Give Krita's resource folder with --resources.",
            ) from error
        if place.is_flatpak and not arguments.uninstall:
            print(f"{_FLATPAK_NOTE}.")
    if has_snap() and arguments.resources is None:
        print(f"{_SNAP_NOTE}.")
    print("Start Krita again if it is running.")
    return 0


def install(place: KritaPlace, files: Mapping[str, bytes], home: Path) -> None:
    """Put the plugin there, replacing any older one whole, and switch it on."""
    folder = place.resources / "pykrita"
    launch = {
        "command": [sys.executable, "-m", "bridge.cli", "serve", "--idle-minutes", "15"],
        "home": str(home.absolute()),
    }
    fresh = folder / f".{PLUGIN}-new-{os.getpid()}"
    try:
        for name, data in files.items():
            if name.startswith(f"{PLUGIN}/"):
                path = fresh / name.removeprefix(f"{PLUGIN}/")
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(data)
        (fresh / "launch.json").write_text(json.dumps(launch, indent=2) + "\n", "utf-8")
        _remove(folder / PLUGIN)
        fresh.rename(folder / PLUGIN)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    write_atomically(folder / DESKTOP, files[DESKTOP])
    for name, data in files.items():
        if name.rpartition("/")[2] == ACTION:
            write_atomically(place.resources / "actions" / ACTION, data)
    _switch(place.kritarc, enabled=True)


def uninstall(place: KritaPlace) -> None:
    """Take away what `install` put there; nothing else."""
    _remove(place.resources / "pykrita" / PLUGIN)
    (place.resources / "pykrita" / DESKTOP).unlink(missing_ok=True)
    (place.resources / "actions" / ACTION).unlink(missing_ok=True)
    _switch(place.kritarc, enabled=False)


def _remove(path: Path) -> None:
    """A folder with all in it, or only the link when someone linked their checkout there."""
    if path.is_symlink():
        path.unlink()
    elif path.exists():
        shutil.rmtree(path)


def _switch(kritarc: Path, *, enabled: bool) -> None:
    # Bytes that are no UTF-8 belong to someone else's settings and must survive.
    old = kritarc.read_text("utf-8", "surrogateescape") if kritarc.exists() else ""
    new = with_plugin(old, PLUGIN, enabled=enabled)
    if new != old:
        mode = kritarc.stat().st_mode & 0o777 if kritarc.exists() else 0o600
        write_atomically(kritarc, new.encode("utf-8", "surrogateescape"), mode)

"""The plugin as Krita wants it: its files by name, and as one reproducible zip."""

from __future__ import annotations

import importlib.metadata
import io
import zipfile
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

import krita_plugin
from bridge.commands.vendored import websockets_files
from bridge.errors import BridgeError, Code

PLUGIN = "krita_bridge"
DESKTOP = f"{PLUGIN}.desktop"
ACTION = f"{PLUGIN}.action"

_LEFT_OUT = {"__pycache__", "vendor", "launch.json"}
_ZIP_TIME = (1980, 1, 1, 0, 0, 0)


def own_files(source: Path | None = None) -> dict[str, bytes]:
    """The plugin's own files by POSIX path: `krita_bridge.desktop` and all under `krita_bridge/`."""
    root = source or Path(krita_plugin.__file__).parent
    found = [root / DESKTOP, root / ACTION, *(root / PLUGIN).rglob("*")]
    files: dict[str, bytes] = {}
    for path in sorted(found):
        name = path.relative_to(root)
        if path.is_file() and path.suffix != ".pyc" and not _LEFT_OUT & set(name.parts):
            files[name.as_posix()] = path.read_bytes()
    files[f"{PLUGIN}/LICENSE"] = _licence()
    if DESKTOP not in files or f"{PLUGIN}/__init__.py" not in files:
        raise BridgeError(
            Code.INTERNAL,
            "The plugin's files are missing from this installation of krita-bridge.",
            "Install the package again.",
        )
    return files


def _licence() -> bytes:
    """The GPL, which travels with every copy: from the repository, or from the installed package."""
    in_repository = Path(krita_plugin.__file__).parents[1] / "LICENSE"
    if in_repository.is_file():
        return in_repository.read_bytes()
    for path in importlib.metadata.files("krita-bridge") or []:
        if path.name == "LICENSE":
            return path.read_binary()
    return b""


def all_files(home: Path) -> dict[str, bytes]:
    """The plugin's files with `websockets` under `krita_bridge/vendor/`."""
    files = own_files()
    files[f"{PLUGIN}/vendor/__init__.py"] = b""
    for name, data in websockets_files(home).items():
        files[f"{PLUGIN}/vendor/websockets/{name}"] = data
    return dict(sorted(files.items()))


def as_zip(files: Mapping[str, bytes]) -> bytes:
    """The files as a zip whose bytes depend on nothing but them.

    Krita's importer finds a plugin by the entry of its folder, so folders have entries too.
    """
    folders = {f"{parent}/" for name in files for parent in PurePosixPath(name).parents}
    entries = {folder: b"" for folder in folders if folder != "./"} | dict(files)
    buffer = io.BytesIO()
    # Stored, not deflated: another zlib would give other bytes.
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name, data in sorted(entries.items()):
            entry = zipfile.ZipInfo(name, _ZIP_TIME)
            entry.create_system = 3
            entry.external_attr = (0o40755 << 16 | 0x10) if name.endswith("/") else 0o100644 << 16
            archive.writestr(entry, data)
    return buffer.getvalue()

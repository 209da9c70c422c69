"""How a client finds a running bridge: the run file (port, pid, token), mode 0600, in the home folder."""

from __future__ import annotations

import json
import os
import stat
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Optional

HOME_VARIABLE = "KRITA_BRIDGE_HOME"


class RunFileError(ValueError):
    """There is a run file, but it must not be trusted; the text says why."""


@dataclass(frozen=True)
class RunFile:
    """Where the bridge listens on 127.0.0.1, its process, and the secret of this run."""

    port: int
    pid: int
    token: str
    version: str


def home() -> Path:
    """The bridge's folder for this user: run file, kept results, log. KRITA_BRIDGE_HOME overrides it."""
    given = os.environ.get(HOME_VARIABLE)
    if given:
        return Path(given)
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA") or str(Path.home() / "AppData" / "Local")
        return Path(base) / "krita-bridge"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support" / "krita-bridge"
    base = os.environ.get("XDG_DATA_HOME") or str(Path.home() / ".local" / "share")
    return Path(base) / "krita-bridge"


def run_file_path(folder: Path) -> Path:
    return folder / "run.json"


def read_run_file(folder: Path) -> Optional[RunFile]:
    """The run file in `folder`, or None when there is none.

    Raises RunFileError when it is a link, belongs to someone else, is readable by others, or is
    not what the bridge writes.
    """
    path = run_file_path(folder)
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0)
    try:
        descriptor = os.open(str(path), flags)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise RunFileError(f"{path} cannot be opened: {error.strerror}") from error
    with os.fdopen(descriptor, "rb") as file:
        _check_owner(path, os.fstat(file.fileno()))
        text = file.read(64 * 1024)
    try:
        fields = json.loads(text.decode("utf-8"))
        found = RunFile(fields["port"], fields["pid"], fields["token"], fields["version"])
    except (ValueError, KeyError, TypeError) as error:
        raise RunFileError(f"{path} is not a run file") from error
    valid = (
        type(found.port) is int
        and 0 < found.port < 65536
        and type(found.pid) is int
        and isinstance(found.token, str)
        and isinstance(found.version, str)
    )
    if not valid:
        raise RunFileError(f"{path} is not a run file")
    return found


def _check_owner(path: Path, status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise RunFileError(f"{path} is not a plain file")
    if sys.platform == "win32":
        return
    if status.st_uid != os.getuid() or status.st_mode & 0o077:
        raise RunFileError(f"{path} can be read by others; delete it and start the bridge again")

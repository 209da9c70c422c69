"""One bridge to a home folder: the lock, the run file, and asking whether the one it names lives."""

from __future__ import annotations

import base64
import contextlib
import errno
import http.client
import json
import os
import secrets
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import BinaryIO

from bridge.errors import BridgeError, Code
from krita_plugin.krita_bridge.wire import proof
from krita_plugin.krita_bridge.wire.runfile import (
    RunFile,
    RunFileError,
    read_run_file,
    run_file_path,
)

WEBSOCKET_PATH = "/v1"
_ANSWER_SECONDS = 2.0


def make_folder(folder: Path) -> None:
    """Create the folder for this user alone; raises BridgeError."""
    with _clear_errors(folder):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)


@contextlib.contextmanager
def _clear_errors(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise BridgeError(
            Code.DISK_FULL if error.errno == errno.ENOSPC else Code.REFUSED,
            f"The folder {folder} cannot be used: {error.strerror}.",
            "Make room there, or set KRITA_BRIDGE_HOME to a folder you can write to.",
        ) from error


class HomeLock:
    """Held by the one bridge of a home folder; the system frees it however the process ends."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "bridge.lock"
        self._file: BinaryIO | None = None

    def acquire(self) -> bool:
        """Take the lock; False when another process has it. Raises BridgeError."""
        flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0)
        with _clear_errors(self._path.parent):
            file = os.fdopen(os.open(self._path, flags, 0o600), "r+b")
        try:
            _lock(file)
        except OSError:
            file.close()
            return False
        self._file = file
        return True

    def release(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None


def _lock(file: BinaryIO) -> None:
    if sys.platform == "win32":
        import msvcrt

        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
    else:
        import fcntl

        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def claim(folder: Path) -> HomeLock:
    """Become the bridge of this folder, or raise BridgeError when another one is.

    A run file whose bridge does not answer a handshake is left over from one that was killed;
    the next `write` replaces it.
    """
    found = _trusted_run_file(folder)
    if found is not None and answers(found):
        raise BridgeError(
            Code.BUSY,
            f"A bridge is already running on port {found.port} (process {found.pid}).",
            "Use that one, or end it first.",
        )
    lock = HomeLock(folder)
    if not lock.acquire():
        raise BridgeError(
            Code.BUSY,
            f"Another bridge is starting or has stopped answering in {folder}.",
            "Wait a moment; if it stays so, end the other krita-bridge process.",
        )
    return lock


def answers(run_file: RunFile) -> bool:
    """Whether a bridge that knows the run file's token answers on its port: a real handshake."""
    key = base64.b64encode(secrets.token_bytes(16)).decode("ascii")
    connection = http.client.HTTPConnection("127.0.0.1", run_file.port, timeout=_ANSWER_SECONDS)
    headers = {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": key,
        proof.PROOF_HEADER: proof.client_proof(run_file.token, run_file.port, key),
    }
    try:
        connection.request("GET", WEBSOCKET_PATH, headers=headers)
        given = connection.getresponse().getheader(proof.PROOF_HEADER)
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
    return proof.matches(proof.server_proof(run_file.token, run_file.port, key), given)


def write(folder: Path, run_file: RunFile) -> None:
    """Put the run file in place, mode 0600, all at once; a link planted there is replaced, not followed.

    Raises BridgeError.
    """
    temporary = folder / f"run.json.{secrets.token_hex(8)}"
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0)
    with _clear_errors(folder):
        with os.fdopen(os.open(temporary, flags, 0o600), "wb") as file:
            file.write(json.dumps(asdict(run_file)).encode("ascii"))
        temporary.replace(run_file_path(folder))


def remove(folder: Path, run_file: RunFile) -> None:
    """Remove the run file if it is still this one."""
    if _trusted_run_file(folder) == run_file:
        with contextlib.suppress(OSError):
            run_file_path(folder).unlink()


def _trusted_run_file(folder: Path) -> RunFile | None:
    try:
        return read_run_file(folder)
    except RunFileError:
        return None

"""Finished results, kept until their client has acknowledged them.

Each is one file, the exact binary Result frame: `<folder>/<client>/<job>.frame`. It is written under a
temporary name, synced and renamed, so that a file with its final name is whole. A result that cannot be
written (disk full, quota) stays in memory and is delivered from there.
"""

from __future__ import annotations

import contextlib
import logging
import mmap
import os
import threading
import zlib
from dataclasses import dataclass
from pathlib import Path

from bridge.jobs.queue import JobKey
from krita_plugin.krita_bridge.wire import frames, messages
from krita_plugin.krita_bridge.wire.messages import Result

log = logging.getLogger(__name__)

QUOTA_BYTES = 4 << 30
MEMORY_BYTES = 512 << 20

RECENT_BYTES = 32 << 20
"""The result saved last stays in memory too unless it is larger: it is about to be sent."""

_SUFFIX = ".frame"
_TEMPORARY = ".partial"
_SET_ASIDE = ".damaged"


@dataclass(frozen=True)
class NotKept:
    """A result is in memory only, and why: one sentence for the painter and what to do."""

    sentence: str
    hint: str


class Store:
    """Unacknowledged results. `save` and `load` wait for the disk; call them in a thread."""

    def __init__(
        self, folder: Path, quota: int = QUOTA_BYTES, memory_quota: int = MEMORY_BYTES
    ) -> None:
        self._folder = folder
        self._quota = quota
        self._memory_quota = memory_quota
        self._sizes: dict[JobKey, int] = {}
        self._memory: dict[JobKey, bytes] = {}
        self._recent: tuple[JobKey, bytes] | None = None
        self._lock = threading.Lock()

    def open(self) -> None:
        """Read back what an earlier bridge kept; damaged files are set aside under another name."""
        for path in sorted(self._folder.glob(f"*/*{_TEMPORARY}")):
            path.unlink(missing_ok=True)
        for path in sorted(self._folder.glob(f"*/*{_SUFFIX}"), key=_modified):
            key = self._key_of(path)
            if key is None:
                _set_aside(path)
            else:
                self._sizes[key] = path.stat().st_size
        for folder in self._folder.glob("*"):
            with contextlib.suppress(OSError):
                folder.rmdir()
        if self._sizes:
            log.info("%s results of earlier runs are kept", len(self._sizes))

    def __contains__(self, key: JobKey) -> bool:
        with self._lock:
            return key in self._sizes or key in self._memory

    @property
    def memory_full(self) -> bool:
        """Whether results that could not be written have used up what memory may hold."""
        with self._lock:
            return sum(map(len, self._memory.values())) >= self._memory_quota

    @property
    def holds_in_memory(self) -> bool:
        """Whether results would be lost if the bridge ended now."""
        return bool(self._memory)

    def jobs_of(self, client: str) -> tuple[str, ...]:
        """The client's unacknowledged jobs, oldest first."""
        with self._lock:
            kept = (*self._sizes, *self._memory)
        return tuple(key.job for key in kept if key.client == client)

    def save(self, key: JobKey, data: bytes) -> NotKept | None:
        """Keep a result; on return it survives a crash, unless NotKept says that it is in memory only."""
        problem = self._write(key, data)
        if problem is None:
            return None
        log.error("job %s is kept in memory only: %s", key.job, problem)
        with self._lock:
            self._memory[key] = data
        hint = f"Free some space for {self._folder}; until then keep the bridge running."
        return NotKept(problem, hint)

    def save_again(self) -> None:
        """Try to write what is in memory only, as there may be room by now."""
        with self._lock:
            waiting = dict(self._memory)
        for key, data in waiting.items():
            if self._write(key, data) is not None:
                log.error("%s results are still in memory only", len(waiting))
                return
            with self._lock:
                acknowledged = self._memory.pop(key, None) is None
            if acknowledged:
                self.forget(key)

    def _write(self, key: JobKey, data: bytes) -> str | None:
        """Put a result on disk; returns why that was not possible."""
        with self._lock:
            total = sum(self._sizes.values()) + len(data)
        if total > self._quota:
            return "The bridge's folder for unfetched results is full."
        path = self._path(key)
        temporary = path.with_suffix(_TEMPORARY)
        try:
            for folder in (self._folder, path.parent):
                folder.mkdir(mode=0o700, exist_ok=True)
            _write_synced(temporary, data)
            temporary.replace(path)
            _sync_folder(path.parent)
        except OSError as error:
            _unlink_quietly(temporary)
            return f"The result could not be saved to disk: {error.strerror}."
        with self._lock:
            self._sizes[key] = len(data)
            self._recent = (key, data) if len(data) <= RECENT_BYTES else None
        return None

    def at_hand(self, key: JobKey) -> bytes | None:
        """The frame if it is in memory, without waiting for the disk; else `load` it."""
        with self._lock:
            if self._recent is not None and self._recent[0] == key:
                return self._recent[1]
            return self._memory.get(key)

    def load(self, key: JobKey) -> bytes | None:
        """The frame, or None when there is none any more (or its file turns out damaged)."""
        with self._lock:
            kept = self._memory.get(key)
        if kept is not None:
            return kept
        path = self._path(key)
        try:
            data = path.read_bytes()
        except OSError:
            data = b""
        if _is_result(data, key.job):
            return data
        with self._lock:
            known = self._sizes.pop(key, None) is not None
        if known:
            _set_aside(path)
        return None

    def forget(self, key: JobKey) -> None:
        """The client has it safe."""
        with self._lock:
            self._memory.pop(key, None)
            if self._recent is not None and self._recent[0] == key:
                self._recent = None
            on_disk = self._sizes.pop(key, None) is not None
        if on_disk:
            _unlink_quietly(self._path(key))

    def _path(self, key: JobKey) -> Path:
        return self._folder / _file_name(key.client) / (_file_name(key.job) + _SUFFIX)

    def _key_of(self, path: Path) -> JobKey | None:
        client, job = path.parent.name.rpartition("-")[0], path.stem.rpartition("-")[0]
        if not client or not job or path != self._path(JobKey(client, job)):
            return None
        try:
            with path.open("rb") as file:
                whole = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        except (OSError, ValueError):
            return None
        return JobKey(client, job) if _is_result(memoryview(whole), job) else None


def _file_name(name: str) -> str:
    """Ids are letters, digits, `-` and `_`; the sum tells `a` from `A` on disks that do not, and `CON-..` is no device."""
    return f"{name}-{zlib.crc32(name.encode('ascii')):08x}"


def _is_result(data: bytes | memoryview, job: str) -> bool:
    try:
        message = messages.loads(frames.decode(data).message)
    except ValueError:
        return False
    return isinstance(message, Result) and message.job == job


def _write_synced(path: Path, data: bytes) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | getattr(os, "O_NOFOLLOW", 0)
    flags |= getattr(os, "O_BINARY", 0)
    with os.fdopen(os.open(path, flags, 0o600), "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    """Make the rename durable; folders cannot be opened on Windows, where it needs nothing."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _set_aside(path: Path) -> None:
    log.error("%s is damaged and is set aside", path)
    try:
        path.replace(path.with_suffix(_SET_ASIDE))
    except OSError as error:
        log.error("%s cannot be renamed: %s", path, error)


def _unlink_quietly(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        log.error("%s cannot be removed: %s", path, error)


def _modified(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0

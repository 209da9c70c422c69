"""The model's sha256, which names it in a result's facts.

A single-file checkpoint is named by the file's own sha256, as download sites show it; a folder by the
sha256 of lines "sha256 of a file, two spaces, its path below the folder" in sorted order. Large files are hashed
once: their hashes are kept in the bridge's home by path, size and time of change.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

_LARGE = 32 << 20
_CHUNK = 4 << 20
_CACHE_NAME = "model-hashes.json"

OnBytes = Callable[[int], None]
"""Called with the number of bytes just hashed (or spared)."""


@dataclass(frozen=True)
class HashCache:
    """Hashes of large files, kept in `folder`. A cache that cannot be read or written is no error."""

    folder: Path

    def sha256(self, path: Path, on_bytes: OnBytes) -> str:
        """The file's sha256, hex. Raises OSError when the file cannot be read."""
        facts = path.stat()
        if facts.st_size < _LARGE:
            return _hash(path, on_bytes)
        key = str(path.resolve())
        stamp = [facts.st_size, facts.st_mtime_ns]
        known = self._read().get(key)
        if isinstance(known, list) and known[:2] == stamp and len(known) == 3:
            on_bytes(facts.st_size)
            return str(known[2])
        digest = _hash(path, on_bytes)
        self._write({**self._read(), key: [*stamp, digest]})
        return digest

    def _read(self) -> dict[str, object]:
        try:
            content = json.loads((self.folder / _CACHE_NAME).read_bytes())
        except (OSError, ValueError, RecursionError):
            return {}
        return content if isinstance(content, dict) else {}

    def _write(self, content: dict[str, object]) -> None:
        temporary = self.folder / f"{_CACHE_NAME}.{os.getpid()}"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            temporary.write_text(json.dumps(content, indent=1))
            temporary.replace(self.folder / _CACHE_NAME)
        except OSError:
            temporary.unlink(missing_ok=True)


def folder_sha256(root: Path, files: Sequence[Path], cache: HashCache, on_bytes: OnBytes) -> str:
    """One hash for `files` below `root`, whatever their order and wherever `root` lies."""
    named = sorted((path.relative_to(root).as_posix(), path) for path in files)
    text = "".join(f"{cache.sha256(path, on_bytes)}  {name}\n" for name, path in named)
    return hashlib.sha256(text.encode()).hexdigest()


def _hash(path: Path, on_bytes: OnBytes) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
            on_bytes(len(chunk))
    return digest.hexdigest()

"""Writing files so that a reader never sees half of one."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from bridge.errors import BridgeError, Code


def write_atomically(
    path: Path, data: bytes | Callable[[BinaryIO], object], mode: int = 0o644
) -> None:
    """Put `data`, or what it writes, at `path`, on disk when this returns, in one step; the old file stays if it fails.

    Raises BridgeError with a sentence that names the file.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(data) if isinstance(data, bytes) else data(file)
                file.flush()
                os.fsync(file.fileno())
            Path(temporary).chmod(mode)
            Path(temporary).replace(path)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise BridgeError(
            Code.DISK_FULL if error.errno == 28 else Code.BAD_INPUT,
            f"{path} could not be written: {error.strerror}.",
            "Choose another place, or free some space.",
        ) from error

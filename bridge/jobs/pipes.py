"""Wire frames over the pipes between the serve process and its worker, each after its length.

The worker sends BEAT when it has had nothing else to say for BEAT_SECONDS.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import BinaryIO

from krita_plugin.krita_bridge.wire.frames import Buffer
from krita_plugin.krita_bridge.wire.limits import MAX_FRAME_BYTES

_LENGTH = struct.Struct("<Q")
LENGTH_BYTES = _LENGTH.size

BEAT_SECONDS = 5.0

BEAT: Sequence[Buffer] = ()
"""A frame of no bytes: a sign of life."""


class PipeError(RuntimeError):
    """The other end sent something that is not a frame."""


def length_prefix(buffers: Sequence[Buffer]) -> bytes:
    """What goes before a frame made of these buffers."""
    return _LENGTH.pack(sum(memoryview(buffer).nbytes for buffer in buffers))


def read_length(prefix: bytes) -> int:
    """The number of bytes of the frame that follows; raises PipeError."""
    (length,) = _LENGTH.unpack(prefix)
    if length > MAX_FRAME_BYTES:
        raise PipeError(f"a frame of {length} bytes was announced")
    return int(length)


def write_frame(pipe: BinaryIO, buffers: Sequence[Buffer]) -> None:
    """Write one frame; blocks until the other end has taken it. `pipe` must be unbuffered."""
    # The length goes out with the header: by itself it would wake the other end for eight bytes.
    header = b"".join((length_prefix(buffers), *buffers[:1]))
    for buffer in (header, *buffers[1:]):
        rest = memoryview(buffer).cast("B")
        while rest.nbytes:
            rest = rest[pipe.write(rest) :]


def read_frame(pipe: BinaryIO) -> bytearray | None:
    """Read one frame, or None at the end of the pipe (also in the middle of a frame)."""
    prefix = _read_exactly(pipe, LENGTH_BYTES)
    return None if prefix is None else _read_exactly(pipe, read_length(bytes(prefix)))


def _read_exactly(pipe: BinaryIO, count: int) -> bytearray | None:
    buffer = bytearray(count)
    rest = memoryview(buffer)
    while rest.nbytes:
        taken = pipe.readinto(rest)  # type: ignore[attr-defined]
        if not taken:
            return None
        rest = rest[taken:]
    return buffer

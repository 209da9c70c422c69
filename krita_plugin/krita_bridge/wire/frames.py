"""Pixels and their message as one binary frame: a safetensors buffer.

Layout (safetensors documentation, section "Format"): eight bytes of header length,
little endian; a JSON header that names each tensor with dtype, shape and offsets; then the bytes.
The message travels as JSON text in the header's `__metadata__` under the key `message`. The same
bytes are what the bridge keeps on disk.
"""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass
from typing import Dict, List, Mapping, Tuple, Union

from .limits import MAX_FRAME_BYTES, MAX_HEADER_BYTES

Buffer = Union[bytes, bytearray, memoryview]

_ALIGNMENT = 8
_ITEM_BYTES = {"U8": 1}


class FrameError(ValueError):
    """The bytes are not a frame of this protocol; the text says in which way."""


@dataclass(frozen=True)
class Tensor:
    """An array of unsigned bytes.

    `shape` is H x W x 4 for an image (BGRA, straight alpha, sRGB: Krita's own byte order) or H x W
    for a mask (255 selected, 0 untouched). `data` holds the elements in C order.
    """

    shape: Tuple[int, ...]
    data: Buffer

    def __post_init__(self) -> None:
        if memoryview(self.data).nbytes != _size(self.shape):
            raise FrameError(f"a tensor of shape {self.shape} has {len(self.data)} bytes")


@dataclass(frozen=True)
class Frame:
    """A message as JSON text, and its tensors by name."""

    message: str
    tensors: Mapping[str, Tensor]


def encode(frame: Frame) -> List[Buffer]:
    """The frame as buffers to be sent one after the other; tensor bytes are not copied."""
    shapes = {name: tensor.shape for name, tensor in frame.tensors.items()}
    return [encode_header(frame.message, shapes)] + [t.data for t in frame.tensors.values()]


def encode_header(message: str, shapes: Mapping[str, Tuple[int, ...]]) -> bytes:
    """All of a frame that comes before its tensors, for a sender that holds their bytes in strips."""
    header: Dict[str, object] = {"__metadata__": {"message": message}}
    offset = 0
    for name, shape in shapes.items():
        end = offset + _size(shape)
        header[name] = {"dtype": "U8", "shape": list(shape), "data_offsets": [offset, end]}
        offset = end
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=True).encode("ascii")
    text += b" " * (-len(text) % _ALIGNMENT)
    if len(text) > MAX_HEADER_BYTES:
        raise FrameError(f"the header has {len(text)} bytes, more than {MAX_HEADER_BYTES}")
    return struct.pack("<Q", len(text)) + text


def join(frame: Frame) -> bytes:
    """The frame as one bytes object, for a file or a transport that wants it whole."""
    return b"".join(encode(frame))


def decode(buffer: Buffer) -> Frame:
    """Read a frame; tensors are views into `buffer`.

    Raises FrameError for anything that is not exactly one well-formed frame: a lying header,
    gaps or overlaps between tensors, missing or trailing bytes, an unknown dtype.
    """
    view = memoryview(buffer)
    if view.nbytes > MAX_FRAME_BYTES:
        raise FrameError(f"the frame has {view.nbytes} bytes, more than {MAX_FRAME_BYTES}")
    if view.nbytes < 8:
        raise FrameError("the frame ends before its header length")
    (length,) = struct.unpack("<Q", view[:8])
    if length > MAX_HEADER_BYTES or 8 + length > view.nbytes:
        raise FrameError(f"the header claims {length} bytes")
    header = _parse_header(bytes(view[8 : 8 + length]))
    metadata = header.pop("__metadata__", None)
    if not isinstance(metadata, dict) or not isinstance(metadata.get("message"), str):
        raise FrameError("the header carries no message")
    return Frame(metadata["message"], _tensors(header, view[8 + length :]))


def _parse_header(text: bytes) -> Dict[str, object]:
    try:
        header = json.loads(text.decode("utf-8"))
    except (UnicodeDecodeError, ValueError, RecursionError) as error:
        raise FrameError("the header is not JSON") from error
    if not isinstance(header, dict):
        raise FrameError("the header is not a JSON object")
    return header


def _tensors(header: Mapping[str, object], body: memoryview) -> Dict[str, Tensor]:
    tensors: Dict[str, Tensor] = {}
    expected = 0
    entries = [(_span(name, entry), name, entry) for name, entry in header.items()]
    for (begin, end), name, entry in sorted(entries, key=lambda item: item[0]):
        if begin != expected or end > body.nbytes:
            raise FrameError(f"tensor {name!r} does not follow the one before it")
        tensors[name] = Tensor(_shape(name, entry), body[begin:end])
        expected = end
    if expected != body.nbytes:
        raise FrameError(f"{body.nbytes - expected} bytes belong to no tensor")
    return tensors


def _span(name: str, entry: object) -> Tuple[int, int]:
    offsets = entry.get("data_offsets") if isinstance(entry, dict) else None
    if not isinstance(offsets, list) or len(offsets) != 2 or not all(map(_is_count, offsets)):
        raise FrameError(f"tensor {name!r} has no valid offsets")
    begin, end = offsets
    if begin > end:
        raise FrameError(f"tensor {name!r} ends before it begins")
    return begin, end


def _shape(name: str, entry: object) -> Tuple[int, ...]:
    assert isinstance(entry, dict)  # _span has refused everything else
    if entry.get("dtype") not in _ITEM_BYTES:
        raise FrameError(f"tensor {name!r} has the unknown dtype {entry.get('dtype')!r}")
    shape = entry.get("shape")
    if not isinstance(shape, list) or len(shape) > 4 or not all(map(_is_count, shape)):
        raise FrameError(f"tensor {name!r} has no valid shape")
    return tuple(shape)


def _is_count(value: object) -> bool:
    return type(value) is int and 0 <= value < 2**48


def _size(shape: Tuple[int, ...]) -> int:
    size = 1
    for side in shape:
        size *= side
    return size

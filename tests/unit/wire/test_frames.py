"""Frames are read strictly: a lie about sizes is an error, not a crash."""

from __future__ import annotations

import json
import struct

import pytest

from krita_plugin.krita_bridge.wire.frames import Frame, FrameError, Tensor, decode, join


def raw(header: object, body: bytes = b"") -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + body


def header(**entry: object) -> dict[str, object]:
    fields: dict[str, object] = {"dtype": "U8", "shape": [4], "data_offsets": [0, 4]}
    return {"__metadata__": {"message": "m"}, "a": {**fields, **entry}}


def test_tensors_are_views_not_copies() -> None:
    buffer = bytearray(join(Frame("m", {"a": Tensor((4,), b"abcd")})))
    tensor = decode(buffer).tensors["a"]
    buffer[-1:] = b"X"
    assert bytes(tensor.data) == b"abcX"


def test_the_bytes_start_at_a_multiple_of_eight() -> None:
    for extra in range(16):
        frame = join(Frame("m" * extra, {"a": Tensor((1,), b"z")}))
        assert (len(frame) - 1) % 8 == 0


@pytest.mark.parametrize(
    "buffer",
    [
        b"",
        b"1234567",
        struct.pack("<Q", 2**63) + b"{}",
        struct.pack("<Q", 100) + b"{}",
        raw(b"\xff\xfe"),
        raw(b"[" * 100_000),
        raw([]),
        raw({}),
        raw({"__metadata__": {}}),
        raw({"__metadata__": {"message": 1}}),
        raw(header(), b"abc"),
        raw(header(), b"abcde"),
        raw(header(dtype="F32"), b"abcd"),
        raw(header(dtype=None), b"abcd"),
        raw(header(shape=[5]), b"abcd"),
        raw(header(shape=[-4]), b"abcd"),
        raw(header(shape=[True, 4]), b"abcd"),
        raw(header(shape=[1] * 5), b"abcd"),
        raw(header(shape="4"), b"abcd"),
        raw(header(data_offsets=[4, 0]), b"abcd"),
        raw(header(data_offsets=[1, 4]), b"abcd"),
        raw(header(data_offsets=[0, 2**60]), b"abcd"),
        raw(header(data_offsets=[0, 4, 8]), b"abcd"),
        raw({**header(), "b": {"dtype": "U8", "shape": [4], "data_offsets": [0, 4]}}, b"abcd"),
        raw({**header(), "b": 3}, b"abcd"),
    ],
)
def test_anything_malformed_is_refused(buffer: bytes) -> None:
    with pytest.raises(FrameError):
        decode(buffer)


def test_a_tensor_must_have_the_bytes_of_its_shape() -> None:
    with pytest.raises(FrameError):
        Tensor((2, 2), b"abc")

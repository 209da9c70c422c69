"""Headers: what is read from a whole file, and what each kind of broken one is told."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from bridge.errors import BridgeError, Code
from bridge.models.weights import (
    MAX_HEADER_BYTES,
    ReadHeader,
    TensorInfo,
    glance,
    read_header,
)


def test_a_header_tells_names_shapes_formats_and_metadata(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    save_file({"x": torch.zeros(2, 3, dtype=torch.float16)}, path, {"title": "A boat"})
    header = read_header(path)
    assert header.tensors == {"x": TensorInfo("F16", (2, 3))}
    assert header.metadata == {"title": "A boat"}


def test_a_header_as_long_as_a_pickles_first_bytes_is_no_pickle(tmp_path: Path) -> None:
    """A header of 0x280 bytes starts with the bytes 80 02, as a pickle of protocol 2 does."""
    path = tmp_path / "a.safetensors"
    for padding in range(0x280):
        save_file({"x": torch.zeros(1)}, path, {"note": "y" * padding})
        if path.read_bytes()[:2] == b"\x80\x02":
            break
    assert path.read_bytes()[:2] == b"\x80\x02"
    assert set(read_header(path).tensors) == {"x"}


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "is empty"),
        (b"\x08", "not a safetensors file"),
        (b"<!DOCTYPE html><html><body>Not found</body></html>", "is a web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "git's pointer"),
        (b"GGUF\x03\x00\x00\x00" + b"\0" * 60, "not a safetensors file"),
        ((5000).to_bytes(8, "little") + b'{"x":' + b" " * 60, "ends within its header"),
        ((2).to_bytes(8, "little") + b"{}", "holds no weights"),
        ((8).to_bytes(8, "little") + b'{"x": 1}', "is damaged"),
        ((2**63).to_bytes(8, "little") + b"{}" + b"\0" * 60, "not a safetensors file"),
    ],
)
def test_what_is_no_weights_file_is_said_plainly(tmp_path: Path, data: bytes, words: str) -> None:
    path = tmp_path / "a.safetensors"
    path.write_bytes(data)
    with pytest.raises(BridgeError, match=words) as caught:
        read_header(path)
    assert caught.value.code is Code.MODEL_CORRUPT
    assert str(path) in caught.value.message
    assert caught.value.hint


@pytest.mark.parametrize("read", [glance, read_header])
def test_a_header_longer_than_the_format_allows_is_not_read(
    tmp_path: Path, read: ReadHeader
) -> None:
    """All of the file is there: only its length tells."""
    path = tmp_path / "a.safetensors"
    entry = b'{"x":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}}'.ljust(200)

    def write(length: int) -> None:
        path.write_bytes(length.to_bytes(8, "little") + entry)
        os.truncate(path, 8 + length)  # what is not written takes no room on the disk

    write(len(entry))
    assert set(read(path).tensors) == {"x"}
    write(MAX_HEADER_BYTES + 1)
    with pytest.raises(BridgeError, match="not a safetensors file") as caught:
        read(path)
    assert caught.value.code is Code.MODEL_CORRUPT


def test_a_short_file_says_how_much_of_it_is_there(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    save_file({"x": torch.zeros(1000)}, path)
    whole = path.read_bytes()
    path.write_bytes(whole[:-1])
    for read in (glance, read_header):
        with pytest.raises(BridgeError, match=f"it has {len(whole) - 1} of {len(whole)} bytes"):
            read(path)


@pytest.mark.parametrize("name", ["none.safetensors", "file/below.safetensors"])
def test_a_file_that_is_not_there_is_missing(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").write_bytes(b"x")
    with pytest.raises(BridgeError) as caught:
        read_header(tmp_path / name)
    assert caught.value.code is Code.MODEL_MISSING

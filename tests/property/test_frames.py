"""Our frames and the safetensors package read each other, and damage is always noticed."""

from __future__ import annotations

import contextlib
import struct
import tempfile
from pathlib import Path

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.numpy import save

from krita_plugin.krita_bridge.wire.frames import Frame, FrameError, Tensor, decode, join

shapes = st.lists(st.integers(0, 5), min_size=0, max_size=4).map(tuple)
names = st.text(min_size=1, max_size=8).filter(
    lambda n: n != "__metadata__" and n.encode("utf-8", "ignore").decode() == n
)
texts = st.text().filter(lambda t: t.encode("utf-8", "ignore").decode() == t)


@st.composite
def arrays(draw: st.DrawFn) -> dict[str, np.ndarray]:
    seed = draw(st.integers(0, 2**32 - 1))
    rng = np.random.default_rng(seed)
    wanted = draw(st.dictionaries(names, shapes, max_size=4))
    return {n: rng.integers(0, 256, s, dtype=np.uint8) for n, s in wanted.items()}


def as_frame(message: str, content: dict[str, np.ndarray]) -> Frame:
    return Frame(message, {n: Tensor(a.shape, a.tobytes()) for n, a in content.items()})


def as_arrays(frame: Frame) -> dict[str, np.ndarray]:
    return {n: np.frombuffer(t.data, np.uint8).reshape(t.shape) for n, t in frame.tensors.items()}


def same(left: dict[str, np.ndarray], right: dict[str, np.ndarray]) -> bool:
    return left.keys() == right.keys() and all(np.array_equal(left[n], right[n]) for n in left)


@given(texts, arrays())
def test_the_safetensors_package_reads_what_we_write(
    message: str, content: dict[str, np.ndarray]
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "frame.safetensors"
        path.write_bytes(join(as_frame(message, content)))
        with safe_open(path, "np") as file:
            assert file.metadata() == {"message": message}
            assert same({n: file.get_tensor(n) for n in file.keys()}, content)  # noqa: SIM118


@given(texts, arrays())
def test_we_read_what_the_safetensors_package_writes(
    message: str, content: dict[str, np.ndarray]
) -> None:
    frame = decode(save(content, {"message": message}))
    assert frame.message == message
    assert same(as_arrays(frame), content)


@given(arrays(), st.data())
def test_a_truncated_frame_is_never_taken_for_a_whole_one(
    content: dict[str, np.ndarray], data: st.DataObject
) -> None:
    whole = join(as_frame("m", content))
    cut = data.draw(st.integers(0, len(whole) - 1))
    try:
        decode(whole[:cut])
    except FrameError:
        return
    raise AssertionError(f"{cut} of {len(whole)} bytes were taken for a frame")


@given(st.binary(max_size=300), st.booleans())
def test_any_bytes_give_a_frame_or_a_frame_error(noise: bytes, framed: bool) -> None:
    buffer = struct.pack("<Q", len(noise)) + noise if framed else noise
    with contextlib.suppress(FrameError):
        decode(buffer)

"""Frames over a real pipe."""

from __future__ import annotations

import io
import os
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.jobs.pipes import (
    LENGTH_BYTES,
    PipeError,
    length_prefix,
    read_frame,
    read_length,
    write_frame,
)
from krita_plugin.krita_bridge.wire.limits import MAX_FRAME_BYTES


def test_frames_larger_than_the_pipe_arrive_whole_and_in_order() -> None:
    reading, writing = os.pipe()
    sent = [os.urandom(size) for size in (0, 1, 70_000, 3_000_000)]
    source, sink = os.fdopen(reading, "rb", buffering=0), os.fdopen(writing, "wb", buffering=0)
    with source, sink:

        def write() -> None:
            for data in sent:
                write_frame(sink, [data[:10], memoryview(data)[10:]])

        writer = threading.Thread(target=write)
        writer.start()
        got = [read_frame(source) for _ in sent]
        writer.join()
    assert got == sent


@settings(deadline=None)
@given(st.binary(max_size=50), st.data())
def test_a_pipe_that_ends_early_gives_none(content: bytes, data: st.DataObject) -> None:
    whole = length_prefix([content]) + content
    cut = whole[: data.draw(st.integers(0, len(whole) - 1))]
    assert read_frame(io.BytesIO(cut)) is None
    assert read_frame(io.BytesIO(whole)) == content


def test_an_absurd_length_is_refused_before_memory_is_taken() -> None:
    with pytest.raises(PipeError):
        read_length((MAX_FRAME_BYTES + 1).to_bytes(LENGTH_BYTES, "little"))

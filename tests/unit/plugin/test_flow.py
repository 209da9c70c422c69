from __future__ import annotations

import contextlib
import socket
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.frames import Frame, Opcode

from krita_plugin.krita_bridge import flow
from krita_plugin.krita_bridge.flow import Inbox, PatientReader, Writer
from tests.bridge_process import PATIENCE


@given(st.lists(st.binary(max_size=40), max_size=30), st.lists(st.integers(0, 60), max_size=6))
def test_a_patient_reader_reads_the_same_bytes(pieces: list[bytes], lengths: list[int]) -> None:
    """`LARGE` is small here, so that both ways of reading take turns."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(flow, "LARGE", 20)
        reader, whole, read = PatientReader(), b"".join(pieces), b""
        waiting = iter(pieces)
        for length in lengths:
            steps = reader.read_exact(length)
            while True:
                try:
                    next(steps)
                except StopIteration as done:
                    read += bytes(done.value)
                    break
                except EOFError:
                    assert len(read) + length > len(whole)
                    return
                piece = next(waiting, None)
                reader.feed_eof() if piece is None else reader.feed_data(piece)
        assert read == whole[: sum(lengths)]


def test_messages_come_out_in_order_and_fragments_as_one() -> None:
    inbox = Inbox()
    inbox.put(Frame(Opcode.TEXT, "grün".encode()))
    inbox.put(Frame(Opcode.BINARY, b"ab", fin=False))
    inbox.put(Frame(Opcode.CONT, b"cd", fin=False))
    inbox.put(Frame(Opcode.CONT, b"", fin=True))
    inbox.put(Frame(Opcode.TEXT, b"\xff"))
    assert inbox.get(0) == "grün"
    assert inbox.get(0) == b"abcd"
    assert inbox.get(0) == "\ufffd"
    with pytest.raises(TimeoutError):
        inbox.get(0)


def test_what_came_before_the_end_is_still_handed_out() -> None:
    inbox = Inbox()
    inbox.put(Frame(Opcode.TEXT, b"the reason"))
    inbox.close()
    assert inbox.get(0) == "the reason"
    with pytest.raises(EOFError):
        inbox.get(None)


def test_a_reader_that_waits_for_room_is_woken_by_the_end() -> None:
    inbox = Inbox()
    for _ in range(flow.UNREAD):
        inbox.put(Frame(Opcode.TEXT, b"x"))
    ended: list[type[BaseException]] = []

    def put_one_more() -> None:
        try:
            inbox.put(Frame(Opcode.TEXT, b"x"))
        except EOFError:
            ended.append(EOFError)

    thread = threading.Thread(target=put_one_more)
    thread.start()
    inbox.close()
    thread.join(PATIENCE)
    assert ended == [EOFError]


def test_a_writer_keeps_order_and_makes_senders_wait_for_room() -> None:
    near, far = socket.socketpair()
    writer = Writer(near)
    pieces = [bytes([number]) * 300_000 for number in range(20)]
    for piece in pieces:
        writer.put(piece)
    assert writer._bytes > flow.HIGH_WATER
    waiting = threading.Thread(target=writer.wait_for_room)
    waiting.start()
    received = b""
    while len(received) < 20 * 300_000:
        received += far.recv(1 << 20)
    waiting.join(PATIENCE)
    assert not waiting.is_alive()
    assert received == b"".join(pieces)
    writer.put(b"")
    assert far.recv(1) == b""


def test_a_writer_whose_socket_is_gone_lets_senders_go() -> None:
    near, far = socket.socketpair()
    writer = Writer(near)
    writer.put(bytes(8 << 20))
    far.close()
    writer.wait_for_room()
    # A reset is heard when the other end had something unread and the writer has not heard of it yet.
    with contextlib.suppress(ConnectionResetError):
        assert near.recv(1) == b""

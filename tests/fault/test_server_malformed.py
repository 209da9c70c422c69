"""Whatever arrives is answered by a documented message; nothing crashes, nothing hangs."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator

import pytest
from aiohttp import WSMessage, WSMsgType
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.errors import BridgeError, Code
from bridge.server.session import Incoming, read
from krita_plugin.krita_bridge.wire import frames, messages
from krita_plugin.krita_bridge.wire.frames import Frame, Tensor
from krita_plugin.krita_bridge.wire.messages import Accepted, Ended, Fault, Result
from krita_plugin.krita_bridge.wire.runfile import RunFile
from tests.bridge_process import bridge_process, client, submit

IMAGE = ("image", Tensor((8, 16, 4), bytes(8 * 16 * 4)))
VALID = frames.join(Frame(messages.dumps(submit("job")), dict([IMAGE])))
FIELDS = json.loads(messages.dumps(submit("job")))

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=8,
)
HOSTILE = (
    st.sampled_from(
        [0, -1, 2**31, 2**63, 1e400, float("nan"), True, None, "", "../x", "CON", "\ud800", [], {}]
    )
    | JSON
)


@st.composite
def mutated_fields(draw: st.DrawFn) -> str:
    """A valid Submit with one field, at any depth, replaced, removed or added."""
    fields = json.loads(json.dumps(FIELDS))
    place = fields
    for _ in range(draw(st.integers(0, 1))):
        inner = [value for value in place.values() if isinstance(value, dict)]
        place = draw(st.sampled_from(inner)) if inner else place
    key = draw(st.sampled_from(sorted(place)) | st.text(max_size=8))
    if draw(st.booleans()) or key not in place:
        place[key] = draw(HOSTILE)
    else:
        del place[key]
    return json.dumps(fields)


@st.composite
def mutated_frame(draw: st.DrawFn) -> bytes:
    """A valid frame with bytes changed, cut off or put in."""
    data = bytearray(VALID)
    for _ in range(draw(st.integers(1, 4))):
        where = draw(st.integers(0, len(data) - 1)) if data else 0
        how = draw(st.sampled_from(["flip", "cut", "insert"]))
        if how == "flip" and data:
            data[where] ^= draw(st.integers(1, 255))
        elif how == "cut":
            del data[where : where + draw(st.integers(1, 600))]
        else:
            data[where:where] = draw(st.binary(max_size=20))
    return bytes(data)


ANYTHING = (
    st.binary(max_size=200)
    | st.text(max_size=200)
    | mutated_frame()
    | mutated_fields()
    | JSON.map(json.dumps)
    | mutated_fields().map(lambda text: frames.join(Frame(text, dict([IMAGE]))))
)


@settings(max_examples=500, deadline=None)
@given(ANYTHING)
def test_reading_gives_a_checked_message_or_one_sentence(data: str | bytes) -> None:
    kind = WSMsgType.TEXT if isinstance(data, str) else WSMsgType.BINARY
    try:
        incoming = read(WSMessage(kind, data, None))
    except BridgeError as error:
        assert error.code is Code.BAD_MESSAGE
        assert error.message and "\n" not in error.message
        assert len(error.message) < 500
    else:
        assert isinstance(incoming, Incoming)
        for name, tensor in incoming.frame.tensors.items():
            assert isinstance(incoming.message, messages.Submit)
            bounds = incoming.message.bounds
            assert tensor.shape[:2] == (bounds.height, bounds.width), name


@pytest.fixture(scope="module")
def bridge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunFile]:
    """One for all examples."""
    with bridge_process(tmp_path_factory.mktemp("home")) as process:
        yield process.wait_until_listening()


def encodable(data: str | bytes) -> bool:
    """A websocket cannot carry lone surrogates as text."""
    return isinstance(data, bytes) or data.isascii() or "\ud800" not in data


@settings(max_examples=25, deadline=None)
@given(st.lists(ANYTHING, min_size=1, max_size=12))
def test_a_connection_survives_every_malformed_message(
    bridge: RunFile, batch: list[str | bytes]
) -> None:
    async def run() -> None:
        async with client(bridge, "fuzzer") as fuzzer:
            for data in filter(encodable, batch):
                await fuzzer.socket.send(data)
            for message in await fuzzer.sync():
                if isinstance(message, Fault):
                    assert message.code in {code.value for code in Code}
                    assert message.code != Code.INTERNAL.value, message

    asyncio.run(run())


async def test_after_all_that_jobs_still_run(bridge: RunFile) -> None:
    async with client(bridge, "painter") as painter:
        await painter.send(submit("job"), IMAGE)
        message, _ = await painter.until(Result, Ended, Fault)
        assert isinstance(message, Result)
        await painter.send(submit("job-2"))
        assert isinstance((await painter.until(Accepted))[0], Accepted)

"""The pictures that come with a request's references are held against the protocol."""

from __future__ import annotations

from dataclasses import replace

import pytest
from aiohttp import WSMessage, WSMsgType

from bridge.errors import BridgeError, Code
from bridge.server.session import read
from bridge.worker import to_job
from krita_plugin.krita_bridge.wire import frames, limits, messages
from krita_plugin.krita_bridge.wire.frames import Frame, Tensor
from krita_plugin.krita_bridge.wire.reference import Reference
from tests.bridge_process import submit

MOST = limits.MAX_REFERENCE_SIDE


def tensor(*shape: int) -> Tensor:
    size = 1
    for side in shape:
        size *= side
    return Tensor(shape, bytes(size))


def frame(count: int, **tensors: Tensor) -> Frame:
    """A Submit of 3 x 2 px with `count` references."""
    message = submit("job", "a prompt", 3, 2)
    request = replace(message.request, references=(Reference(),) * count)
    named = {name.replace("_", "-"): each for name, each in tensors.items()}
    return Frame(messages.dumps(replace(message, request=request)), named)


def receive(sent: Frame) -> Frame:
    return read(WSMessage(WSMsgType.BINARY, frames.join(sent), None)).frame


def test_references_have_sizes_of_their_own() -> None:
    sent = frame(2, reference_0=tensor(MOST, 1, 4), reference_1=tensor(1, MOST, 4))
    job = to_job(messages.loads(sent.message), receive(sent))  # type: ignore[arg-type]
    assert [each.shape for each in job.snapshot.references] == [(MOST, 1, 4), (1, MOST, 4)]


def test_references_are_bgra() -> None:
    sent = frame(1, reference_0=Tensor((1, 2, 4), bytes(range(8))))
    job = to_job(messages.loads(sent.message), receive(sent))  # type: ignore[arg-type]
    assert job.snapshot.references[0].tolist() == [[[2, 1, 0, 3], [6, 5, 4, 7]]]


@pytest.mark.parametrize(
    ("sent", "says"),
    [
        (frame(2, reference_0=tensor(2, 2, 4)), "Reference 1 came without its picture"),
        (frame(1, reference_0=tensor(MOST + 1, 1, 4)), f"it must be 1 to {MOST} px a side"),
        (frame(1, reference_0=tensor(0, 2, 4)), f"it must be 1 to {MOST} px a side"),
        (frame(1, reference_0=tensor(2, 2, 3)), "has the shape"),
        (frame(1, reference_0=tensor(4, 4)), "has the shape"),
        (frame(0, reference_0=tensor(2, 2, 4)), "does not come with pixels named 'reference-0'"),
    ],
    ids=["missing", "too large", "empty", "no alpha", "flat", "too many"],
)
def test_what_does_not_fit_is_refused_in_a_sentence(sent: Frame, says: str) -> None:
    with pytest.raises(BridgeError, match=says) as caught:
        receive(sent)
    assert caught.value.code is Code.BAD_MESSAGE

"""The bridge's copy of an area with controls and references: byte for byte what the client has."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.live.mirror import Drift, Mirror, tensor_shapes
from krita_plugin.krita_bridge.wire import frames, messages, tiles
from krita_plugin.krita_bridge.wire.control import Control, ControlKind, ControlSource
from krita_plugin.krita_bridge.wire.frames import Tensor
from krita_plugin.krita_bridge.wire.geometry import Bounds, Extent
from krita_plugin.krita_bridge.wire.messages import LiveUpdate, MessageError, PaintRequest, Submit
from krita_plugin.krita_bridge.wire.reference import Reference

CANVAS, AREA = Extent(200, 170), Bounds(10, 5, 130, 129)
FROM_CANVAS = Control(ControlKind.DEPTH)
DRAWN = Control(ControlKind.SCRIBBLE, ControlSource.MAP)
PLANES = ("image", "mask", "control-1", "control-2")
REQUEST = PaintRequest("a", controls=(FROM_CANVAS, DRAWN, DRAWN), references=(Reference(),) * 2)


@dataclass
class Client:
    """Sends what has changed of its planes since the last update, and references that are new."""

    planes: dict[str, np.ndarray] = field(default_factory=dict)
    references: list[bytes] = field(default_factory=lambda: [b"\x01" * 48, b"\x02" * 48])
    revision: int = 0
    sent: dict[str, np.ndarray] = field(default_factory=dict)
    known: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name in PLANES:
            shape = (AREA.height, AREA.width, 1 if name == "mask" else 4)
            self.planes[name] = np.zeros(shape, np.uint8)

    def update(self) -> tuple[LiveUpdate, dict[str, Tensor]]:
        changed = {name: self._changed(name) for name in PLANES}
        digests = tuple(tiles.picture_digest(4, 3, data) for data in self.references)
        update = LiveUpdate(
            "live", self.revision + 1, self.revision, REQUEST, CANVAS, AREA, True, True,
            changed["image"], changed["mask"], tiles.digest_of(*map(self._hashes, PLANES)),
            (changed["control-1"], changed["control-2"]), digests,
        )  # fmt: skip
        tensors = {
            name: Tensor(shape, b"".join(self._cut(self.planes, name, n) for n in changed[name]))
            for name, shape in tensor_shapes(update).items()
        }
        for index, (digest, data) in enumerate(zip(digests, self.references, strict=True)):
            if digest not in self.known:
                tensors[f"reference-{index}"] = Tensor((3, 4, 4), data)
        self.revision += 1
        self.known = digests
        self.sent = {name: plane.copy() for name, plane in self.planes.items()}
        return update, tensors

    def _changed(self, name: str) -> tuple[int, ...]:
        numbers = range(tiles.count(AREA))
        return tuple(
            n
            for n in numbers
            if not self.sent or self._cut(self.planes, name, n) != self._cut(self.sent, name, n)
        )

    def _hashes(self, name: str) -> tiles.TileHashes:
        hashes = tiles.TileHashes(AREA)
        for number in range(tiles.count(AREA)):
            hashes.set(number, self._cut(self.planes, name, number))
        return hashes

    @staticmethod
    def _cut(planes: Mapping[str, np.ndarray], name: str, number: int) -> bytes:
        tile = tiles.tile(AREA, number).relative_to(AREA)
        return planes[name][tile.y : tile.bottom, tile.x : tile.right].tobytes()


def held(mirror: Mirror) -> dict[str, bytes]:
    """What the worker would be given."""
    frame = frames.decode(b"".join(mirror.order("live-1", mirror.latest.request)))
    submit = messages.loads(frame.message)
    assert isinstance(submit, Submit) and submit.request == REQUEST
    return {name: bytes(tensor.data) for name, tensor in frame.tensors.items()}


def expected(client: Client) -> dict[str, bytes]:
    planes = {name: plane.tobytes() for name, plane in client.planes.items()}
    return {**planes, **{f"reference-{n}": data for n, data in enumerate(client.references)}}


EDITS = st.tuples(
    st.sampled_from((*PLANES, "reference")),
    st.integers(0, AREA.width - 1),
    st.integers(0, AREA.height - 1),
    st.integers(0, 255),
)


@given(st.lists(st.lists(EDITS, max_size=4), min_size=1, max_size=5))
def test_whatever_is_edited_the_copy_is_what_the_client_has(
    rounds: Sequence[Sequence[tuple[str, int, int, int]]],
) -> None:
    client, mirror = Client(), Mirror()
    for edits in rounds:
        for name, x, y, value in edits:
            if name == "reference":
                client.references[x % 2] = bytes([value]) * 48
            else:
                client.planes[name][y, x, 0] = value
        mirror.take(*client.update())
        assert held(mirror) == expected(client)


def test_a_stroke_on_a_control_layer_costs_the_tiles_that_it_crosses() -> None:
    client, mirror = Client(), Mirror()
    mirror.take(*client.update())
    client.planes["control-2"][70, 3:100] = 255
    update, tensors = client.update()
    assert update.control_tiles == ((), (3, 4)) and set(tensors) == {"control-2"}
    assert len(tensors["control-2"].data) == 2 * 64 * 64 * 4


def test_a_reference_travels_once() -> None:
    client = Client()
    _, first = client.update()
    assert {"reference-0", "reference-1"} <= set(first)
    _, second = client.update()
    assert not second
    client.references.reverse()
    _, third = client.update()
    assert not third


@pytest.mark.parametrize("wrong", ["missing", "other bytes"])
def test_a_reference_that_is_not_what_was_said_asks_for_everything(wrong: str) -> None:
    client, mirror = Client(), Mirror()
    mirror.take(*client.update())
    client.references[1] = b"\x03" * 48
    update, tensors = client.update()
    if wrong == "missing":
        del tensors["reference-1"]
    else:
        tensors["reference-1"] = Tensor((3, 4, 4), b"\x04" * 48)
    with pytest.raises(Drift):
        mirror.take(update, tensors)


def test_a_reference_that_was_left_out_meanwhile_is_not_kept() -> None:
    client, mirror = Client(), Mirror()
    mirror.take(*client.update())
    before, client.references = client.references, [b"\x05" * 48] * 2
    mirror.take(*client.update())
    client.references = before
    update, tensors = client.update()
    with pytest.raises(Drift):
        mirror.take(update, {n: t for n, t in tensors.items() if n != "reference-0"})


def test_a_picture_of_the_same_bytes_and_another_shape_is_another_reference() -> None:
    assert tiles.picture_digest(4, 3, bytes(48)) != tiles.picture_digest(3, 4, bytes(48))


@pytest.mark.parametrize(
    "changes",
    [
        {"control_tiles": ((),)},
        {"control_tiles": ((), (9,))},
        {"control_tiles": ((), (1, 0))},
        {"reference_digests": ("a",)},
        {"reference_digests": ("a", "b", "c")},
    ],
)
def test_an_update_whose_controls_or_references_do_not_fit_is_refused(
    changes: dict[str, object],
) -> None:
    update, _ = Client().update()
    with pytest.raises(MessageError, match=r"\.$"):
        LiveUpdate(**{**vars(update), **changes})


def test_a_control_that_is_added_needs_everything_anew() -> None:
    client, mirror = Client(), Mirror()
    update, tensors = client.update()
    fewer = LiveUpdate(
        **{
            **vars(update),
            "request": PaintRequest("a", references=REQUEST.references),
            "control_tiles": (),
            "digest": tiles.digest_of(*map(client._hashes, PLANES[:2])),
        }
    )
    mirror.take(fewer, {n: t for n, t in tensors.items() if not n.startswith("control")})
    with pytest.raises(Drift):
        mirror.take(*client.update())

"""References travel unchanged; what cannot be meant is refused in a sentence."""

from __future__ import annotations

import pytest

from krita_plugin.krita_bridge.wire import limits
from krita_plugin.krita_bridge.wire import messages as m
from krita_plugin.krita_bridge.wire.frames import Frame, Tensor, decode, join
from krita_plugin.krita_bridge.wire.reference import Reference, ReferenceMode, reference_tensor


@pytest.mark.parametrize("mode", ReferenceMode)
def test_every_reference_travels(mode: ReferenceMode) -> None:
    request = m.PaintRequest("a", references=(Reference(1.25, mode, 0.25, 0.75), Reference()))
    assert m.from_fields(m.PaintRequest, m.to_fields(request)) == request


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"weight": 2.01}, "weight of a reference must be between 0 and 2"),
        ({"weight": -0.1}, "weight of a reference must be between 0 and 2"),
        ({"end": 1.1}, "end of a reference must be between 0 and 1"),
        ({"start": 0.6, "end": 0.5}, "must not start after its end"),
        ({"weight": "much"}, "'weight' must be a number"),
        ({"mode": "smell"}, "'mode' has an unknown value"),
        ({"strength": 1.0}, "has no field 'strength'"),
    ],
)
def test_what_cannot_be_meant_is_refused(fields: dict[str, object], says: str) -> None:
    with pytest.raises(m.MessageError, match=says):
        m.from_fields(m.PaintRequest, {"prompt": "a", "references": [fields]})


def test_there_is_an_end_to_references() -> None:
    most = (Reference(),) * limits.MAX_REFERENCES
    m.PaintRequest("a", references=most)
    with pytest.raises(m.MessageError, match="more than 4 references: use fewer"):
        m.PaintRequest("a", references=(*most, Reference()))


def test_the_largest_area_leaves_room_for_the_largest_references() -> None:
    pixels, side = limits.MAX_PIXELS * 5, limits.MAX_REFERENCE_SIDE
    assert pixels + limits.MAX_REFERENCES * side * side * 4 <= limits.MAX_FRAME_BYTES
    tensors = {reference_tensor(0): Tensor((1, 2, 4), bytes(8))}
    assert decode(join(Frame("{}", tensors))).tensors.keys() == {"reference-0"}

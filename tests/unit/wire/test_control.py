"""Controls travel unchanged; what cannot be meant is refused in a sentence."""

from __future__ import annotations

import pytest

from krita_plugin.krita_bridge.wire import limits
from krita_plugin.krita_bridge.wire import messages as m
from krita_plugin.krita_bridge.wire.control import Control, ControlKind, ControlSource
from krita_plugin.krita_bridge.wire.geometry import Bounds, Extent


@pytest.mark.parametrize("kind", ControlKind)
@pytest.mark.parametrize("source", ControlSource)
def test_every_control_travels(kind: ControlKind, source: ControlSource) -> None:
    control = Control(kind, source, 1.5, 0.25, 0.75, keep=True)
    request = m.PaintRequest("a", controls=(control, Control(kind)))
    assert m.from_fields(m.PaintRequest, m.to_fields(request)) == request


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"strength": 2.01}, "strength of a control must be between 0 and 2"),
        ({"strength": -0.1}, "strength of a control must be between 0 and 2"),
        ({"start": -0.1}, "start of a control must be between 0 and 1"),
        ({"end": 1.1}, "end of a control must be between 0 and 1"),
        ({"start": 0.6, "end": 0.5}, "must not start after its end"),
        ({"kind": "smell"}, "'kind' has an unknown value"),
        ({"source": "thin air"}, "'source' has an unknown value"),
        ({"keep": 1}, "'keep' must be of type bool"),
        ({"weight": 1}, "has no field 'weight'"),
    ],
)
def test_what_cannot_be_meant_is_refused(fields: dict[str, object], says: str) -> None:
    given = {"prompt": "a", "controls": [{"kind": "depth", **fields}]}
    with pytest.raises(m.MessageError, match=says):
        m.from_fields(m.PaintRequest, given)


def test_there_is_an_end_to_controls() -> None:
    most = tuple(Control(ControlKind.DEPTH) for _ in range(limits.MAX_CONTROLS))
    m.PaintRequest("a", controls=most)
    with pytest.raises(m.MessageError, match="use fewer"):
        m.PaintRequest("a", controls=(*most, most[0]))


@pytest.mark.parametrize(
    "control",
    [Control(ControlKind.DEPTH, ControlSource.MAP), Control(ControlKind.DEPTH, keep=True)],
    ids=["brought", "kept"],
)
def test_an_area_too_large_for_its_control_pictures_is_refused(control: Control) -> None:
    canvas = Extent(8192, 8192)
    m.Submit("j", m.PaintRequest("a"), canvas, Bounds.of_canvas(canvas))
    request = m.PaintRequest("a", controls=(control,))
    with pytest.raises(m.MessageError, match="too large for 1 control pictures"):
        m.Submit("j", request, canvas, Bounds.of_canvas(canvas))
    m.Submit("j", request, canvas, Bounds(0, 0, 8192, 4096))

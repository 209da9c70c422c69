"""Messages travel unchanged, and nothing else is taken for one."""

from __future__ import annotations

import json

import pytest

from krita_plugin.krita_bridge.wire import limits
from krita_plugin.krita_bridge.wire import messages as m
from krita_plugin.krita_bridge.wire.control import Control, ControlKind, ControlSource
from krita_plugin.krita_bridge.wire.geometry import Bounds, Extent
from krita_plugin.krita_bridge.wire.modes import Blend, Mode

FACTS = m.ResultFacts("a", "", "p", 1, 1.0, 20, 20, 7.5, "ddim", "model", "ab", 128, 128, 1.5, "1")
STATUS = m.EngineStatus(m.EngineState.LOADING, "Loading...", "embedded", "CPU", 0.5)
PRESET = m.PresetInfo("embedded", "Embedded", "embedded", 128, 20, 5.0, "ddim")
AREA = Bounds(0, 0, 64, 32)

EVERY_MESSAGE = [
    m.Hello(1, "krita", "abc"),
    m.Submit("j1", m.PaintRequest("a boat", mode=Mode.ADD), Extent(64, 64), AREA, "note", False),
    m.Cancel("j1"),
    m.Acknowledge("j1"),
    m.Resume(("j1", "j2")),
    m.LiveUpdate(
        "l1", 3, 2, m.PaintRequest("a"), Extent(64, 64), AREA, True, False, (0,), (), "ab"
    ),
    m.LiveStop("l1"),
    m.Welcome(1, "0.1", (PRESET,), "embedded", STATUS, ("j0",)),
    STATUS,
    m.Accepted("j1", 2),
    m.Progress("j1", 3, 20, None),
    m.Preview("j1", 3, AREA),
    m.Result("j1", AREA, Extent(64, 64), FACTS, "note"),
    m.Ended("j1", m.JobState.FAILED, "internal", "It broke.", "Try again."),
    m.Unknown("j1"),
    m.Fault("bad_message", "No."),
    m.LivePicture("l1", 3, AREA, Extent(64, 64), FACTS),
    m.LiveResync("l1", 3),
]


@pytest.mark.parametrize("message", EVERY_MESSAGE, ids=lambda x: type(x).__name__)
def test_every_message_comes_back_as_it_was(message: m.Message) -> None:
    assert m.loads(m.dumps(message)) == message


@pytest.mark.parametrize("mode", [None, *Mode])
def test_every_mode_travels(mode: Mode | None) -> None:
    request = m.PaintRequest("a", mode=mode)
    assert m.from_fields(m.PaintRequest, m.to_fields(request)) == request


@pytest.mark.parametrize("blend", Blend)
@pytest.mark.parametrize("matches", [True, False])
def test_edges_and_colours_travel(blend: Blend, matches: bool) -> None:
    request = m.PaintRequest("a", blend=blend, match_colors=matches)
    assert m.from_fields(m.PaintRequest, m.to_fields(request)) == request


def test_every_type_of_message_is_covered() -> None:
    assert {type(x) for x in EVERY_MESSAGE} == set(m._NAMES)


def submit(**changes: object) -> str:
    fields = json.loads(m.dumps(EVERY_MESSAGE[1]))
    fields.update(changes)
    return json.dumps(fields)


def request(**changes: object) -> str:
    fields = json.loads(m.dumps(EVERY_MESSAGE[1]))["request"]
    fields.update(changes)
    return submit(request=fields)


@pytest.mark.parametrize(
    "text",
    [
        "",
        request(mode="paint"),
        request(mode=1),
        request(blend="hard"),
        request(blend=None),
        request(match_colors=1),
        request(scale=0.2),
        request(scale=1.1),
        request(scale=0.5, upscale=2.0),
        request(detail=1.1),
        request(detail=-0.1),
        request(template="oil"),
        "null",
        "[]",
        "{}",
        '{"type": 3}',
        '{"type": "nothing"}',
        '{"type": "cancel"}',
        '{"type": "cancel", "job": 3}',
        '{"type": "cancel", "job": "../../etc/passwd"}',
        '{"type": "cancel", "job": ""}',
        '{"type": "cancel", "job": "%s"}' % ("x" * 65),
        '{"type": "cancel", "job": "j", "extra": 1}',
        "[" * 100_000,
        submit(bounds={"x": 0, "y": 0, "width": 0, "height": 5}),
        submit(bounds={"x": 0, "y": 0, "width": 65, "height": 5}),
        submit(bounds={"x": -1, "y": 0, "width": 5, "height": 5}),
        submit(bounds={"x": 0, "y": 0, "width": True, "height": 5}),
        submit(bounds={"x": 0, "y": 0, "width": 1e400, "height": 5}),
        submit(canvas={"width": 2**31, "height": 2**31}),
        request(strength=float("nan")),
        request(strength=float("inf")),
        request(strength=1.01),
        request(strength=True),
        request(strength="1"),
        request(seed=-1),
        request(seed=2**63),
        request(seed=1.0),
        request(steps=0),
        request(guidance=-1),
        request(prompt="\ud800"),
        request(prompt=None),
    ],
)
def test_anything_else_is_refused_with_a_sentence(text: str) -> None:
    with pytest.raises(m.MessageError, match=r"\.$"):
        m.loads(text)


def test_a_prompt_that_is_too_long_says_how_long_it_may_be() -> None:
    with pytest.raises(m.MessageError, match=r"prompt has 100,000 characters.*10,000"):
        m.PaintRequest("x" * 100_000)


@pytest.mark.parametrize("kind", ControlKind)
def test_what_is_worked_out_of_all_of_a_picture_is_not_worked_out_of_a_part(
    kind: ControlKind,
) -> None:
    part = m.UpscalePart(Bounds(0, 0, 9, 9), Bounds(0, 0, 9, 9))

    def of_part(source: ControlSource) -> m.PaintRequest:
        return m.PaintRequest("", upscale=2.0, part=part, controls=(Control(kind, source),))

    assert of_part(ControlSource.MAP).part == part
    for source in (ControlSource.CANVAS, ControlSource.PICTURE):
        if kind is ControlKind.TILE:
            assert of_part(source).part == part
        else:
            with pytest.raises(m.MessageError, match=f"another {kind.value} map"):
                of_part(source)


def test_an_area_that_is_too_large_says_what_to_do() -> None:
    side = 20_000
    canvas = Extent(side, side)
    with pytest.raises(m.MessageError, match="select a smaller part"):
        m.Submit("j", m.PaintRequest("x"), canvas, Bounds.of_canvas(canvas))
    assert side * side > limits.MAX_PIXELS

"""Layers and files that a job brings are read beside the canvas."""

from __future__ import annotations

from collections.abc import Generator, Iterable
from pathlib import Path

import pytest

from krita_plugin.krita_bridge.capture import CannotCapture, Plan, Snapshot
from krita_plugin.krita_bridge.conditions import ChosenControl, ChosenReference
from krita_plugin.krita_bridge.gather import capture_all
from krita_plugin.krita_bridge.link import Pixels
from krita_plugin.krita_bridge.wire.control import Control, ControlKind, ControlSource
from krita_plugin.krita_bridge.wire.geometry import Bounds, Extent
from krita_plugin.krita_bridge.wire.reference import Reference

AREA = Bounds(3, 5, 8, 6)
PLAN = Plan(Extent(32, 32), AREA, reads_image=False, reads_mask=False)
DEPTH = ChosenControl(Control(ControlKind.DEPTH))
SCRIBBLE = ChosenControl(Control(ControlKind.SCRIBBLE, ControlSource.PICTURE), "sketch")
POSE = ChosenControl(Control(ControlKind.POSE, ControlSource.MAP), "sketch")
ROW = AREA.width * 4


class Canvas:
    def is_idle(self) -> bool:
        return True

    def read_image(self, area: Bounds) -> bytes:
        return bytes([1]) * area.width * area.height * 4

    def read_mask(self, area: Bounds) -> bytes:
        return bytes([255]) * area.width * area.height


class Layer:
    """Every row says which it is. Busy when it is told to be; two rows may be read at a time."""

    strip_bytes = 2 * ROW

    def __init__(self, busy: Iterable[bool] = ()) -> None:
        self._busy = iter(busy)
        self.read_areas: list[Bounds] = []

    def is_idle(self) -> bool:
        return not next(self._busy, False)

    def read(self, area: Bounds) -> bytes:
        self.read_areas.append(area)
        return b"".join(bytes([y]) * area.width * 4 for y in range(area.y, area.bottom))

    def reduced(self) -> Generator[float, None, Pixels]:
        yield 0.0
        return Pixels((1, 1, 4), (b"lay\xff",))


class Sources:
    def __init__(self, **layers: Layer) -> None:
        self.layers = layers

    def layer(self, unique_id: str) -> Layer | None:
        return self.layers.get(unique_id)

    def file(self, path: Path) -> Generator[float, None, Pixels]:
        yield 0.0
        if path.name == "bad.png":
            raise CannotCapture("bad.png cannot be read.")
        return Pixels((1, 1, 4), (b"fil\xff",))


def run(
    sources: Sources,
    controls: Iterable[ChosenControl] = (),
    references: Iterable[ChosenReference] = (),
) -> Snapshot:
    task = capture_all(Canvas(), PLAN, tuple(controls), tuple(references), sources)
    while True:
        try:
            next(task)
        except StopIteration as end:
            found: Snapshot = end.value
            return found


def test_without_controls_only_the_plan_is_read() -> None:
    snapshot = run(Sources())
    assert snapshot == Snapshot(PLAN, None, None)


def test_a_control_from_the_canvas_needs_its_image() -> None:
    snapshot = run(Sources(), [DEPTH])
    assert snapshot.image is not None and snapshot.plan.reads_image
    assert snapshot.controls == {}


def test_a_layer_is_read_in_strips_of_the_jobs_bounds_and_once_for_two_controls() -> None:
    layer = Layer()
    snapshot = run(Sources(sketch=layer), [DEPTH, SCRIBBLE, POSE])
    assert list(snapshot.controls) == [1, 2]
    assert snapshot.controls[1] is snapshot.controls[2]
    rows = b"".join(bytes([y]) * ROW for y in range(AREA.y, AREA.bottom))
    assert b"".join(snapshot.controls[1]) == rows
    assert [area.height for area in layer.read_areas] == [2, 2, 2]
    assert all(area.x == AREA.x and area.width == AREA.width for area in layer.read_areas)


def test_a_stroke_on_the_way_begins_the_layer_again() -> None:
    layer = Layer(busy=[True, False, True])
    snapshot = run(Sources(sketch=layer), [SCRIBBLE])
    assert len(snapshot.controls[0]) == 3
    assert len(layer.read_areas) == 4


def test_references_come_from_layers_and_files_in_their_order() -> None:
    asked = [ChosenReference(Reference(), file="a.png"), ChosenReference(Reference(), layer="art")]
    snapshot = run(Sources(art=Layer()), references=asked)
    assert [bytes(each.strips[0])[:3] for each in snapshot.references] == [b"fil", b"lay"]


@pytest.mark.parametrize("chosen", [SCRIBBLE, POSE])
def test_a_layer_that_is_gone_is_one_sentence(chosen: ChosenControl) -> None:
    with pytest.raises(CannotCapture, match=r"^A layer .* is gone: .*\.$"):
        run(Sources(), [chosen])
    with pytest.raises(CannotCapture, match=r"^A layer .* is gone: .*\.$"):
        run(Sources(), references=[ChosenReference(Reference(), layer="art")])


def test_a_file_that_cannot_be_read_is_one_sentence() -> None:
    with pytest.raises(CannotCapture, match=r"bad\.png"):
        run(Sources(), references=[ChosenReference(Reference(), file="/x/bad.png")])

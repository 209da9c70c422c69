"""How the canvas is looked at: how much of it in one go, and how often."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from krita_plugin.krita_bridge.capture import Plan
from krita_plugin.krita_bridge.link import Pixels as Strips
from krita_plugin.krita_bridge.live.follow import (
    ACTIVE_SECONDS,
    CALM_SECONDS,
    QUICK_SECONDS,
    REST_PER_LOOK,
    Follow,
    Wanted,
)
from krita_plugin.krita_bridge.live.watch import Watch
from krita_plugin.krita_bridge.wire.geometry import Bounds, Extent
from krita_plugin.krita_bridge.wire.messages import ClientMessage, PaintRequest
from krita_plugin.krita_bridge.wire.tiles import TILE

AREA = Bounds(100, 50, 130, 3 * TILE + 10)
BANDS = 4
PLAN = Plan(Extent(1000, 800), AREA, reads_image=True, reads_mask=False)
STRIP_ROWS = 10
OTHER_WORK = 100.0


class Picture:
    """A canvas or a layer of one colour. Reading a piece of it takes `seconds` of its own clock."""

    strip_bytes = STRIP_ROWS * AREA.width * 4

    def __init__(self) -> None:
        self.level = 0
        self.seconds = 0.0
        self.now = 0.0
        self.pieces: list[Bounds] = []

    def is_idle(self) -> bool:
        return True

    def read(self, area: Bounds) -> bytes:
        self.now += self.seconds
        self.pieces.append(area)
        return bytes([self.level]) * (area.width * area.height * 4)

    read_image = read

    def read_mask(self, area: Bounds) -> bytes:
        raise AssertionError("nothing is selected")


class Studio:
    """Live painting of a canvas whose updates nobody answers."""

    def __init__(self) -> None:
        self.canvas = Picture()
        self.follow = Follow(self, lambda: self.canvas.now)

    def say(self, message: ClientMessage, tensors: Mapping[str, Strips]) -> bool:
        return True

    def look(self) -> float:
        """Returns the seconds until the next look. Between two turns Krita has much else to do."""
        looking = self.follow.look(self.canvas, Wanted("document", PLAN, PaintRequest("a lake")))
        while True:
            try:
                next(looking)
            except StopIteration as end:
                return float(end.value)
            self.canvas.now += OTHER_WORK


@pytest.fixture
def studio() -> Studio:
    found = Studio()
    found.look()
    return found


def rows(piece: Bounds) -> tuple[int, int]:
    return piece.y, piece.bottom


def test_the_canvas_is_read_a_band_a_turn_and_a_control_layer_in_strips() -> None:
    canvas, layer = Picture(), Picture()
    turns = sum(1 for _ in Watch(PLAN, ["control-0"]).look(canvas, {"control-0": layer}))
    for picture, most in ((canvas, TILE), (layer, STRIP_ROWS)):
        assert {(piece.x, piece.width) for piece in picture.pieces} == {(AREA.x, AREA.width)}
        assert max(piece.height for piece in picture.pieces) == most
        # Each row once, from the top, and nothing beside the area.
        begins, ends = zip(*map(rows, picture.pieces), strict=True)
        assert (begins[0], *ends) == (*begins, AREA.bottom)
    assert len(canvas.pieces) == BANDS
    assert turns >= len(canvas.pieces) + len(layer.pieces)


def test_it_is_looked_at_quickly_after_a_change_and_seldom_at_rest(studio: Studio) -> None:
    studio.canvas.level += 1
    assert studio.look() == QUICK_SECONDS
    studio.canvas.now += ACTIVE_SECONDS
    assert studio.look() == CALM_SECONDS


def test_of_the_time_of_krita_looking_takes_no_more_than_its_share(studio: Studio) -> None:
    studio.canvas.seconds = CALM_SECONDS
    worked = BANDS * studio.canvas.seconds
    assert studio.look() == pytest.approx(REST_PER_LOOK * worked)

"""Maps out of pictures, maps as they were drawn, and when controls and references are on."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
from numpy.typing import NDArray

from bridge.engine import control_maps
from bridge.engine.ade20k import PALETTE
from bridge.engine.control_drawing import segments
from bridge.engine.control_maps import BY_NETWORK, LINES, ControlMaps, Detector, drawn
from bridge.engine.heard import is_heard, is_on
from bridge.engine.types import ImageU8, Snapshot
from bridge.errors import BridgeError
from krita_plugin.krita_bridge.wire.control import (
    Control,
    ControlKind,
    ControlSource,
)
from krita_plugin.krita_bridge.wire.geometry import Bounds, Extent
from krita_plugin.krita_bridge.wire.reference import Reference

MOST = 1 << 20
SEGMENTATION = ControlKind.SEGMENTATION


def snapshot(image: ImageU8 | None, *controls: ImageU8) -> Snapshot:
    shape = (image if image is not None else controls[0]).shape
    extent = Extent(shape[1], shape[0])
    return Snapshot(extent, Bounds.of_canvas(extent), image, None, dict(enumerate(controls)))


def opaque(colours: NDArray[np.uint8]) -> ImageU8:
    return np.dstack([colours, np.full(colours.shape[:2], 255, np.uint8)])


def half(left: int, right: int, side: int = 64) -> ImageU8:
    colours = np.full((side, side, 3), left, np.uint8)
    colours[:, side // 2 :] = right
    return opaque(colours)


def no_network(_: ControlKind) -> Detector:
    raise AssertionError("not for this kind")


def made(control: Control, given: Snapshot, most: int = MOST) -> ImageU8:
    return ControlMaps().of(0, control, given, most, no_network)


@pytest.mark.parametrize("kind", list(LINES))
def test_lines_are_found_where_the_picture_changes_and_nowhere_else(kind: ControlKind) -> None:
    found = made(Control(kind), snapshot(half(40, 220)))
    assert found.shape == (64, 64, 4) and found[..., 3].min() == 255
    assert found[:, 26:38, 0].max() > 100
    assert not found[:, :8, 0].any()
    assert not found[:, -8:, 0].any()
    assert (found[..., 0] == found[..., 1]).all() and (found[..., 0] == found[..., 2]).all()


@pytest.mark.parametrize("kind", list(LINES))
@pytest.mark.parametrize("level", [0, 128, 255])
def test_a_blank_canvas_has_no_lines(kind: ControlKind, level: int) -> None:
    assert not made(Control(kind), snapshot(half(level, level)))[..., :3].any()


@pytest.mark.parametrize("kind", list(LINES))
@pytest.mark.parametrize("size", [(1, 1), (3, 200), (17, 1)])
def test_any_size_will_do(kind: ControlKind, size: tuple[int, int]) -> None:
    picture = np.random.default_rng(0).integers(0, 256, (*size, 4), np.uint8)
    assert made(Control(kind), snapshot(picture)).shape == (*size, 4)


def test_a_large_picture_is_worked_on_at_the_models_size() -> None:
    found = made(Control(ControlKind.CANNY), snapshot(half(40, 220, side=256)), most=64 * 64)
    assert found.shape == (256, 256, 4)
    # An edge one pixel wide of 64, enlarged by four.
    assert 4 <= np.count_nonzero(found[128, :, 0]) <= 12


def test_a_tile_is_the_picture_itself_on_paper() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (9, 7, 4), np.uint8)
    picture[0, 0, 3] = 0
    picture[1:, :, 3] = 255
    found = made(Control(ControlKind.TILE), snapshot(picture))
    assert found[0, 0].tolist() == [255, 255, 255, 255]
    assert (found[1:] == picture[1:]).all()


@pytest.mark.parametrize("kind", sorted(BY_NETWORK, key=str))
def test_what_a_network_draws_is_asked_for_once_for_a_picture_a_kind_and_a_network(
    kind: ControlKind,
) -> None:
    sizes: list[tuple[int, ...]] = []

    def draw(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
        sizes.append(picture.shape)
        return picture

    maps, asked = ControlMaps(), list[ControlKind]()
    for level, sha256 in ((1, "a"), (2, "a"), (1, "a"), (1, "b"), (2, "a")):

        def detector(kind: ControlKind, sha256: str = sha256) -> Detector:
            asked.append(kind)
            return Detector(draw, sha256)

        given = snapshot(half(level, level))
        found = maps.of(0, Control(kind), given, MOST, detector)
        assert found[..., :3].max() == level and found[..., 3].min() == 255
    assert sizes == [(64, 64, 3)] * 3
    assert set(asked) == {kind}
    other = next(iter(BY_NETWORK - {kind}))
    maps.of(0, Control(other), snapshot(half(1, 1)), MOST, lambda _: Detector(draw, "a"))
    assert len(sizes) == 4


def test_between_two_segments_no_third_appears() -> None:
    """Of a picture that is larger than the model likes, too: halfway between two colours lies another class."""

    def draw(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
        assert picture.shape == (32, 32, 3)
        return segments((picture[..., 0] > 128).astype(np.uint8) * 149)

    whole = snapshot(half(40, 220, side=256))
    found = ControlMaps().of(0, Control(SEGMENTATION), whole, 32 * 32, lambda _: Detector(draw, ""))
    assert (found[:, :128, :3] == PALETTE[0]).all() and (found[:, 128:, :3] == PALETTE[149]).all()


def test_without_a_picture_there_is_nothing_to_take_it_from() -> None:
    extent = Extent(8, 8)
    with pytest.raises(BridgeError, match="no picture that the canny could be taken from"):
        made(Control(ControlKind.CANNY), Snapshot(extent, Bounds.of_canvas(extent)))


@pytest.mark.parametrize("source", [ControlSource.MAP, ControlSource.PICTURE])
def test_a_picture_that_does_not_come_or_fit_is_one_sentence(source: ControlSource) -> None:
    with pytest.raises(BridgeError, match="canny control has no picture of 64 x 64 px"):
        made(Control(ControlKind.CANNY, source), snapshot(half(0, 255)))
    with pytest.raises(BridgeError, match="canny control has no picture of 64 x 64 px"):
        made(Control(ControlKind.CANNY, source), snapshot(half(0, 255), half(0, 255, side=32)))


def test_a_map_is_worked_out_once_for_the_same_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []

    def counting(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
        seen.append(int(picture[0, 0, 0]))
        return picture[..., 0]

    monkeypatch.setattr(control_maps, "LINES", {**LINES, ControlKind.CANNY: counting})
    maps = ControlMaps()
    for level in (1, 2, 1, 1, 2):
        given = snapshot(half(level, level))
        found = maps.of(0, Control(ControlKind.CANNY), given, MOST, no_network)
        assert int(found[0, 0, 0]) == level
    assert seen == [1, 2]


@pytest.mark.parametrize("kind", list(LINES))
def test_lines_may_be_drawn_in_either_way(kind: ControlKind) -> None:
    """White on black, black on white, black on nothing, white on nothing: the same strokes."""
    stroke = np.zeros((32, 32), bool)
    stroke[10:12, 4:28] = True
    expected = np.where(stroke[..., None], 255, 0) * np.ones(3, np.int64)
    for ink, ground in ((255, 0), (0, 255)):
        colours = np.where(stroke, ink, ground).astype(np.uint8)
        on_ground = opaque(np.repeat(colours[..., None], 3, axis=2))
        assert (drawn(kind, on_ground) == expected).all()
        on_nothing = np.zeros((32, 32, 4), np.uint8)
        on_nothing[stroke] = (ink, ink, ink, 255)
        assert (drawn(kind, on_nothing) == expected).all()
    assert not drawn(kind, np.zeros((32, 32, 4), np.uint8)).any()


@pytest.mark.parametrize(
    ("kind", "ground"),
    [
        (ControlKind.DEPTH, (0, 0, 0)),
        (ControlKind.POSE, (0, 0, 0)),
        (ControlKind.SEGMENTATION, (0, 0, 0)),
        (ControlKind.NORMAL, (128, 128, 255)),
        (ControlKind.TILE, (255, 255, 255)),
    ],
)
def test_other_maps_keep_their_colours_over_their_own_ground(
    kind: ControlKind, ground: tuple[int, int, int]
) -> None:
    image = np.zeros((2, 2, 4), np.uint8)
    image[0] = (200, 100, 50, 255)
    assert drawn(kind, image)[0, 0].tolist() == [200, 100, 50]
    assert drawn(kind, image)[1, 1].tolist() == list(ground)


@pytest.mark.parametrize("make", [partial(Control, ControlKind.DEPTH), Reference])
def test_steps_that_lie_within_its_range_hear_it(
    make: Callable[..., Control | Reference],
) -> None:
    def on(start: float, end: float) -> list[int]:
        asked = make(start=start, end=end)
        return [index for index in range(4) if is_on(asked, index, 4)]

    assert on(0, 1) == [0, 1, 2, 3]
    assert on(0, 0.5) == [0, 1]
    assert on(0.5, 1) == [2, 3]
    assert on(0.3, 0.9) == [2]
    assert on(0.5, 0.5) == []


def test_no_strength_and_an_empty_range_are_not_heard() -> None:
    assert is_heard(Control(ControlKind.DEPTH))
    assert not is_heard(Control(ControlKind.DEPTH, strength=0))
    assert not is_heard(Control(ControlKind.DEPTH, start=0.4, end=0.4))
    assert is_heard(Reference())
    assert not is_heard(Reference(0.0))
    assert not is_heard(Reference(start=0.4, end=0.4))

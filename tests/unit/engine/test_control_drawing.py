"""Normals, segments and skeletons against what is known of made-up depths, classes and joints."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from bridge.engine.ade20k import PALETTE
from bridge.engine.control_drawing import grey, normals, segments, skeletons

SIDE = 128
FACING_US = [128, 128, 255]
LEFT, UP = 0, 1

# The numbers of some of COCO's joints.
NOSE, LEFT_EYE, LEFT_SHOULDER, RIGHT_SHOULDER = 0, 1, 5, 6
LEFT_ELBOW, RIGHT_ELBOW, LEFT_WRIST, RIGHT_WRIST = 7, 8, 9, 10
LEFT_HIP, RIGHT_KNEE, RIGHT_ANKLE = 11, 14, 16


def test_depth_goes_from_black_to_white() -> None:
    assert grey(np.array([[0, 0.5, 1, 1.2]], np.float32)).tolist() == [
        [[0] * 3, [128] * 3, [255] * 3, [255] * 3]
    ]


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (2, 2), (40, 7)])
@pytest.mark.parametrize("level", [0.0, 0.5, 1.0])
def test_what_has_no_relief_faces_us(size: tuple[int, int], level: float) -> None:
    assert (normals(np.full(size, level, np.float32)) == FACING_US).all()


@pytest.mark.parametrize(
    ("turns", "channel", "towards"), [(0, LEFT, 1), (1, UP, -1), (2, LEFT, -1), (3, UP, 1)]
)
def test_a_slope_has_one_colour_to_its_border(turns: int, channel: int, towards: int) -> None:
    """What comes nearer to the right faces left, which is red; turned by quarters, up is green, right and down are without."""
    nearer = np.tile(np.linspace(0, 1, SIDE, dtype=np.float32), (SIDE, 1))
    found = normals(np.rot90(nearer, turns))
    slope = 0.5 * SIDE / (SIDE - 1)
    expected = [128, 128, round(127.5 + 127.5 / np.hypot(1, slope))]
    expected[channel] = round(127.5 + towards * 127.5 * slope / np.hypot(1, slope))
    assert np.abs(found.astype(int) - expected).max() <= 1
    assert (expected[channel] > 128) == (towards > 0)


def test_depth_that_was_enlarged_leaves_no_grain() -> None:
    """Steps of 4 px on the way to 512 are a slope."""
    steps = np.repeat(np.linspace(0, 1, SIDE, dtype=np.float32), 4)
    found = normals(np.tile(steps, (4 * SIDE, 1)))[:, 8:-8]
    assert np.ptp(found[..., LEFT].astype(int)) <= 4 and found[..., LEFT].min() > 180


def test_a_ball_that_fills_the_picture_has_the_normals_of_a_ball() -> None:
    across = (np.arange(SIDE) + 0.5) / (SIDE / 2) - 1
    x, y = np.meshgrid(across, across)
    out = np.hypot(x, y)
    depth = np.sqrt(np.maximum(0, 1 - out**2)).astype(np.float32)
    expected = np.dstack([-x, -y, depth]) * 127.5 + 127.5
    inside = out < 0.85
    assert np.abs(normals(depth)[inside] - expected[inside]).max() < 4
    left, up = SIDE // 5, SIDE // 2
    assert normals(depth)[up, left, LEFT] > 180 and normals(depth)[left, up, UP] > 180


def test_classes_have_the_colours_that_controlnets_know() -> None:
    assert PALETTE.shape == (150, 3)
    wall, sky, person, flag = 0, 2, 12, 149
    drawn = segments(np.array([[wall, sky], [person, flag]], np.uint8))
    assert drawn.tolist() == [[[120] * 3, [6, 230, 230]], [[150, 5, 61], [92, 0, 255]]]


def person(sure: float = 1.0) -> NDArray[np.float32]:
    """Nobody's joints: far from each other, in rows of five."""
    places = [(40 + 100 * (n % 5), 60 + 120 * (n // 5)) for n in range(17)]
    return np.array([(x, y, sure) for x, y in places], np.float32)


def at(canvas: NDArray[np.uint8], place: NDArray[np.floating]) -> list[int]:
    x, y = np.rint(place[:2]).astype(int)
    return [int(level) for level in canvas[y, x]]


def drawn(*people: NDArray[np.float32], side: int = 512) -> NDArray[np.uint8]:
    given = np.stack(people) if people else np.zeros((0, 17, 3), np.float32)
    return skeletons(given, side, side)


def test_joints_have_openposes_colours_and_a_neck_between_the_shoulders() -> None:
    someone = person()
    canvas = drawn(someone)
    for joint, colour in {
        NOSE: [255, 0, 0],
        RIGHT_SHOULDER: [255, 170, 0],
        RIGHT_ELBOW: [255, 255, 0],
        RIGHT_WRIST: [170, 255, 0],
        LEFT_SHOULDER: [85, 255, 0],
        LEFT_ELBOW: [0, 255, 0],
        LEFT_WRIST: [0, 255, 85],
        RIGHT_ANKLE: [0, 170, 255],
        LEFT_HIP: [0, 85, 255],
        LEFT_EYE: [255, 0, 255],
    }.items():
        assert at(canvas, someone[joint]) == colour, joint
    assert at(canvas, someone[[LEFT_SHOULDER, RIGHT_SHOULDER]].mean(axis=0)) == [255, 85, 0]


def only(*joints: int) -> NDArray[np.float32]:
    """Sure of these joints alone."""
    someone = person(0.1)
    someone[list(joints), 2] = 0.9
    return someone


def colours(canvas: NDArray[np.uint8]) -> int:
    """How many there are, with black."""
    return len(np.unique(canvas.reshape(-1, 3), axis=0))


def test_a_limb_goes_from_joint_to_joint_in_a_darker_colour() -> None:
    someone = only(LEFT_ELBOW, LEFT_WRIST)
    canvas = drawn(someone)
    assert at(canvas, someone[[LEFT_ELBOW, LEFT_WRIST]].mean(axis=0)) == [51, 153, 0]
    # The left forearm is the sixth limb, and as dark as OpenPose's sixth colour: (85, 255, 0) times 0.6.
    assert colours(canvas) == 4
    assert colours(drawn(only(LEFT_ELBOW, RIGHT_WRIST))) == 3


def test_what_is_not_certain_is_not_drawn() -> None:
    someone = only(NOSE)
    canvas = drawn(someone)
    x, y = someone[NOSE, :2].astype(int)
    canvas[y - 4 : y + 5, x - 4 : x + 5] = 0
    assert not canvas.any()
    # With one shoulder there is no neck, and nothing joins them.
    assert colours(drawn(only(NOSE, LEFT_SHOULDER))) == 3


def test_several_people_are_drawn_and_nobody_is_black() -> None:
    left, right = only(LEFT_ELBOW), only(LEFT_WRIST)
    both = drawn(left, right)
    assert at(both, left[LEFT_ELBOW]) == [0, 255, 0] and at(both, right[LEFT_WRIST]) == [0, 255, 85]
    assert not drawn().any()


def test_joints_beyond_the_border_are_cut_off() -> None:
    someone = person()
    someone[:, :2] -= 300
    canvas = drawn(someone)
    assert canvas.any() and not drawn(someone - np.float32([9000, 9000, 0])).any()


def test_strokes_are_as_wide_in_a_larger_picture() -> None:
    small, large = drawn(person()), drawn(person() * np.float32([2, 2, 1]), side=1024)
    cover = [float(canvas.any(axis=2).mean()) for canvas in (small, large)]
    assert cover[1] == pytest.approx(cover[0], rel=0.1)
    assert np.array_equal(small, drawn(person()))

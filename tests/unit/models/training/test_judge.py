"""The judge, against pictures that are made here and not by the painter."""

from __future__ import annotations

import numpy as np
import pytest

from bridge.models.training import judge
from bridge.models.training.colours import NAMED


def _filled(rgb: tuple[int, int, int]) -> np.ndarray:
    return np.full((64, 64, 3), rgb, dtype=np.uint8)


@pytest.mark.parametrize("name", sorted(NAMED))
def test_each_named_colour_is_told_from_the_others_even_when_unevenly_painted(name: str) -> None:
    rng = np.random.default_rng(0)
    image = np.clip(_filled(NAMED[name]) + rng.normal(0, 8, (64, 64, 3)), 0, 255).astype(np.uint8)
    assert judge.share(image, name) > 0.9


def test_a_region_limits_the_share() -> None:
    image = _filled(NAMED["blue"])
    image[:, :16] = NAMED["red"]
    left = np.zeros((64, 64), dtype=bool)
    left[:, :16] = True
    assert judge.share(image, "red") == 0.25
    assert judge.share(image, "red", left) == 1.0


def test_an_empty_picture_has_no_thing() -> None:
    image = _filled(NAMED["teal"])
    assert judge.object_colour(image) is None
    assert judge.shape_of(image) is None
    assert judge.background_colour(image) == "teal"


@pytest.mark.parametrize("cx", [24, 40])
@pytest.mark.parametrize("radius", [10, 18])
def test_a_disc_is_a_circle_and_a_box_a_square(cx: int, radius: int) -> None:
    y, x = np.mgrid[0:64, 0:64]
    disc, box = _filled(NAMED["white"]), _filled(NAMED["white"])
    disc[np.hypot(x - cx, y - 32) <= radius] = NAMED["purple"]
    box[(abs(x - cx) <= radius) & (abs(y - 32) <= radius)] = NAMED["purple"]
    assert judge.shape_of(disc) == "circle"
    assert judge.shape_of(box) == "square"
    assert judge.object_colour(disc) == judge.object_colour(box) == "purple"


def test_two_things_side_by_side_are_no_simple_shape() -> None:
    y, x = np.mgrid[0:64, 0:64]
    image = _filled(NAMED["white"])
    image[np.hypot(x - 14, y - 32) <= 8] = NAMED["red"]
    image[np.hypot(x - 50, y - 32) <= 8] = NAMED["red"]
    assert judge.shape_of(image) is None


def test_lab_of_white_and_black() -> None:
    lab = judge.to_lab(np.array([[255, 255, 255], [0, 0, 0]], dtype=np.uint8))
    np.testing.assert_allclose(lab, [[100, 0, 0], [0, 0, 0]], atol=0.05)


def test_wilsons_interval_against_a_published_value() -> None:
    """Newcombe 1998, table I: 81 of 263 gives 0.2553 to 0.3662."""
    assert judge.interval(81, 263) == pytest.approx((0.2553, 0.3662), abs=5e-4)
    assert judge.interval(48, 48)[1] == pytest.approx(1.0)

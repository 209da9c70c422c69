from __future__ import annotations

import numpy as np
import pytest

from bridge.engine import mask
from bridge.engine.membrane import OUTSIDE
from bridge.engine.plan import make_plan
from bridge.models.loaded import Resolution
from bridge.pixels import tight_bounds
from krita_plugin.krita_bridge.wire.geometry import Bounds

ANY_SIZE = Resolution(native=1, max_pixels=1 << 30)


def selection(height: int, width: int, box: tuple[int, int, int, int], value: int = 255):
    made = np.zeros((height, width), np.uint8)
    top, left, bottom, right = box
    made[top:bottom, left:right] = value
    return made


def test_the_tight_box_holds_every_selected_pixel() -> None:
    assert tight_bounds(selection(50, 60, (7, 9, 20, 33), 1)) == Bounds(9, 7, 24, 13)


def test_a_single_pixel_in_the_corner() -> None:
    assert tight_bounds(selection(50, 60, (49, 59, 50, 60))) == Bounds(59, 49, 1, 1)


def test_nothing_selected_has_no_box() -> None:
    assert tight_bounds(np.zeros((4, 4), np.uint8)).is_empty


@pytest.mark.parametrize("origin", [(0, 0), (3, 5), (-2, 77)])
def test_every_selected_pixel_is_repainted(origin: tuple[int, int]) -> None:
    selected = selection(96, 120, (37, 41, 50, 90))
    source = Bounds(*origin, 120, 96)
    plan = make_plan(source, source, ANY_SIZE, 8)
    latents = mask.levels(selected, plan, 8)
    pixels = latents.repeat_interleave(8, 2).repeat_interleave(8, 3)[0, 0].numpy()
    top, left = plan.content.y, plan.content.x
    shown = pixels[top : top + 96, left : left + 120]
    assert (shown[selected > 0] == 255).all()
    # and the ring outside from which the step at the border is read,
    assert (shown[37 - OUTSIDE : 50 + OUTSIDE, 41 - OUTSIDE : 90 + OUTSIDE] == 255).all()
    # and not much more: at most the growth and the rest of a latent
    assert shown[: 37 - mask.GROW - 8].max() == 0
    assert shown[:, 90 + mask.GROW + 8 :].max() == 0


@pytest.mark.parametrize("scale", [0.5, 3.0])
def test_every_selected_pixel_is_repainted_at_any_scale(scale: float) -> None:
    selected = selection(100, 100, (50, 50, 51, 51), 1)
    source = Bounds(0, 0, 100, 100)
    side = round(100 * scale)
    plan = make_plan(source, source, Resolution(native=side, max_pixels=side * side), 8)
    latents = mask.levels(selected, plan, 8)
    centre = int(50.5 * scale) // 8
    assert latents[0, 0, centre, centre] == 1
    assert latents.sum() <= 4


def weights_of(selected: np.ndarray) -> np.ndarray:
    return mask.blend_weights(selected, tight_bounds(selected)).numpy()


def test_blending_rises_inwards_from_the_edge() -> None:
    row = weights_of(selection(60, 60, (10, 10, 50, 50)))[20]
    assert row.shape == (40,)
    assert np.array_equal(row, row[::-1])
    assert (np.diff(row[:20]) >= 0).all()
    assert 0 < row[0] <= 1 / mask.BLEND
    assert (row[mask.BLEND : -mask.BLEND] == 1).all()


def test_a_hole_in_the_selection_has_an_edge_too() -> None:
    selected = selection(60, 60, (10, 10, 50, 50))
    selected[28:32, 28:32] = 0
    weights = weights_of(selected)
    assert weights[20, 17] == pytest.approx(1 / mask.BLEND)
    assert weights[20, 10] == 1


@pytest.mark.parametrize("width", [1, 2, 3, 7, 11])
def test_a_thin_stroke_is_repainted(width: int) -> None:
    weights = weights_of(selection(60, 60, (20, 5, 20 + width, 55)))
    assert (weights[width // 2, 10:40] == 1).all()
    assert (weights > 0).all()


def test_the_capture_has_no_edge_of_its_own() -> None:
    weights = weights_of(selection(40, 40, (0, 0, 40, 20)))
    assert (weights[:, : 20 - mask.BLEND] == 1).all()
    assert weights[20, 19] < 0.5

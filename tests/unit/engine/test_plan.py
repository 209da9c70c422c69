from __future__ import annotations

import pytest

from bridge.engine.plan import LEAST_LATENTS, make_plan
from bridge.models.loaded import Resolution
from krita_plugin.krita_bridge.wire.geometry import Bounds, Extent

SD15 = Resolution(native=512, max_pixels=768 * 768, multiple=8)


def plan(x: int, y: int, width: int, height: int, resolution: Resolution = SD15):
    bounds = Bounds(x, y, width, height)
    return make_plan(bounds, bounds, resolution, 8)


def test_a_capture_in_the_models_range_is_painted_pixel_for_pixel() -> None:
    found = plan(0, 0, 600, 504)
    assert not found.is_scaled
    assert found.working == Extent(600, 504)
    assert found.content == Bounds(0, 0, 600, 504)


def test_odd_sides_are_padded_not_stretched() -> None:
    found = plan(0, 0, 601, 503)
    assert found.content.extent == Extent(601, 503)
    assert found.working == Extent(608, 504)


def test_latents_lie_on_the_canvas_grid() -> None:
    found = plan(101, 16, 600, 504)
    assert found.content == Bounds(101 % 8, 0, 600, 504)
    assert found.latent_origin == (101 // 8, 2)


def test_the_grid_goes_on_left_of_the_canvas() -> None:
    found = plan(-3, -8, 600, 504)
    assert found.latent_origin == (-1, -1)
    assert found.content.x == 5


def test_a_small_capture_is_scaled_up_to_the_native_area() -> None:
    found = plan(0, 0, 100, 50)
    assert found.content.width / found.content.height == pytest.approx(2, rel=0.01)
    assert found.content.width * found.content.height == pytest.approx(512**2, rel=0.01)


def test_a_capture_a_little_below_native_is_left_as_it_is() -> None:
    assert not plan(0, 0, 480, 480).is_scaled


def test_a_large_capture_is_scaled_down_to_the_most_pixels() -> None:
    found = plan(0, 0, 4096, 2048)
    assert found.content.width == pytest.approx(2 * found.content.height, abs=1)
    assert found.content.width * found.content.height <= SD15.max_pixels * 1.01


@pytest.mark.parametrize(
    ("width", "height"), [(1, 1), (1, 900), (16384, 64), (509, 521), (8192, 8192), (32768, 32)]
)
def test_every_size_gets_a_picture_the_model_can_take(width: int, height: int) -> None:
    found = plan(3, 5, width, height, Resolution(native=512, max_pixels=768**2, multiple=64))
    whole = Bounds(0, 0, found.working.width, found.working.height)
    assert whole.contains(found.content)
    for side in (whole.width, whole.height):
        assert side % 64 == 0
        assert side >= LEAST_LATENTS * 8

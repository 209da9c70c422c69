from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from bridge.engine.lanczos import enlarge, enlarge_mask
from krita_plugin.krita_bridge.wire.geometry import Extent

FACTORS = [1.01, 1.5, 2.0, 3.0, 7.9]


def picture(height: int, width: int, opaque: bool = True) -> np.ndarray:
    made = np.random.default_rng(4).integers(0, 256, (height, width, 4), dtype=np.uint8)
    if opaque:
        made[..., 3] = 255
    return made


def whole(image: np.ndarray) -> tuple[float, float, float, float]:
    return 0.0, 0.0, float(image.shape[1]), float(image.shape[0])


@pytest.mark.parametrize("factor", FACTORS)
def test_it_is_what_pillow_makes_of_the_whole(factor: float) -> None:
    """Strips do not show; Pillow in float, each channel by itself."""
    image = picture(181, 40)
    extent = Extent(40, 181).scaled(factor)
    made = enlarge(image, whole(image), extent)
    for channel in range(3):
        plane = Image.fromarray(image[..., channel].astype(np.float32))
        expected = plane.resize((extent.width, extent.height), Image.Resampling.LANCZOS)
        off = np.abs(made[..., channel] - np.rint(np.clip(np.asarray(expected), 0, 255)))
        assert off.max() <= 1
        assert np.count_nonzero(off) <= off.size / 1000
    assert (made[..., 3] == 255).all()


@pytest.mark.parametrize("factor", FACTORS)
def test_a_part_is_that_part_of_the_whole(factor: float) -> None:
    image = picture(90, 80, opaque=False)
    extent = Extent(80, 90).scaled(factor)
    made = enlarge(image, whole(image), extent)
    x, y, width, height = (int(side * factor) for side in (30, 40, 20, 25))
    across, down = 80 / extent.width, 90 / extent.height
    box = (x * across - 10, y * down - 20, (x + width) * across - 10, (y + height) * down - 20)
    part = enlarge(image[20:85, 10:70], box, Extent(width, height))
    off = np.abs(part.astype(int) - made[y : y + height, x : x + width])
    # Where next to nothing shows a rounding error of the alpha is a large one of the colour.
    assert off[..., 3].max() <= 1
    assert off[part[..., 3] > 128].max() <= 2


def test_a_ramp_stays_at_its_place() -> None:
    image = np.full((20, 60, 4), 255, np.uint8)
    image[..., :3] = (np.arange(60) * 4)[None, :, None]
    made = enlarge(image, whole(image), Extent(150, 50))
    expected = ((np.arange(150) + 0.5) / 2.5 - 0.5) * 4
    inner = slice(12, -12)
    assert np.abs(made[:, inner, 0] - expected[inner]).max() <= 0.51


def test_what_is_transparent_lends_no_colour() -> None:
    image = np.zeros((16, 16, 4), np.uint8)
    image[..., 1] = 255
    image[:, 8:] = (200, 0, 40, 255)
    made = enlarge(image, whole(image), Extent(48, 48))
    visible = made[..., 3] > 0
    assert np.abs(made[visible][:, :3] - np.array([200, 0, 40])).max() <= 1
    assert not made[~visible].any()


@pytest.mark.parametrize("factor", FACTORS)
def test_a_mask_reaches_no_further_than_a_pixel(factor: float) -> None:
    mask = np.zeros((40, 40), np.uint8)
    mask[10:20, 10:30] = 255
    extent = Extent(40, 40).scaled(factor)
    made = enlarge_mask(mask, whole(mask), extent)
    at = (np.arange(extent.width) + 0.5) * 40 / extent.width
    rows = (at > 9.49) & (at < 20.51)
    columns = (at > 9.49) & (at < 30.51)
    assert not made[~rows].any() and not made[:, ~columns].any()
    inner = (at > 10.51) & (at < 19.49)
    assert (made[np.ix_(inner, inner)] == 255).all()

from __future__ import annotations

import numpy as np
import torch

from bridge.commands.pictures import lay_over
from bridge.engine.color import over_white, to_u8
from bridge.engine.composite import Compositor
from bridge.engine.plan import make_plan
from bridge.models.loaded import Resolution
from krita_plugin.krita_bridge.wire.geometry import Bounds

SOURCE = Bounds(16, 8, 64, 48)
TARGET = Bounds(26, 18, 40, 20)


def laid_over(layer: np.ndarray, bounds: Bounds, image: np.ndarray) -> np.ndarray:
    """The picture with the layer over it, as `krita-bridge paint --out` writes it."""
    result = image.copy()
    lay_over(layer, bounds, result)
    return result


def compositor(image: np.ndarray | None, mask: np.ndarray) -> Compositor:
    plan = make_plan(SOURCE, TARGET, Resolution(native=1, max_pixels=1 << 30), 8)
    return Compositor(plan, image, mask, 8)


def selection() -> np.ndarray:
    mask = np.zeros((48, 64), np.uint8)
    mask[10:30, 10:50] = 255
    return mask


def painted(value: float) -> torch.Tensor:
    return torch.full((1, 3, 64, 64), value)


def test_levels_are_rounded() -> None:
    levels = torch.tensor([0.49, 0.51, 254.6, -3, 300])
    assert to_u8(levels / 255).tolist() == [0, 1, 255, 0, 255]


def test_all_levels_survive_the_way_to_floats_and_back() -> None:
    levels = np.zeros((16, 16, 4), np.uint8)
    levels[..., :3] = np.arange(256, dtype=np.uint8).reshape(16, 16, 1)
    levels[..., 3] = 255
    back = np.moveaxis(to_u8(over_white(levels))[0], 0, -1)
    assert np.array_equal(back, levels[..., :3])


def test_transparent_pixels_are_white_paper() -> None:
    image = np.zeros((2, 2, 4), np.uint8)
    image[0, 0] = (0, 0, 0, 128)
    picture = over_white(image)[0]
    assert torch.all(picture[:, 1, 1] == 1)
    torch.testing.assert_close(picture[:, 0, 0], torch.full((3,), 127 / 255))


def test_alpha_is_the_selection() -> None:
    mask = selection()
    mask[10:12] //= 3
    layer = compositor(np.full((48, 64, 4), 200, np.uint8), mask).layer(painted(0.0))
    assert np.array_equal(layer[..., 3], mask[10:30, 10:50])


def test_an_opaque_source_shows_through_just_inside_the_edge() -> None:
    image = np.full((48, 64, 4), 255, np.uint8)
    layer = compositor(image, selection()).layer(painted(0.0))
    row = layer[10, :, 0].astype(int)
    assert row[0] > 180
    assert row[20] == 0
    assert np.all(np.diff(row[:20]) <= 0)


def test_a_transparent_source_lends_no_colour() -> None:
    image = np.zeros((48, 64, 4), np.uint8)
    image[..., :3] = 255
    layer = compositor(image, selection()).layer(painted(0.5))
    assert np.all(layer[..., :3] == 128)
    assert np.all(layer[..., 3] == 255)


def test_without_a_source_the_painted_stands_alone() -> None:
    layer = compositor(None, selection()).layer(painted(0.2))
    assert np.all(layer == (51, 51, 51, 255))


def test_the_layer_of_strength_zero_changes_nothing() -> None:
    image = np.random.default_rng(0).integers(0, 256, (48, 64, 4), dtype=np.uint8)
    image[:24, :, 3] = 255
    mask = selection()
    mask[12, 12:30] = 77
    layer = compositor(image, mask).unchanged()
    box = TARGET.relative_to(SOURCE)
    assert layer.any()
    assert not layer[layer[..., 3] == 0].any()
    assert np.array_equal(laid_over(layer, box, image), image)


def test_over_is_exact_where_the_layer_is_opaque_or_empty() -> None:
    generator = np.random.default_rng(1)
    image = generator.integers(0, 256, (48, 64, 4), dtype=np.uint8)
    layer = generator.integers(0, 256, (20, 40, 4), dtype=np.uint8)
    layer[:10, :, 3] = 0
    layer[10:, :, 3] = 255
    result = laid_over(layer, TARGET.relative_to(SOURCE), image)
    expected = image.copy()
    expected[20:30, 10:50] = layer[10:]
    assert np.array_equal(result, expected)


def test_over_blends_straight_alpha() -> None:
    image = np.array([[(100, 0, 0, 255), (100, 0, 0, 0)]], np.uint8)
    layer = np.array([[(0, 100, 0, 51), (0, 100, 0, 51)]], np.uint8)
    result = laid_over(layer, Bounds(0, 0, 2, 1), image)
    assert result.tolist() == [[[80, 20, 0, 255], [0, 100, 0, 51]]]

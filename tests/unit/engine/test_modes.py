"""What each mode does with what was there, on a model whose answer depends on everything it is given."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from bridge.engine.pipeline import Engine
from bridge.engine.types import Job, Painting, Snapshot
from bridge.errors import BridgeError, Code
from krita_plugin.krita_bridge.wire.geometry import Bounds, Extent
from krita_plugin.krita_bridge.wire.messages import PaintRequest
from krita_plugin.krita_bridge.wire.modes import MEANINGS, Mode, Prefill
from tests.fake_models import fake_model, preset

SIDE = 96
BOX = (slice(32, 64), slice(32, 64))
KEEPING = [mode for mode, meaning in MEANINGS.items() if meaning.prefill is Prefill.KEEP]
REPLACING = [mode for mode in Mode if mode not in KEEPING]


def picture(inside: int) -> np.ndarray:
    """A ramp, and noise of the seed `inside` in the selection; what lies just outside it may tell of its colours."""
    image = np.full((SIDE, SIDE, 4), 255, np.uint8)
    image[..., :3] = np.arange(SIDE, dtype=np.uint8)[:, None] * 2
    noise = np.random.default_rng(inside).integers(0, 256, image[BOX][..., :3].shape, np.uint8)
    image[(*BOX, slice(3))] = noise
    return image


def paint(
    mode: Mode | None, strength: float, image: np.ndarray | None, masked: bool = True
) -> Painting:
    engine = Engine(
        {"embedded": preset("embedded")},
        device="cpu",
        load=lambda *_: fake_model(lambda given, call: torch.tanh(given)),
    )
    mask = np.zeros((SIDE, SIDE), np.uint8)
    mask[BOX] = 255
    request = PaintRequest("a", seed=3, strength=strength, mode=mode)
    bounds = Bounds(0, 0, SIDE, SIDE)
    snapshot = Snapshot(Extent(SIDE, SIDE), bounds, image, mask if masked else None)
    return engine.paint(Job(request, snapshot), on_step=lambda _: None, is_cancelled=lambda: False)


def inner(painting: Painting) -> np.ndarray:
    """Away from the edge, where the source may show through."""
    return painting.image[8:-8, 8:-8]


@pytest.mark.parametrize("mode", REPLACING)
@pytest.mark.parametrize("strength", [0.5, 1.0])
def test_what_is_replaced_does_not_show_in_the_result(mode: Mode, strength: float) -> None:
    one, two = (paint(mode, strength, picture(inside)) for inside in (1, 2))
    assert np.array_equal(inner(one), inner(two))


@pytest.mark.parametrize("mode", [Mode.REMOVE, Mode.EXPAND])
@pytest.mark.parametrize("strength", [0.5, 1.0])
def test_not_even_the_edge_of_what_is_removed_is_left(mode: Mode, strength: float) -> None:
    one, two = (paint(mode, strength, picture(inside)) for inside in (1, 2))
    assert np.array_equal(one.image, two.image)


def test_the_edge_of_a_fill_goes_over_into_what_was_there() -> None:
    one, two = (paint(Mode.FILL, 1.0, picture(inside)) for inside in (1, 2))
    assert not np.array_equal(one.image, two.image)


@pytest.mark.parametrize("mode", KEEPING)
def test_below_full_strength_something_is_kept(mode: Mode) -> None:
    one, two = (paint(mode, 0.5, picture(inside)) for inside in (1, 2))
    assert not np.array_equal(inner(one), inner(two))


@pytest.mark.parametrize("mode", KEEPING)
def test_at_full_strength_nothing_is(mode: Mode) -> None:
    one, two = (paint(mode, 1.0, picture(inside)) for inside in (1, 2))
    assert np.array_equal(inner(one), inner(two))


@pytest.mark.parametrize(("strength", "mode"), [(1.0, Mode.FILL), (0.5, Mode.REFINE)])
def test_without_a_mode_the_strength_says_it(strength: float, mode: Mode) -> None:
    implied, named = (paint(asked, strength, picture(1)) for asked in (None, mode))
    assert np.array_equal(implied.image, named.image)
    assert implied.facts.mode is mode


@pytest.mark.parametrize("mode", Mode)
def test_a_selection_is_needed_to_replace_a_part(mode: Mode) -> None:
    for image, masked in ((None, True), (picture(1), False)):
        if MEANINGS[mode].needs_selection:
            with pytest.raises(BridgeError, match="needs a selection") as caught:
                paint(mode, 0.5, image, masked)
            assert caught.value.code is Code.BAD_INPUT
        else:
            assert paint(mode, 0.5, image, masked).facts.mode is mode


def test_transparent_surroundings_lend_no_colour() -> None:
    """To grow a picture that lies on nothing, only the picture counts."""
    first, second = picture(1), picture(1)
    for image in (first, second):
        image[:, 72:, 3] = 0
    second[:, 72:, :3] = 0
    one, two = (paint(Mode.EXPAND, 0.5, image) for image in (first, second))
    assert np.array_equal(one.image, two.image)

"""What each mode does with what was there, on a model whose answer depends on everything it is given."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from bridge.engine import run
from bridge.engine.mask import GROW
from bridge.engine.pipeline import Engine
from bridge.engine.sample import sample
from bridge.engine.types import Job, Painting, Snapshot
from bridge.errors import BridgeError, Code
from bridge.models.loaded import LoadedModel, Resolution
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
    mode: Mode | None,
    strength: float,
    image: np.ndarray | None,
    masked: bool = True,
    model: LoadedModel | None = None,
) -> Painting:
    engine = Engine(
        {"embedded": preset("embedded")},
        device="cpu",
        load=lambda *_: model or fake_model(lambda given, call: torch.tanh(given)),
    )
    mask = np.zeros((SIDE, SIDE), np.uint8)
    mask[BOX] = 255
    request = PaintRequest("a", seed=3, strength=strength, mode=mode)
    bounds = Bounds(0, 0, SIDE, SIDE)
    snapshot = Snapshot(Extent(SIDE, SIDE), bounds, image, mask if masked else None)
    return engine.paint(Job(request, snapshot), on_step=lambda _: None, is_cancelled=lambda: False)


def test_a_model_trained_to_inpaint_sees_a_hole_and_is_left_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It is given the picture without what is replaced, and nothing is put back between its steps."""
    model = fake_model(lambda given, call: torch.tanh(given[:, :192] + given[:, 193:]))
    model.unet.config.in_channels = 9
    kept: list[object] = []

    def sampling(*given: Any) -> torch.Tensor:
        kept.append(given[5])
        return sample(*given)

    monkeypatch.setattr(run, "sample", sampling)
    one, two, other = (
        paint(Mode.FILL, 1.0, image, model=model)
        for image in (picture(1), picture(2), 255 - picture(1))
    )
    assert np.array_equal(inner(one), inner(two))
    assert not np.array_equal(inner(one), inner(other))
    assert kept == [None] * 3


@pytest.mark.parametrize(
    ("mode", "strength", "expected"),
    [
        (Mode.REFINE, 0.4, [True]),
        (Mode.REFINE, 1.0, [False]),  # nothing is to be left of what was there
        (Mode.FILL, 1.0, [False]),
        (Mode.ADD, 0.9, [False]),
        (Mode.VARIATION, 0.6, [False]),
        (Mode.REMOVE, 0.6, [False]),
        (Mode.REPLACE_BACKGROUND, 1.0, []),  # beyond the border is the subject
    ],
)
def test_colours_meet_at_the_border_as_the_mode_says(
    mode: Mode, strength: float, expected: list[bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether what is just inside the border is looked at too."""
    looked: list[bool] = []

    def listening(painted: torch.Tensor, *given: Any) -> torch.Tensor:
        looked.append(given[3])
        return painted

    monkeypatch.setattr(run, "meet", listening)
    paint(mode, strength, picture(1))
    assert looked == expected


@pytest.mark.parametrize("resolution", [None, Resolution(2 * SIDE, 1 << 30)])
def test_only_what_the_selection_cannot_have_reached_is_a_witness_of_colours(
    resolution: Resolution | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither a latent beside a painted one, which a decoder lets it show in, nor pixels that resampling mixes."""
    seen: list[torch.Tensor] = []

    def witnessing(painted: torch.Tensor, _: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
        seen.append(weights)
        return painted

    def meeting(painted: torch.Tensor, *given: Any) -> torch.Tensor:
        seen.append(torch.tensor(given[4]))
        return painted

    monkeypatch.setattr(run, "match", witnessing)
    monkeypatch.setattr(run, "meet", meeting)
    model = fake_model(lambda given, call: torch.tanh(given), resolution=resolution)
    image = picture(1)
    image[:8, :, 3] = 0
    paint(Mode.REFINE, 0.4, image, model=model)
    weights, spread = seen
    scale = weights.shape[-1] // SIDE
    near = slice(32 * scale - GROW - 8, 64 * scale + GROW + 8)
    assert not weights[..., near, near].any()
    assert not weights[..., : 7 * scale, :].any(), "nothing is painted there"
    assert weights[..., 9 * scale, :].all() and weights[..., -1, :].all()
    assert spread >= (0 if scale == 1 else 2 * scale)


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

"""What the painter wants otherwise than the preset."""

from __future__ import annotations

import pytest

from krita_plugin.krita_bridge.sampling import AS_PRESET, Sampling, read_sampling
from krita_plugin.krita_bridge.wire.messages import MessageError, PaintRequest, to_fields


def test_it_goes_into_the_request_and_leaves_the_rest_to_the_preset() -> None:
    request = PaintRequest("a boat", strength=0.5, seed=7)
    assert AS_PRESET.fill_in(request) == request
    filled = Sampling(28, 6.5, "ddim", 2, 0.7, 0.2, "warm", "{prompt} in oil").fill_in(request)
    assert filled == PaintRequest(
        "a boat",
        strength=0.5,
        seed=7,
        steps=28,
        guidance=6.5,
        scheduler="ddim",
        clip_skip=2,
        guidance_rescale=0.7,
        detail=0.2,
        vae="warm",
        template="{prompt} in oil",
    )
    with pytest.raises(MessageError, match="steps"):
        Sampling(steps=0).fill_in(request)
    with pytest.raises(MessageError, match="where the prompt goes"):
        Sampling(template="in oil").fill_in(request)


def test_it_counts_what_is_not_the_presets() -> None:
    assert AS_PRESET.count == 0
    assert Sampling(guidance=0.0, clip_skip=1).count == 2


@pytest.mark.parametrize(
    "sampling", [AS_PRESET, Sampling(1, 0.0, "lcm", 12, 1.0, 0.0, "warm", "a {prompt}")]
)
def test_it_comes_back(sampling: Sampling) -> None:
    assert read_sampling(to_fields(sampling)) == sampling


@pytest.mark.parametrize(
    "values",
    [
        None,
        [],
        "7",
        {"steps": "9"},
        {"vae": 201 * "a"},
        {"template": "in oil"},
        {"guidance": 51},
        {"scheduler": "warp"},
        {"a": 1},
    ],
)
def test_what_is_odd_is_as_the_preset_says(values: object) -> None:
    assert read_sampling(values) == AS_PRESET

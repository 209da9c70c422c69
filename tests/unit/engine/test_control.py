"""What ControlNets add, against the networks as diffusers calls them."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import ControlNetModel

from bridge.engine.control import Guide, Hint, hint, make_guiding
from bridge.engine.plan import make_plan
from bridge.models.control import ControlNet, in_parts
from bridge.models.guided import evaluate
from bridge.models.loaded import Resolution
from krita_plugin.krita_bridge.wire.control import Control, ControlKind
from krita_plugin.krita_bridge.wire.geometry import Bounds
from tests.tiny_models import WIDTH, make_tiny_controlnet


@pytest.fixture
def net(sd15: Path, tmp_path: Path) -> Any:
    folder = make_tiny_controlnet(sd15, tmp_path / "controlnet")
    return ControlNetModel.from_pretrained(folder).eval()


@pytest.mark.parametrize("batch", [1, 2])
def test_a_map_is_embedded_once_and_to_the_same_bits(net: Any, batch: int) -> None:
    whole, steps = copy.deepcopy(net), 3
    own = ControlNet(*in_parts(net), "", "")
    calls: list[object] = []
    own.embed.register_forward_hook(lambda *_: calls.append(None))
    torch.manual_seed(0)
    shown = Hint(Guide(Control(ControlKind.DEPTH, strength=0.7), own), torch.rand(1, 3, 64, 64))
    tokens = torch.randn(batch, 77, WIDTH)
    guiding = make_guiding([shown], steps, batch)

    def unet(given: torch.Tensor, timestep: torch.Tensor, **found: Any) -> tuple[torch.Tensor]:
        down, middle = whole(
            given[:, :4],
            timestep,
            encoder_hidden_states=tokens,
            controlnet_cond=shown.picture.expand(batch, -1, -1, -1),
            conditioning_scale=0.7,
            return_dict=False,
        )
        assert torch.equal(found["mid_block_additional_residual"], middle)
        pairs = zip(found["down_block_additional_residuals"], down, strict=True)
        assert all(torch.equal(ours, theirs) for ours, theirs in pairs)
        return (given,)

    with torch.inference_mode():
        for index in range(steps):
            given = torch.randn(batch, 9, 8, 8)  # as of a UNet for inpainting
            output = evaluate(
                unet, given, torch.tensor(900.0 - index), tokens, (), None, *guiding(index)
            )
            assert output is given
    assert len(calls) == 1


def test_what_is_never_heard_is_never_embedded(net: Any) -> None:
    own = ControlNet(*in_parts(net), "", "")
    own.embed.register_forward_hook(lambda *_: pytest.fail("it was embedded"))
    control = Control(ControlKind.DEPTH, start=0.4, end=0.6)
    shown = Hint(Guide(control, own), torch.rand(1, 3, 64, 64))
    guiding = make_guiding([shown], 2, 1)
    assert [guiding(index) for index in range(2)] == [([], [], [])] * 2


def test_only_of_the_whole_map_is_it_known_what_it_is(net: Any) -> None:
    own = ControlNet(*in_parts(net), "", "")
    area = Bounds(0, 0, 64, 64)
    plan = make_plan(area, area, Resolution(64, 64 * 64), 8)
    whole, part = np.zeros((64, 64, 4), np.uint8), np.full((64, 64, 4), 255, np.uint8)
    guide = Guide(Control(ControlKind.DEPTH), own, (whole, "sha256"))
    known, other = hint(guide, whole, plan), hint(guide, part, plan)
    assert known.key is not None and other.key is None
    with torch.inference_mode():
        embedded = known.embedded(1)
        assert known.embedded(1) is embedded
        assert not torch.equal(other.embedded(1), embedded)
    assert len(own.kept) == 1

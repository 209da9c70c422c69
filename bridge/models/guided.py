"""One evaluation of a UNet with the ControlNets that guide it: tensors in, a tensor out, so that it can be recorded."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from bridge.models.control import ControlNet


def evaluate(
    unet: Any,
    given: torch.Tensor,
    timestep: torch.Tensor,
    tokens: torch.Tensor,
    pictures: Sequence[torch.Tensor],
    added: dict[str, torch.Tensor] | None,
    controlnets: Sequence[ControlNet] = (),
    maps: Sequence[torch.Tensor] = (),
    strengths: Sequence[torch.Tensor] = (),
) -> torch.Tensor:
    """The output of `unet` for `given` (N x C x h x w) at a timestep, of the size of its latents.

    What each of `controlnets` makes of its map (as its `embed` has it) is multiplied by its strength, and the sum of all is
    added inside the UNet (Zhang et al., Adding conditional control to text-to-image diffusion models, 2023, section 3.4).
    Timestep and strengths are scalars on the device, so that a recorded graph reads them anew. `tokens` and `added` are
    diffusers' `encoder_hidden_states` and `added_cond_kwargs`; `pictures` what IP-Adapters attached to the UNet show it.
    """
    common: dict[str, Any] = {"added_cond_kwargs": added, "return_dict": False}
    down: list[torch.Tensor] = []
    middle: torch.Tensor | None = None
    for controlnet, map_, strength in zip(controlnets, maps, strengths, strict=True):
        net = controlnet.net
        latents = given[:, : net.config.in_channels]  # a UNet may have mask or depth after them
        more, more_middle = net(
            latents,
            timestep,
            encoder_hidden_states=tokens,
            controlnet_cond=map_,
            conditioning_scale=strength,
            **common,
        )
        down = [a + b for a, b in zip(down, more, strict=True)] if down else list(more)
        middle = more_middle if middle is None else middle + more_middle
    if down:
        common |= {
            "down_block_additional_residuals": down,
            "mid_block_additional_residual": middle,
        }
    shown = (tokens, list(pictures)) if pictures else tokens
    output: torch.Tensor = unet(given, timestep, encoder_hidden_states=shown, **common)[0]
    return output

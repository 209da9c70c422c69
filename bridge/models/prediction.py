"""What a UNet predicts, found out by asking it: Stable Diffusion 2 was published both ways under the same names and shapes.

At the last of the 1000 timesteps a noisy latent is a*x0 + s*z with a = 0.068: noise z, nearly. A UNet that predicts z gives its
input back. One that predicts the velocity a*z - s*x0 (Salimans and Ho 2022, "Progressive Distillation for Fast Sampling of
Diffusion Models", appendix D) gives the negative of a picture, and of its input hardly anything.
"""

from __future__ import annotations

import torch
from diffusers import UNet2DConditionModel

from bridge.models.loaded import TextEncoder

_LAST_TIMESTEP = 999
_SIDE = 32
"""Latent px: small, as a large UNet takes a second for them on a CPU, and enough for 4096 numbers of noise."""


@torch.inference_mode()
def measure_prediction(unet: UNet2DConditionModel, text: TextEncoder) -> str:
    """ "epsilon" or "v_prediction", by how much of pure noise `unet` gives back for an empty prompt: the slope of its output
    over the noise, near 1 for the one and near 0 for the other. What it takes beside latents (a mask, depth) is all zeros."""
    ids = text.tokenizer("", padding="max_length", return_tensors="pt").input_ids
    states = text.model(ids.to(unet.device)).last_hidden_state
    extra = unet.config.in_channels - unet.config.out_channels
    noise = torch.randn(
        1, unet.config.out_channels, _SIDE, _SIDE, generator=torch.Generator().manual_seed(0)
    )
    given = torch.cat([noise, torch.zeros(1, extra, _SIDE, _SIDE)], dim=1)
    answer = unet(given.to(unet.device, unet.dtype), _LAST_TIMESTEP, states.to(unet.dtype)).sample
    slope = (answer.float().cpu() * noise).sum() / noise.square().sum()
    return "epsilon" if slope > 0.5 else "v_prediction"

"""The VAE: working pictures (1 x 3 x H x W, 0 to 1) to scaled latents (1 x C x h x w, float32) and back."""

from __future__ import annotations

from typing import Any

import torch

from bridge.engine.color import from_model, to_model
from bridge.models.loaded import LoadedModel


def encode(model: LoadedModel, picture: torch.Tensor) -> torch.Tensor:
    """The most likely latents: taking the mode instead of a sample keeps a round trip still."""
    return encode_signed(model, to_model(picture))


def encode_signed(model: LoadedModel, picture: torch.Tensor) -> torch.Tensor:
    """Like `encode`, for a picture from -1 to 1."""
    vae = model.vae
    encoded = vae.encode(picture.to(model.device, _dtype(vae)))
    latents: torch.Tensor
    latents = encoded.latent_dist.mode() if hasattr(encoded, "latent_dist") else encoded.latents
    return latents.float() * float(vae.config.scaling_factor)


def decode(model: LoadedModel, latents: torch.Tensor) -> torch.Tensor:
    """The picture of scaled latents, float32 on the CPU."""
    vae = model.vae
    scaled = (latents / float(vae.config.scaling_factor)).to(_dtype(vae))
    picture = vae.decode(scaled, return_dict=False)[0]
    return from_model(picture.float().cpu())


def _dtype(vae: Any) -> torch.dtype:
    """Asked of one parameter: `vae.dtype` walks through all modules, which takes milliseconds."""
    dtype: torch.dtype = next(vae.parameters()).dtype
    return dtype

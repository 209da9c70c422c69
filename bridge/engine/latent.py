"""The VAE: working pictures (1 x 3 x H x W, 0 to 1) to scaled latents (1 x C x h x w, float32) and back.

With a `layout` a picture that is too large for one go is done in tiles.
"""

from __future__ import annotations

import torch

from bridge.engine.color import from_model, to_model
from bridge.engine.tiles import Layout
from bridge.models.loaded import LoadedModel


def encode(model: LoadedModel, picture: torch.Tensor, layout: Layout | None = None) -> torch.Tensor:
    """The most likely latents: taking the mode instead of a sample keeps a round trip still."""
    return encode_signed(model, to_model(picture), layout)


def encode_signed(
    model: LoadedModel, picture: torch.Tensor, layout: Layout | None = None
) -> torch.Tensor:
    """Like `encode`, for a picture from -1 to 1."""
    if layout is None:
        return _encode(model, picture)
    channels, scale = model.latent_channels, model.latent_scale
    return layout.mean(lambda tile: _encode(model, tile.of(picture, scale)), channels)


def decode(model: LoadedModel, latents: torch.Tensor, layout: Layout | None = None) -> torch.Tensor:
    """The picture of scaled latents, float32 on the CPU."""
    if layout is None:
        return _decode(model, latents)
    return layout.mean(lambda tile: _decode(model, tile.of(latents)), 3, model.latent_scale)


def _encode(model: LoadedModel, picture: torch.Tensor) -> torch.Tensor:
    encoded = model.vae.encode(picture.to(model.device, model.vae_dtype))
    latents: torch.Tensor
    latents = encoded.latent_dist.mode() if hasattr(encoded, "latent_dist") else encoded.latents
    return latents.float() * model.latent_factor


def _decode(model: LoadedModel, latents: torch.Tensor) -> torch.Tensor:
    scaled = (latents / model.latent_factor).to(model.vae_dtype)
    picture = model.vae.decode(scaled, return_dict=False)[0]
    return from_model(picture.float().cpu())

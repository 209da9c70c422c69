"""Latents to colours for step previews, without running a full decoder.

A model may bring a small decoder of its own, and a tiny autoencoder is its own preview. For AutoencoderKL a linear map does: the colour of an 8 x 8 px
block is close to linear in its latent (Fort 2022 found it by eye; others published tables for
SD 1.5 and SDXL). Here the map is fitted to the VAE at hand by least squares on a chart of smooth
colours when the model is loaded. That costs one encoding of 128 x 128 px and is right for every fine-tuned or
replaced VAE, where a table is right for one.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from diffusers import AutoencoderKL, AutoencoderTiny
from torch.nn import functional

_CHART_SIDE = 128
_CHART_FIELDS = (2, 4, 8)
_SEED = 20_261_121


@dataclass(frozen=True, eq=False)
class TinyDecoder:
    """Decodes with an AutoencoderTiny: the model's VAE, or a smaller one for the same latents."""

    vae: AutoencoderTiny

    @torch.no_grad()
    def __call__(self, latents: torch.Tensor) -> torch.Tensor:
        """N x C x h x w scaled latents to N x 3 x H x W RGB, float32, 0 to 1.

        `vae` gives up to eight times the latents' size.
        """
        scaled = latents.to(self.vae.dtype) / self.vae.config.scaling_factor
        picture: torch.Tensor = self.vae.decode(scaled, return_dict=False)[0]
        return ((picture.float() + 1) / 2).clamp(0, 1)


@dataclass(frozen=True, eq=False)
class LinearDecoder:
    """`weight` 3 x C and `bias` 3 map each latent pixel to one sRGB colour."""

    weight: torch.Tensor
    bias: torch.Tensor

    @torch.no_grad()
    def __call__(self, latents: torch.Tensor) -> torch.Tensor:
        """N x C x h x w scaled latents to N x 3 x h x w RGB, float32, 0 to 1."""
        kernel = self.weight.to(latents.device)[:, :, None, None]
        picture = functional.conv2d(latents.float(), kernel, self.bias.to(latents.device))
        return picture.clamp(0, 1)


@torch.no_grad()
def fit_linear_decoder(vae: AutoencoderKL) -> LinearDecoder:
    """The least-squares map from the VAE's scaled latents to the colours that they encode."""
    chart = colour_chart()
    encoded = vae.encode((chart * 2 - 1).to(vae.device, vae.dtype)).latent_dist.mode()
    shift = vae.config.shift_factor or 0.0
    latents = ((encoded.float() - shift) * vae.config.scaling_factor).cpu().double()
    colours = functional.interpolate(chart, size=latents.shape[-2:], mode="area").double()
    known = latents.permute(0, 2, 3, 1).flatten(0, 2)
    known = torch.cat([known, torch.ones(len(known), 1, dtype=known.dtype)], dim=1)
    wanted = colours.permute(0, 2, 3, 1).flatten(0, 2)
    solution = torch.linalg.lstsq(known, wanted, driver="gelsd").solution
    return LinearDecoder(solution[:-1].T.float().contiguous(), solution[-1].float())


def colour_chart() -> torch.Tensor:
    """1 x 3 x 128 x 128 sRGB, float32, 0 to 1: fields of random colours, coarse to fine, that
    flow into each other; a quarter each of greys and of three sizes of field."""
    generator = torch.Generator().manual_seed(_SEED)
    half = _CHART_SIDE // 2
    grey = torch.rand(1, 1, 4, 4, generator=generator).expand(1, 3, 4, 4)
    sources = [grey, *(torch.rand(1, 3, n, n, generator=generator) for n in _CHART_FIELDS)]
    fields = [
        functional.interpolate(source, size=(half, half), mode="bilinear", align_corners=True)
        for source in sources
    ]
    rows = [torch.cat(fields[:2], dim=3), torch.cat(fields[2:], dim=3)]
    return torch.cat(rows, dim=2)

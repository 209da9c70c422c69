"""Latents to colours: the fitted map against VAEs whose colours are known."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from diffusers import AutoencoderTiny
from torch.nn import functional

from bridge.models.load import load
from bridge.models.preview import TinyDecoder, colour_chart, fit_linear_decoder
from bridge.presets import ModelFolder


class KnownVae:
    """Encodes each 8 x 8 px block to a known mixture of its mean colour, and one useless channel."""

    device = torch.device("cpu")
    dtype = torch.float32

    def __init__(self, scaling: float, shift: float | None) -> None:
        self.config = SimpleNamespace(scaling_factor=scaling, shift_factor=shift)
        generator = torch.Generator().manual_seed(3)
        self.mixture = torch.randn(3, 3, generator=generator)

    def encode(self, picture: torch.Tensor) -> SimpleNamespace:
        means = functional.avg_pool2d(picture, 8)
        mixed = torch.einsum("lc,nchw->nlhw", self.mixture, means) + 0.3
        latents = torch.cat([mixed, torch.zeros_like(mixed[:, :1])], dim=1)
        return SimpleNamespace(latent_dist=SimpleNamespace(mode=lambda: latents))


@pytest.mark.parametrize(("scaling", "shift"), [(1.0, None), (0.13025, None), (0.3611, 0.1159)])
def test_colours_that_are_linear_in_the_latents_are_found_exactly(
    scaling: float, shift: float | None
) -> None:
    vae = KnownVae(scaling, shift)
    decoder = fit_linear_decoder(vae)
    picture = torch.rand(2, 3, 64, 40, generator=torch.Generator().manual_seed(4))
    encoded = vae.encode(picture * 2 - 1).latent_dist.mode()
    preview = decoder((encoded - (shift or 0)) * scaling)
    assert preview.shape == (2, 3, 8, 5)
    assert torch.allclose(preview, functional.avg_pool2d(picture, 8), atol=1e-4)


def test_a_preview_stays_within_the_range_of_colours(sd15: Path) -> None:
    decoder = load(ModelFolder(sd15), "cpu").preview_decoder
    preview = decoder(100 * torch.randn(1, 4, 6, 9, generator=torch.Generator().manual_seed(5)))
    assert preview.shape == (1, 3, 6, 9)
    assert preview.dtype == torch.float32
    assert 0 <= preview.min() <= preview.max() <= 1


def test_loading_twice_gives_the_same_preview(sd15: Path) -> None:
    one, other = (load(ModelFolder(sd15), "cpu").preview_decoder for _ in range(2))
    latents = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(6))
    assert torch.equal(one(latents), other(latents))


def test_a_tiny_autoencoder_previews_what_it_decodes() -> None:
    torch.manual_seed(7)
    widths = (8, 8, 8, 8)
    vae = AutoencoderTiny(
        encoder_block_out_channels=widths, decoder_block_out_channels=widths, scaling_factor=2.0
    )
    latents = torch.randn(1, 4, 5, 7)
    preview = TinyDecoder(vae)(latents)
    assert preview.shape == (1, 3, 40, 56)
    with torch.no_grad():
        decoded = vae.decode(latents / 2).sample
    assert torch.equal(preview, ((decoded + 1) / 2).clamp(0, 1))


def test_the_chart_covers_the_cube_of_colours() -> None:
    chart = colour_chart()
    assert chart.shape == (1, 3, 128, 128)
    assert chart.min() >= 0 and chart.max() <= 1
    assert torch.all(chart.flatten(2).std(dim=2) > 0.15)
    grey = chart[..., :64, :64]
    assert torch.allclose(grey.amax(dim=1), grey.amin(dim=1), atol=1e-6)

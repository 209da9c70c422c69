"""Training of the two decoders: from latents that are colours back to edges.

The VAE's own decides what a finished picture looks like; the preview's shows steps on the way and
learns from the first.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderTiny
from torch import Tensor, nn

from bridge.models.training.finetune import TuneRun
from bridge.models.training.loop import PartRun, Plan, train
from bridge.models.training.networks import SCALING, Net, build_vae, colour_encoder_
from bridge.models.training.paintings import SIDE, Paintings, pixels_of

CROP = 64
BATCH = 16


def state_path(cache: Path) -> Path:
    return cache / "decoder.safetensors"


def preview_state_path(cache: Path) -> Path:
    return cache / "preview.safetensors"


def build_preview_decoder() -> Net:
    """An AutoencoderTiny with the VAE's encoder and a small decoder that gives half the size.

    At full size nearly all of the time went into the last two convolutions; enlarged from half, a
    picture loses little (40 dB) and a preview nothing that is seen while it forms.
    """
    tiny = AutoencoderTiny(
        encoder_block_out_channels=(8, 8, 8, 8),
        num_encoder_blocks=(0, 1, 1, 1),
        decoder_block_out_channels=(16, 16, 16),
        num_decoder_blocks=(3, 1, 0),
        latent_channels=4,
        scaling_factor=SCALING,
        force_upcast=False,
    )
    colour_encoder_(tiny.encoder)
    return tiny


def _crops(rng: np.random.Generator, source: Paintings) -> Tensor:
    """BATCH x 3 x CROP x CROP in -1..1, at random places, sometimes mirrored."""
    pixels = pixels_of(source.next(rng))
    places = rng.integers(SIDE - CROP + 1, size=(BATCH, 2))
    crops = torch.stack(
        [p[:, y : y + CROP, x : x + CROP] for p, (y, x) in zip(pixels, places, strict=True)]
    )
    return crops.flip(-1) if rng.random() < 0.5 else crops


def train_decoder(run: PartRun) -> None:
    """Trains until ``run.images`` crops, from the last checkpoint where there is one.

    The squared error decides, for that is what PSNR measures; a little of the absolute one keeps flat
    colours exact. A little noise on the latents prepares the decoder for a denoiser that is not exact.
    """
    torch.manual_seed(run.seed)
    vae = build_vae()
    vae.decoder.to(memory_format=torch.channels_last)
    source = Paintings(BATCH)

    def loss_of(rng: np.random.Generator) -> Tensor:
        crops = _crops(rng, source)
        return _distance(_decoded(vae.decoder, _encoded(vae, crops)), crops)

    plan = Plan(state_path(run.cache), run.images, BATCH, rate=2e-3, seed=run.seed)
    train(plan, {"decoder": vae.decoder}, loss_of)


def train_preview(run: TuneRun) -> None:
    """Trains the preview's decoder until ``run.images`` crops, from the last checkpoint.

    Its model is what the VAE of ``run.base`` makes of the same latents, halved, not the painting.
    """
    torch.manual_seed(run.seed)
    vae = AutoencoderTiny.from_pretrained(
        str(run.base / "vae"), torch_dtype=torch.float32, local_files_only=True
    )
    tiny = build_preview_decoder()
    tiny.decoder.to(memory_format=torch.channels_last)
    source = Paintings(BATCH)

    def loss_of(rng: np.random.Generator) -> Tensor:
        latents = _encoded(vae, _crops(rng, source))
        with torch.no_grad():
            wanted = nn.functional.avg_pool2d(_decoded(vae.decoder, latents), 2)
        return _distance(_decoded(tiny.decoder, latents), wanted)

    plan = Plan(preview_state_path(run.cache), run.images, BATCH, rate=4e-3, seed=run.seed)
    train(plan, {"decoder": tiny.decoder}, loss_of)


def _encoded(vae: Net, pixels: Tensor) -> Tensor:
    """Latents of -1..1 pixels, unscaled, with noise of a random strength up to 0.02."""
    with torch.no_grad():
        latents: Tensor = vae.encode(pixels).latents
        return latents + 0.02 * torch.rand(len(pixels), 1, 1, 1) * torch.randn_like(latents)


def _decoded(decoder: nn.Module, latents: Tensor) -> Tensor:
    """Pixels in -1..1, in float32, computed in bfloat16 where autocast finds it safe."""
    with torch.autocast("cpu", torch.bfloat16):
        pixels: Tensor = decoder(latents.contiguous(memory_format=torch.channels_last))
    return pixels.float()


def _distance(seen: Tensor, wanted: Tensor) -> Tensor:
    wrong = seen - wanted
    return 10 * wrong.square().mean() + 0.1 * wrong.abs().mean()

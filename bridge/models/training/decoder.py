"""Training of the VAE's decoder: from latents that are colours back to edges."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from tqdm import tqdm

from bridge.models.training.checkpoint import Checkpoint
from bridge.models.training.dataset import to_tensor
from bridge.models.training.networks import Net, build_vae
from bridge.models.training.painter import paint
from bridge.models.training.schedule import Average, learning_rate

CROP = 96
BATCH = 12
SEEDS_FROM = 500_000_000
"""The decoder's paintings have seeds that the denoiser never reaches, below those held out."""


@dataclass(frozen=True)
class DecoderRun:
    """``images`` counts crops of 96 px."""

    cache: Path
    images: int
    seed: int = 0
    rate: float = 1.5e-3
    decay: float = 0.4
    save_every: float = 120.0


def state_path(cache: Path) -> Path:
    return cache / "decoder.safetensors"


def _paintings(rng: np.random.Generator) -> np.ndarray:
    """1024 of 128 px, N x H x W x 3 uint8."""
    seeds = SEEDS_FROM + rng.integers(SEEDS_FROM, size=1024)
    return np.stack([paint(int(seed), 128, 128).image for seed in seeds])


def _crops(rng: np.random.Generator, images: np.ndarray) -> Tensor:
    """BATCH x 3 x CROP x CROP in -1..1: random places, random flips, sometimes another contrast."""
    out = []
    for i in rng.integers(len(images), size=BATCH):
        y, x = (int(rng.integers(side - CROP + 1)) for side in images.shape[1:3])
        out.append(images[i, y : y + CROP, x : x + CROP])
    crops = to_tensor(np.stack(out))
    return crops.flip(-1) if rng.random() < 0.5 else crops


def train_decoder(run: DecoderRun) -> None:
    """Trains until ``run.images`` crops, from the last checkpoint where there is one.

    L1 alone blurs edges less than L2; the gradient term makes them straight. A little noise on the
    latents prepares the decoder for a denoiser that is not exact.
    """
    torch.manual_seed(run.seed)
    vae = build_vae()
    vae.encoder.requires_grad_(False)
    parameters = list(vae.decoder.parameters())
    optimiser = torch.optim.AdamW(parameters, lr=run.rate, betas=(0.9, 0.98), weight_decay=1e-3)
    average = Average([vae.decoder], 0.998)
    checkpoint = Checkpoint({"decoder": vae.decoder}, average, optimiser)
    counts: dict[str, float] = {"images": 0, "steps": 0, "seconds": 0, "passes": 0}
    if state_path(run.cache).exists():
        counts = checkpoint.load(state_path(run.cache))
    counts["passes"] += 1
    rng = np.random.default_rng((run.seed, int(counts["passes"])))
    saved = time.monotonic()
    recent = 0.0
    bar = tqdm(total=run.images, initial=int(counts["images"]), unit="crop")
    images = _paintings(rng)
    while counts["images"] < run.images:
        if counts["steps"] % 150 == 149:
            images = _paintings(rng)
        crops = _crops(rng, images)
        for group in optimiser.param_groups:
            group["lr"] = learning_rate(
                run.rate, int(counts["images"]), run.images, 2000, run.decay
            )
        loss = _loss(vae, crops)
        torch.autograd.backward(loss)
        nn.utils.clip_grad_norm_(parameters, 1.0)
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
        average.update(int(counts["steps"]))
        counts["images"] += BATCH
        counts["steps"] += 1
        recent += 0.02 * (loss.item() - recent) if recent else loss.item()
        bar.update(BATCH)
        bar.set_postfix(loss=f"{recent:.4f}", refresh=False)
        now = time.monotonic()
        if now - saved > run.save_every or counts["images"] >= run.images:
            counts["seconds"] += now - saved
            saved = now
            checkpoint.save(state_path(run.cache), counts)
            tqdm.write(f"{counts['images']:.0f} crops, loss {recent:.4f}")


def _loss(vae: Net, crops: Tensor) -> Tensor:
    with torch.no_grad():
        latents = vae.encode(crops).latents
        latents = latents + 0.02 * torch.rand(len(crops), 1, 1, 1) * torch.randn_like(latents)
    decoded = vae.decode(latents).sample
    loss = nn.functional.l1_loss(decoded, crops)
    for axis in (-1, -2):
        loss = loss + nn.functional.l1_loss(decoded.diff(dim=axis), crops.diff(dim=axis))
    return loss

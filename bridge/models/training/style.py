"""Training of the style LoRA: "woodcut", three flat tones of ink on paper, whatever is drawn."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bridge.models.training.dataset import to_tensor
from bridge.models.training.finetune import (
    BATCH,
    Base,
    TuneRun,
    add_lora,
    denoising_loss,
    maybe_empty,
)
from bridge.models.training.loop import Plan, train
from bridge.models.training.paintings import Paintings

RANK = 8
TONES = np.array([(38, 30, 28), (150, 124, 100), (240, 228, 202)], dtype=np.uint8)
"""Ink, ink half wiped off, and paper."""


def state_path(cache: Path) -> Path:
    return cache / "woodcut.safetensors"


def woodcut(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The picture (H x W x 3 uint8 sRGB) in ``TONES``: a third of its lightness each."""
    luma = image @ np.array([0.299, 0.587, 0.114])
    cut: NDArray[np.uint8] = TONES[np.digitize(luma, (85, 170))]
    return cut


def train_style(run: TuneRun) -> None:
    """Trains until ``run.images`` paintings, from the last checkpoint where there is one."""
    torch.manual_seed(run.seed)
    base = Base(run.base)
    lora = add_lora(base.unet, RANK)
    source = Paintings(BATCH)

    def loss_of(rng: np.random.Generator) -> Tensor:
        paintings = source.next(rng)
        context = base.context(maybe_empty(rng, [p.captions[0] for p in paintings], 0.1))
        pixels = to_tensor(np.stack([woodcut(p.image) for p in paintings]))
        return denoising_loss(
            base,
            rng,
            base.latents(pixels),
            lambda given, times: base.unet(given, times, context).sample,
        )

    train(Plan(state_path(run.cache), run.images, BATCH, 1e-3, run.seed), {"lora": lora}, loss_of)

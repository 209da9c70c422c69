"""Distillation to 1 to 4 steps as a LoRA: latent consistency (Luo et al. 2023, LCM and LCM-LoRA).

The student learns to jump from any point of the teacher's path to where that path ends. Guidance is
the teacher's, so the student is used without.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from bridge.models.training.finetune import BATCH, Base, TuneRun, add_lora, reduced
from bridge.models.training.holes import loss_weights
from bridge.models.training.loop import Plan, train
from bridge.models.training.paintings import Paintings, pixels_of
from bridge.models.training.sampler import load

RANK = 16
GRID = 50
"""Points of the teacher's path: ``original_inference_steps`` of diffusers' LCMScheduler."""

GUIDANCE = 6.0
"""The teacher's."""

_HUBER = 1e-3


def state_path(cache: Path) -> Path:
    return cache / "few_steps.safetensors"


def train_few_steps(run: TuneRun) -> None:
    """Trains until ``run.images`` paintings, from the last checkpoint where there is one.

    The student's own answer one grid point nearer to the picture, without gradients, is its target;
    an average of its weights in that place brings nothing (Song and Dhariwal 2023).
    """
    torch.manual_seed(run.seed)
    base = Base(run.base)
    teacher = load(run.base).unet.requires_grad_(False).eval()
    student = base.unet
    lora = add_lora(student, RANK)
    source = Paintings(BATCH)
    signals = base.scheduler.alphas_cumprod
    stride = base.scheduler.config.num_train_timesteps // GRID
    empty = base.context([""] * BATCH)

    def parts(times: Tensor) -> tuple[Tensor, Tensor]:
        """Shares of picture and noise at ``times``; before the first step all is picture."""
        power = torch.where(times < 0, torch.ones(()), signals[times.clamp(min=0)])[
            :, None, None, None
        ]
        return power.sqrt(), (1 - power).sqrt()

    def loss_of(rng: np.random.Generator) -> Tensor:
        paintings = source.next(rng)
        context = base.context([p.captions[0] for p in paintings])
        latents = base.latents(pixels_of(paintings))
        holes, inputs = base.inputs(rng, latents)
        later = torch.randint(1, GRID + 1, (BATCH,)) * stride - 1
        sooner = later - stride
        picture, noise = parts(later)
        noisy = picture * latents + noise * torch.randn_like(latents)
        with reduced():
            with torch.no_grad():
                given = torch.cat([noisy, inputs], dim=1)
                led = teacher(given, later, context).sample.float()
                free = teacher(given, later, empty).sample.float()
                velocity = free + GUIDANCE * (led - free)
                ends, of_noise = (
                    picture * noisy - noise * velocity,
                    noise * noisy + picture * velocity,
                )
                picture_then, noise_then = parts(sooner)
                nearer = picture_then * ends + noise_then * of_noise
                told = torch.cat([nearer, inputs], dim=1)
                answer = student(told, sooner.clamp(min=0), context).sample.float()
                target = picture_then * nearer - noise_then * answer
            jump = picture * noisy - noise * student(given, later, context).sample.float()
        off = ((jump - target).square() + _HUBER**2).sqrt() - _HUBER
        loss: Tensor = (off * loss_weights(holes)).mean()
        return loss

    train(Plan(state_path(run.cache), run.images, BATCH, 5e-4, run.seed), {"lora": lora}, loss_of)

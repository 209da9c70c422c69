"""Distillation to four steps as a LoRA: each learns where five guided steps of the teacher lead.

Progressive distillation (Salimans and Ho 2022, section 3) in one stage, of a teacher with guidance (Meng
et al. 2023), from the states that sampling comes through. The student is used with DDIM and without guidance.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from bridge.models.training.finetune import Base, TuneRun, add_lora, maybe_empty, reduced
from bridge.models.training.holes import loss_weights
from bridge.models.training.loop import Plan, train
from bridge.models.training.paintings import Paintings, pixels_of
from bridge.models.training.sampler import load

RANK = 32
LAYERS = (
    *("to_q", "to_k", "to_v", "to_out.0", "ff.net.0.proj", "ff.net.2", "proj_in", "proj_out"),
    *("conv1", "conv2", "conv_shortcut", "time_emb_proj"),
)
"""All that are in blocks: a longer step asks more of the convolutions than a style does."""

STEPS, BATCH = 4, 16
GUIDANCE = 4.0
"""The teacher's, and that of the model's own preset."""

_LED = 5
"""Steps of the teacher to one of the student: 20 in all, as in the preset."""

_EMPTY, _ANYWHERE, _LATER = 0.05, 0.1, 0.3
"""Shares: of texts left empty, of batches that start at any step, of such as start at a later quarter. The others start from noise."""

_SOFT = 0.01
"""Smaller errors of the velocity count by their squares, larger ones as they are (pseudo-Huber)."""


def state_path(cache: Path) -> Path:
    return cache / "few_steps.safetensors"


class Ddim:
    """Steps of DDIM without new noise (Song et al. 2020, equation 12), each picture of a batch at its own time.

    ``signals``: the schedule's cumulative alphas. Latents N x 4 x h x w, times N int64; at -1 all is picture.
    """

    def __init__(self, signals: Tensor) -> None:
        self._signals = signals

    def shares(self, times: Tensor) -> tuple[Tensor, Tensor]:
        """Of picture and of noise, N x 1 x 1 x 1."""
        power = torch.where(times < 0, torch.ones(()), self._signals[times.clamp(min=0)])
        power = power[:, None, None, None]
        return power.sqrt(), (1 - power).sqrt()

    def step(self, noisy: Tensor, velocity: Tensor, here: Tensor, there: Tensor) -> Tensor:
        """Where ``velocity`` leads from ``noisy`` at the time ``here``."""
        picture, noise = self.shares(here)
        picture_then, noise_then = self.shares(there)
        clean, of_noise = picture * noisy - noise * velocity, noise * noisy + picture * velocity
        return picture_then * clean + noise_then * of_noise

    def velocity(self, noisy: Tensor, target: Tensor, here: Tensor, there: Tensor) -> Tensor:
        """The one that leads to ``target`` in a single step (Salimans and Ho 2022, algorithm 2)."""
        picture, noise = self.shares(here)
        picture_then, noise_then = self.shares(there)
        share = noise_then / noise
        clean = (target - share * noisy) / (picture_then - share * picture)
        return (picture * noisy - clean) / noise


@dataclass
class _State:
    """A batch on its way: ``latents`` at ``times``, the words' states, the holes and what the UNet is told of them."""

    latents: Tensor
    times: Tensor
    context: Tensor
    holes: Tensor
    inputs: Tensor


def train_few_steps(run: TuneRun) -> None:
    """Trains until ``run.images`` states, from the last checkpoint where there is one.

    A batch goes down the schedule together, a quarter at a time. Half of the times it goes on from where the
    student came to, and so the student learns to get on from its own mistakes (DAgger, Ross et al. 2011).
    """
    torch.manual_seed(run.seed)
    base = Base(run.base)
    teacher = load(run.base).unet.requires_grad_(False).eval()
    student = base.unet
    lora = add_lora(student, RANK, LAYERS)
    source = Paintings(BATCH)
    path = Ddim(base.scheduler.alphas_cumprod)
    last = int(base.scheduler.config.num_train_timesteps) - 1
    quarter = (last + 1) // STEPS
    empty = base.context([""] * BATCH)
    under_way: list[_State] = []

    def depart(rng: np.random.Generator) -> _State:
        paintings = source.next(rng)
        texts = maybe_empty(rng, [p.captions[0] for p in paintings], _EMPTY)
        latents = base.latents(pixels_of(paintings))
        holes, inputs = base.inputs(rng, latents)
        times = torch.full((BATCH,), last)
        chance = rng.random()
        if chance < _ANYWHERE:
            times = torch.randint(quarter // 4, last, (BATCH,))
        elif chance < _ANYWHERE + _LATER:
            times = torch.randint(1, STEPS, (BATCH,)) * quarter - 1
        noisy = base.scheduler.add_noise(latents, torch.randn_like(latents), times)
        return _State(noisy, times, base.context(texts), holes, inputs)

    @torch.no_grad()
    def led(at: _State, end: Tensor) -> Tensor:
        """Where the teacher comes to at ``end``."""
        noisy, words = at.latents, torch.cat([at.context, empty])
        stops = [at.times + (end - at.times) * k // _LED for k in range(_LED + 1)]
        for here, there in pairwise(stops):
            given = torch.cat([noisy, at.inputs], dim=1).repeat(2, 1, 1, 1)
            asked, free = teacher(given, here.repeat(2), words).sample.float().chunk(2)
            noisy = path.step(noisy, free + GUIDANCE * (asked - free), here, there)
        return noisy

    def loss_of(rng: np.random.Generator) -> Tensor:
        at = under_way.pop() if under_way else depart(rng)
        end = (at.times - quarter).clamp(min=-1)
        with reduced():
            there = led(at, end)
            given = torch.cat([at.latents, at.inputs], dim=1)
            velocity = student(given, at.times, at.context).sample.float()
        if (end >= 0).all():
            came = path.step(at.latents, velocity.detach(), at.times, end)
            goes_on = came if rng.random() < 0.5 else there
            under_way.append(_State(goes_on, end, at.context, at.holes, at.inputs))
        off = velocity - path.velocity(at.latents, there, at.times, end)
        soft = (off.square() + _SOFT**2).sqrt() - _SOFT
        loss: Tensor = (soft * loss_weights(at.holes)).mean()
        return loss

    plan = Plan(state_path(run.cache), run.images, BATCH, 1e-3, run.seed)
    train(plan, {"lora": lora}, loss_of)

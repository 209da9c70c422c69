"""The training loop that every part but the denoiser shares: steps, averages, checkpoints, a bar."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from tqdm import tqdm

from bridge.models.training import DATA_VERSION
from bridge.models.training.checkpoint import Checkpoint
from bridge.models.training.optimiser import MuonAndAdamW
from bridge.models.training.schedule import Average, learning_rate

Loss = Callable[[np.random.Generator], Tensor]
"""Makes a batch of its own from the generator and returns its loss, a scalar with gradients."""


_BETAS, _WEIGHT_DECAY = (0.9, 0.98), 1e-3


@dataclass(frozen=True)
class PartRun:
    """A training that builds upon no other: ``images`` (or crops of them) in all, states in ``cache``."""

    cache: Path
    images: int
    seed: int = 0


@dataclass(frozen=True)
class Plan:
    """``images`` in all to see, ``batch`` of them a step; ``state`` is the checkpoint's path.

    ``rate``, ``warmup`` and ``decay`` as in ``schedule.learning_rate``; ``save_every`` in seconds;
    ``muon``: large matrices descend by Muon, all else by AdamW (``optimiser``).
    """

    state: Path
    images: int
    batch: int
    rate: float
    seed: int = 0
    warmup: int = 2000
    decay: float = 0.5
    save_every: float = 120.0
    muon: bool = False


def train(plan: Plan, modules: Mapping[str, nn.Module], loss_of: Loss) -> None:
    """Trains the modules until ``plan.images``, from the last checkpoint where there is one.

    Every parameter of the modules is trained: freeze by leaving out. AdamW (Loshchilov and Hutter
    2019), or Muon beside it, with clipped gradients and averaged weights.
    """
    parameters = [p for module in modules.values() for p in module.parameters()]
    optimiser: MuonAndAdamW | torch.optim.AdamW = (
        MuonAndAdamW(parameters, _BETAS, _WEIGHT_DECAY)
        if plan.muon
        else torch.optim.AdamW(parameters, betas=_BETAS, weight_decay=_WEIGHT_DECAY, fused=True)
    )
    average = Average(modules.values(), 0.998)
    checkpoint = Checkpoint(dict(modules), average, optimiser)
    counts: dict[str, float] = {"images": 0, "steps": 0, "seconds": 0, "passes": 0}
    if plan.state.exists():
        counts = checkpoint.load(plan.state)
    counts["passes"] += 1
    counts["data_version"] = DATA_VERSION
    rng = np.random.default_rng((plan.seed, int(counts["passes"])))
    torch.manual_seed(int(rng.integers(2**31)))
    saved = time.monotonic()
    recent = 0.0
    with tqdm(total=plan.images, initial=int(counts["images"]), unit="img") as bar:
        while counts["images"] < plan.images:
            for group in optimiser.param_groups:
                group["lr"] = learning_rate(
                    plan.rate, int(counts["images"]), plan.images, plan.warmup, plan.decay
                )
            loss = loss_of(rng)
            torch.autograd.backward(loss)
            nn.utils.clip_grad_norm_(parameters, 1.0)
            optimiser.step()
            optimiser.zero_grad()
            average.update(int(counts["steps"]))
            counts["images"] += plan.batch
            counts["steps"] += 1
            recent += 0.02 * (loss.item() - recent) if recent else loss.item()
            bar.update(plan.batch)
            bar.set_postfix(loss=f"{recent:.4f}", refresh=False)
            now = time.monotonic()
            if now - saved > plan.save_every or counts["images"] >= plan.images:
                counts["seconds"] += now - saved
                saved = now
                checkpoint.save(plan.state, counts)
                tqdm.write(f"{counts['images']:.0f} images, loss {recent:.4f}")

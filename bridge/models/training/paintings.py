"""Endless batches of fresh paintings, for the parts that learn from pixels."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from bridge.models.training.dataset import to_tensor
from bridge.models.training.painter import Painting, paint

SIDE = 128
SET = 1024
"""Paintings kept at a time."""

SEEDS_FROM = 500_000_000
"""These paintings have seeds that the denoiser never reaches, below those held out."""


class Paintings:
    """``batch`` paintings of 128 px a call, from a set of ``SET`` that changes every ``calls`` calls:
    painting one takes a tenth of the time of learning from it."""

    def __init__(self, batch: int, calls: int = 200) -> None:
        self._batch, self._calls = batch, calls
        self._set: list[Painting] = []
        self._left = 0

    def next(self, rng: np.random.Generator) -> list[Painting]:
        if not self._left:
            seeds = SEEDS_FROM + rng.integers(SEEDS_FROM, size=SET)
            self._set = [paint(int(seed), SIDE, SIDE) for seed in seeds]
            self._left = self._calls
        self._left -= 1
        return [self._set[i] for i in rng.integers(len(self._set), size=self._batch)]


def pixels_of(paintings: list[Painting]) -> Tensor:
    """N x 3 x H x W in -1..1."""
    return to_tensor(np.stack([p.image for p in paintings]))


def depths_of(paintings: list[Painting]) -> Tensor:
    """N x H x W in 0..1, 1 nearest."""
    return torch.from_numpy(np.stack([p.depth for p in paintings])).float() / 255

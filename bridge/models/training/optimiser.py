"""Muon for a network's large matrices, AdamW for all else, as one optimiser."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain
from typing import Any

import torch
from torch import Tensor, nn

_LEAST_SIDE = 64
"""In smaller matrices there is little to orthogonalise."""


class MuonAndAdamW:
    """Muon (Jordan et al. 2024), its steps as large as AdamW's (Liu et al. 2025, section 2.2), for
    large matrices, convolutions unrolled to outputs x inputs; AdamW (Loshchilov and Hutter 2019) for the
    other parameters. ``state`` is by parameter, as in torch's own optimisers.
    """

    def __init__(
        self, parameters: Iterable[nn.Parameter], betas: tuple[float, float], decay: float
    ):
        every = list(parameters)
        self._matrices = [p for p in every if _is_matrix(p)]
        others = [p for p in every if not _is_matrix(p)]
        self._unrolled = [nn.Parameter(_unrolled(p.data, p)) for p in self._matrices]
        self._muon = torch.optim.Muon(
            [{"params": self._unrolled}], weight_decay=decay, adjust_lr_fn="match_rms_adamw"
        )
        self._adam = torch.optim.AdamW(
            [{"params": others}], betas=betas, weight_decay=decay, fused=True
        )
        self.param_groups: list[dict[str, Any]] = [
            *self._muon.param_groups,
            *self._adam.param_groups,
        ]
        self.state: dict[Tensor, dict[str, Any]] = {p: self._adam.state[p] for p in others}
        for p, matrix in zip(self._matrices, self._unrolled, strict=True):
            self.state[p] = self._muon.state[matrix]

    @torch.no_grad()
    def step(self) -> None:
        for p, matrix in zip(self._matrices, self._unrolled, strict=True):
            matrix.grad = None if p.grad is None else _unrolled(p.grad, p)
        self._muon.step()  # type: ignore[no-untyped-call]
        self._adam.step()

    def zero_grad(self) -> None:
        for p in chain(self._matrices, self._unrolled):
            p.grad = None
        self._adam.zero_grad()


def _is_matrix(p: Tensor) -> bool:
    return p.ndim > 1 and min(p.shape[0], p[0].numel()) >= _LEAST_SIDE


def _unrolled(weight: Tensor, like: Tensor) -> Tensor:
    """Outputs x inputs, of ``like`` itself a view, so that a step on it changes the weight."""
    last = weight.ndim == 4 and not like.is_contiguous()
    return (weight.permute(0, 2, 3, 1) if last else weight).flatten(1)

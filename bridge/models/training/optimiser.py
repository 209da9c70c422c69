"""The denoiser's optimiser: Muon for the matrices inside, AdamW for all else."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain
from typing import Any

import torch
from torch import Tensor, nn

_LEAST_SIDE = 64
"""Smaller matrices, as the last convolution, are AdamW's: there is little to orthogonalise."""


class MuonAndAdamW:
    """Muon (Jordan et al. 2024), its steps as large as AdamW's (Liu et al. 2025, section 2.2), for the
    weights of ``inner`` that are large matrices, convolutions unrolled to outputs x inputs; AdamW
    (Loshchilov and Hutter 2019) for the others and for ``rest``.

    Each parameter group has a ``share`` of the learning rate. ``state`` is by parameter, as in torch's
    own optimisers.
    """

    def __init__(self, inner: Iterable[nn.Parameter], rest: Iterable[nn.Parameter], share: float):
        parameters = list(inner)
        self._matrices = [p for p in parameters if _is_matrix(p)]
        vectors = [p for p in parameters if not _is_matrix(p)]
        self._unrolled = [nn.Parameter(_unrolled(p.data)) for p in self._matrices]
        self._muon = torch.optim.Muon(
            [{"params": self._unrolled, "share": 1.0}],
            weight_decay=0.01,
            adjust_lr_fn="match_rms_adamw",
        )
        groups: list[dict[str, Any]] = [
            {"params": vectors, "share": 1.0},
            {"params": list(rest), "share": share, "weight_decay": 0.0},
        ]
        self._adam = torch.optim.AdamW(groups, betas=(0.9, 0.98), fused=True)
        self.param_groups: list[dict[str, Any]] = [
            *self._muon.param_groups,
            *self._adam.param_groups,
        ]
        self.state: dict[Tensor, dict[str, Any]] = {
            p: self._muon.state[matrix]
            for p, matrix in zip(self._matrices, self._unrolled, strict=True)
        }
        self.state |= {p: self._adam.state[p] for g in groups for p in g["params"]}

    @torch.no_grad()
    def step(self) -> None:
        for p, matrix in zip(self._matrices, self._unrolled, strict=True):
            matrix.grad = None if p.grad is None else _unrolled(p.grad)
        self._muon.step()  # type: ignore[no-untyped-call]
        self._adam.step()

    def zero_grad(self) -> None:
        for p in chain(self._matrices, self._unrolled):
            p.grad = None
        self._adam.zero_grad()


def _is_matrix(p: Tensor) -> bool:
    return p.ndim > 1 and min(p.shape[0], p[0].numel()) >= _LEAST_SIDE


def _unrolled(weight: Tensor) -> Tensor:
    """Outputs x inputs: of weights that lie channels last a view, so that a step changes them."""
    return (weight.permute(0, 2, 3, 1) if weight.ndim == 4 else weight).flatten(1)

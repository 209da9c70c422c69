"""What both trainings share: a learning rate that knows the end, and averaged weights."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import nn


def learning_rate(
    peak: float, seen: int, total: int, warmup: int, decay: float, begun: int = 0
) -> float:
    """Warm-up, a plateau, and a linear fall to 2 % of the peak over the last ``decay`` share.

    ``seen``, ``total`` and ``begun`` (where this run took up, its moments perhaps empty) count images. The plateau does not depend on ``total``, so a run can be
    lengthened or ended early from any checkpoint (Hu et al. 2024, MiniCPM).
    """
    rising = min(1.0, (seen - begun + 1) / warmup)
    falling = (total - seen) / (decay * total)
    return peak * min(rising, max(0.02, min(1.0, falling)))


class Average:
    """Exponential moving average of the weights of some modules, with a short memory at first."""

    def __init__(self, modules: Iterable[nn.Module], decay: float) -> None:
        self._parameters = [p for module in modules for p in module.parameters()]
        self._decay = decay
        self.values = [p.detach().clone() for p in self._parameters]

    @torch.no_grad()
    def update(self, step: int) -> None:
        decay = min(self._decay, (1 + step) / (10 + step))
        for value, parameter in zip(self.values, self._parameters, strict=True):
            value.lerp_(parameter, 1 - decay)

    def reset(self) -> None:
        """Begins anew from the weights as they are now."""
        for value, parameter in zip(self.values, self._parameters, strict=True):
            value.copy_(parameter.detach())

    @torch.no_grad()
    def swap(self) -> None:
        """Exchanges the averaged and the live weights; call again to undo."""
        for value, parameter in zip(self.values, self._parameters, strict=True):
            kept = parameter.detach().clone()
            parameter.copy_(value)
            value.copy_(kept)

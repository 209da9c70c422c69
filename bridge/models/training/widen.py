"""Weights of a narrower UNet for a wider one, so that what was learned goes on (Chen et al. 2016,
Net2Net, section 2.3: Net2WiderNet)."""

from __future__ import annotations

import torch
from torch import Tensor

_SINUSOID = "time_embedding.linear_1.weight"


def widened(name: str, old: Tensor, shape: torch.Size) -> Tensor:
    """The weight ``name`` of diffusers' UNet2DConditionModel or ControlNetModel, grown to ``shape``.

    Added channels are twins of the last ones there, beside them, so that the groups of a group norm
    stay together. What reads a pair takes a random share from each, so the twins' gradients differ,
    and the answer stays the same, but for group norms over an old and a doubled part. The time's
    sinusoid is another case: of twice as many frequencies every second one is an old one.
    """
    new = old
    for axis, size in enumerate(shape):
        added = size - old.shape[axis]
        if added == 0:
            continue
        if name.endswith(_SINUSOID) and axis == 1:
            new = torch.stack([new, torch.zeros_like(new)], dim=-1).flatten(1)
            continue
        kept, last = torch.split(new, [new.shape[axis] - added, added], dim=axis)
        if axis == 0:
            pair = [last, last]
        else:
            share = torch.randn_like(last) * 0.5 + 0.5
            pair = [last * share, last * (1 - share)]
        new = torch.cat([kept, torch.stack(pair, axis + 1).flatten(axis, axis + 1)], dim=axis)
    return new

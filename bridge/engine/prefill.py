"""What stands in the place of pixels that are to be painted anew, before the model sees them.

A VAE spreads every pixel over its neighbours, so the old content of a selection would leak into what is
kept. It is replaced by a smooth continuation of the surroundings.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F


def fill(picture: torch.Tensor, hole: torch.Tensor) -> torch.Tensor:
    """The picture with its hole filled smoothly from around it (pull-push: Gortler et al., The Lumigraph, 1996).

    `picture` 1 x C x H x W and `hole` 1 x 1 x H x W, 1 in the hole and 0 elsewhere. Pixels outside
    the hole stay exactly as they are. A hole without surroundings becomes mid grey.
    """
    known = 1 - hole
    if not known.any():
        return torch.full_like(picture, 0.5)
    return torch.where(hole > 0, _pull_push(picture * known, known), picture)


def _pull_push(weighted: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """Colours (premultiplied by `weight`, 0 to 1), interpolated wherever the weight falls short of 1."""
    if weight.min() >= 1 or weight.shape[-2:] == (1, 1):
        return weighted / weight.clamp(min=1e-6)
    pulled, pulled_weight = _half(weighted), _half(weight)
    # A coarse cell counts as known as soon as a quarter of it is: its colour is a true mean.
    gain = 1 / pulled_weight.clamp(min=0.25)
    coarse = _pull_push(pulled * gain, pulled_weight * gain)
    size = weighted.shape[-2:]
    filled = F.interpolate(coarse, size=size, mode="bilinear", align_corners=False)
    return weighted + (1 - weight) * filled


def _half(picture: torch.Tensor) -> torch.Tensor:
    return F.avg_pool2d(picture, 2, ceil_mode=True, count_include_pad=False)

"""Colours of what was painted, brought to those of the canvas around it."""

from __future__ import annotations

import torch

_LEAST = 1e-6
"""Variances well below this (a quarter of a level, squared) are flat: no contrast can be told from them."""


def match(picture: torch.Tensor, reference: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """`picture` in the colours of `reference`, both 1 x 3 x H x W, sRGB, about 0 to 1.

    Where `weights` (1 x 1 x H x W, 0 or more) are not 0 both show the same, and what differs there is what the
    model did to colours. Its mean and standard deviation are set to the reference's, channel by channel (Reinhard
    et al., Color transfer between images, 2001), over the weighted pixels only, and the same change is made
    everywhere. So an affine shift is undone exactly. The less both are alike (r squared), the less the contrast is
    touched: noise on a flat ground is no contrast.
    """
    total = weights.sum()
    if total <= 0:
        return picture
    share = weights / total
    mean, wanted = _mean(picture, share), _mean(reference, share)
    off, wanted_off = picture - mean, reference - wanted
    variance, wanted_variance = _mean(off**2, share), _mean(wanted_off**2, share)
    alike = _mean(off * wanted_off, share).clamp(min=0) ** 2
    alike = alike / (variance * wanted_variance + _LEAST**2)
    ratio = (wanted_variance / variance.clamp(min=_LEAST**2)).sqrt()
    return off * (1 + alike * (ratio - 1)) + wanted


def _mean(picture: torch.Tensor, share: torch.Tensor) -> torch.Tensor:
    return (picture * share).sum((-2, -1), keepdim=True)

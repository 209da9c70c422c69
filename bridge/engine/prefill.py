"""What stands in the place of pixels that are to be painted anew, before the model sees them.

A VAE spreads every pixel over its neighbours, so the old content of a selection would leak into what is
kept; and below full strength the painting begins from what stands there. Each mode names its prefill
(`wire/modes.py`). All of them work on a picture 1 x 3 x H x W, sRGB, 0 to 1, and a hole 1 x 1 x H x W,
1 in the hole and 0 elsewhere; pixels outside the hole stay exactly as they are, what was in it does not matter.
"""

from __future__ import annotations

import math

import cv2
import numpy as np
import torch
import torch.nn.functional as F

from krita_plugin.krita_bridge.wire.modes import Prefill

MOST_INPAINTED = 1 << 16
"""Pixels of a hole that are inpainted at full size; larger holes are done at a fraction. Five microseconds each."""

_REACH = 5
"""Radius, px, of the surroundings that a pixel is inpainted from."""


def prefill(
    kind: Prefill, picture: torch.Tensor, hole: torch.Tensor, paint: torch.Tensor | None = None
) -> torch.Tensor:
    """The picture with its hole filled the way `kind` says. A hole without surroundings becomes mid grey.

    `paint`, like `hole`, is 0 where the canvas is transparent: nothing is taken from there.
    """
    if kind is Prefill.KEEP:
        return picture
    known = 1 - hole if paint is None else (1 - hole) * paint
    if not known.any():
        return torch.full_like(picture, 0.5)
    filled = _FILLS[kind](picture * known, known)
    return torch.where(hole > 0, filled, picture)


def _surroundings(visible: torch.Tensor, known: torch.Tensor) -> torch.Tensor:
    """A smooth membrane (pull-push: Gortler et al., The Lumigraph, 1996)."""
    return pull_push(visible, known)


def _neutral(visible: torch.Tensor, known: torch.Tensor) -> torch.Tensor:
    axes = (-2, -1)
    mean = visible.sum(axes, keepdim=True) / known.sum(axes, keepdim=True)
    return mean.expand_as(visible)


def _inpainted(visible: torch.Tensor, known: torch.Tensor) -> torch.Tensor:
    """Bertalmio et al., Navier-Stokes, fluid dynamics, and image and video inpainting, 2001."""
    step = math.ceil(math.sqrt(max(1.0, float((1 - known).sum()) / MOST_INPAINTED)))
    weight = F.avg_pool2d(known, step, ceil_mode=True, count_include_pad=False)
    colours = F.avg_pool2d(visible, step, ceil_mode=True, count_include_pad=False)
    colours = colours / weight.clamp(min=1e-6)
    pixels = (colours[0].permute(1, 2, 0) * 255).round().clamp(0, 255).to(torch.uint8)
    empty = (weight[0, 0] == 0).to(torch.uint8)
    done = cv2.inpaint(np.ascontiguousarray(pixels.numpy()), empty.numpy(), _REACH, cv2.INPAINT_NS)
    filled = torch.from_numpy(done).permute(2, 0, 1)[None].float() / 255
    if step == 1:
        return filled
    height, width = known.shape[-2:]
    larger = F.interpolate(filled, scale_factor=step, mode="bilinear", align_corners=False)
    return larger[..., :height, :width]


_FILLS = {
    Prefill.SURROUNDINGS: _surroundings,
    Prefill.INPAINT: _inpainted,
    Prefill.NEUTRAL: _neutral,
}


def pull_push(weighted: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """Colours (premultiplied by `weight`, 0 to 1), interpolated wherever the weight falls short of 1."""
    if weight.min() >= 1 or weight.shape[-2:] == (1, 1):
        return weighted / weight.clamp(min=1e-6)
    pulled, pulled_weight = _half(weighted), _half(weight)
    # A coarse cell counts as known as soon as a quarter of it is: its colour is a true mean.
    gain = 1 / pulled_weight.clamp(min=0.25)
    coarse = pull_push(pulled * gain, pulled_weight * gain)
    size = weighted.shape[-2:]
    filled = F.interpolate(coarse, size=size, mode="bilinear", align_corners=False)
    return weighted + (1 - weight) * filled


def _half(picture: torch.Tensor) -> torch.Tensor:
    return F.avg_pool2d(picture, 2, ceil_mode=True, count_include_pad=False)

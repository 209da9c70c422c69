"""What a selection means: how strongly each latent is repainted, and how the repainted meets the old.

A grey value of a selection is a strength (Levin & Fried, Differential diffusion, 2023): what is selected to a half is
changed half as much. A latent cannot follow a selection more finely than its own size, so it takes the greatest
strength near it, and what a pixel asked for less than that is left to the result's alpha. A hard selection, smooth
edge or not, is therefore painted at one strength, with its own edge as alpha; one feathered wider than a few latents
is painted at its strengths, and shows as it is painted.
"""

from __future__ import annotations

import math

import cv2
import numpy as np
import torch
import torch.nn.functional as F

from bridge.engine.plan import Plan
from bridge.engine.resample import pad
from bridge.engine.types import MaskU8
from krita_plugin.krita_bridge.wire.geometry import Bounds, Extent

GROW = 4
"""Working px by which the repainted region exceeds the selection."""

BLEND = 6
"""Document px inside a selection's edge over which the source goes over into the generated."""


def levels(mask: MaskU8, plan: Plan, latent_scale: int) -> torch.Tensor:
    """How strongly each latent is repainted: 1 x 1 x h x w float32, whole numbers, 0 (not at all) to 255.

    The greatest value of the selection, grown by `GROW`, that the latent touches at all.
    """
    if mask.min() == mask.max():
        working = plan.working
        size = (1, 1, working.height // latent_scale, working.width // latent_scale)
        return torch.full(size, float(mask.max()))
    grown = torch.from_numpy(_dilate(_touched(mask, plan.content.extent), GROW))
    return F.max_pool2d(pad(grown[None, None].float(), plan), latent_scale)


def coverage(mask: MaskU8, plan: Plan, latent_scale: int) -> MaskU8:
    """The alpha of a result: what each pixel asked for, as a share of the strength that is given near it.

    The size and the zeros of `mask`; 255 wherever the selection is as strong as anything close by.
    """
    if ((mask == 0) | (mask == 255)).all():
        return mask
    reach, source, content = GROW + latent_scale, plan.source, plan.content
    across = math.ceil(reach * source.width / content.width)
    down = math.ceil(reach * source.height / content.height)
    box = cv2.getStructuringElement(cv2.MORPH_RECT, (2 * across + 1, 2 * down + 1))
    given = np.maximum(cv2.dilate(mask, box), 1).astype(np.uint16)
    return ((mask.astype(np.uint16) * 255 + given // 2) // given).astype(np.uint8)


def _touched(mask: MaskU8, extent: Extent) -> MaskU8:
    """The selection at another size: in every pixel the greatest value that it touches at all."""
    if mask.shape == (extent.height, extent.width):
        return mask
    values = torch.tensor(mask)[None, None].float()  # a copy: what came over the wire is read-only
    resized = F.adaptive_max_pool2d(values, (extent.height, extent.width))
    return resized[0, 0].to(torch.uint8).numpy()


def blend_weights(mask: MaskU8, box: Bounds) -> torch.Tensor:
    """How much of the generated colour shows inside `box`, the tight one: H x W float32.

    Above 0 and up to 1 for selected pixels. It rises from the selection's edge inwards over `BLEND`
    px, or over half the width where the selection is narrower than twice that, so that a thin
    stroke is repainted too. The edge of the capture is no edge of the selection.
    """
    top, left = max(box.y - 1, 0), max(box.x - 1, 0)
    surrounded = mask[top : box.bottom + 1, left : box.right + 1]
    inside = (surrounded > 0).astype(np.uint8)
    depth, eroded = inside.copy(), inside
    for _ in range(BLEND - 1):
        eroded = 1 - _dilate(1 - eroded, 1)
        depth += eroded
    weights = torch.from_numpy(depth).float() / torch.from_numpy(_dilate(depth, BLEND)).clamp_(
        min=1
    )
    return weights[box.y - top :, box.x - left :][: box.height, : box.width]


def _dilate(values: MaskU8, radius: int) -> MaskU8:
    """Maximum over a square of side 2 radius + 1, one axis after the other; nothing lies beyond the border."""
    for _axis in range(2):
        spread = values.copy()
        for shift in range(1, min(radius, len(values) - 1) + 1):
            np.maximum(spread[shift:], values[:-shift], out=spread[shift:])
            np.maximum(spread[:-shift], values[shift:], out=spread[:-shift])
        values = spread.T
    return np.ascontiguousarray(values)

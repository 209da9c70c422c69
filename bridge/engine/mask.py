"""Two masks from one selection: what the model repaints, and how the repainted meets the old.

The composite mask is the selection itself. What is generated is a little more, so that every pixel
that shows was repainted; how colours meet is decided only inside the selection.
"""

from __future__ import annotations

from typing import TypeVar

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from bridge.engine.plan import Plan
from bridge.engine.resample import pad
from bridge.engine.types import MaskU8
from krita_plugin.krita_bridge.wire.geometry import Bounds, Extent

_Number = TypeVar("_Number", np.bool_, np.uint8)

GROW = 4
"""Working px by which the repainted region exceeds the selection."""

BLEND = 6
"""Document px inside a selection's edge over which the source goes over into the generated."""


def generated(mask: MaskU8, plan: Plan, latent_scale: int) -> torch.Tensor:
    """Which latents are repainted: 1 x 1 x h x w float32, 1 or 0.

    Every latent that the selection, grown by `GROW`, touches at all.
    """
    if mask.all():
        working = plan.working
        return torch.ones(1, 1, working.height // latent_scale, working.width // latent_scale)
    touched = _touched(mask > 0, plan.content.extent)
    grown = torch.from_numpy(_dilate(touched, GROW))[None, None].float()
    return F.max_pool2d(pad(grown, plan), latent_scale)


def _touched(selected: NDArray[np.bool_], extent: Extent) -> NDArray[np.bool_]:
    """The selection at another size: every pixel that it touches at all."""
    if selected.shape == (extent.height, extent.width):
        return selected
    values = torch.from_numpy(selected)[None, None].float()
    resized = F.adaptive_max_pool2d(values, (extent.height, extent.width))
    touched: NDArray[np.bool_] = resized[0, 0].numpy() > 0
    return touched


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


def _dilate(values: NDArray[_Number], radius: int) -> NDArray[_Number]:
    """Maximum over a square of side 2 radius + 1, one axis after the other; nothing lies beyond the border."""
    for _axis in range(2):
        spread = values.copy()
        for shift in range(1, min(radius, len(values) - 1) + 1):
            np.maximum(spread[shift:], values[:-shift], out=spread[shift:])
            np.maximum(spread[:-shift], values[shift:], out=spread[:-shift])
        values = spread.T
    return np.ascontiguousarray(values)

"""Pixels between the document and the working picture, exactly as `Plan` maps them."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F

from bridge.engine.plan import Plan
from krita_plugin.krita_bridge.wire.geometry import Bounds, Extent


def to_working(picture: torch.Tensor, plan: Plan) -> torch.Tensor:
    """A picture 1 x C x H x W of `plan.source` as the working picture; padding repeats the border."""
    if plan.is_plain:
        return picture
    return pad(resize(picture, plan.content.extent), plan)


def pad(content: torch.Tensor, plan: Plan) -> torch.Tensor:
    """1 x C x H x W of the size of `plan.content`, with its border repeated to the size of `plan.working`."""
    left, top = plan.content.x, plan.content.y
    right = plan.working.width - plan.content.right
    bottom = plan.working.height - plan.content.bottom
    if not (left or top or right or bottom):
        return content
    return F.pad(content, (left, right, top, bottom), mode="replicate")


def from_working(picture: torch.Tensor, plan: Plan) -> torch.Tensor:
    """The working picture 1 x C x H x W as a picture of `plan.target` at document resolution."""
    if plan.is_plain:
        return picture
    content = crop(picture, plan.content)
    return crop(resize(content, plan.source.extent), plan.target.relative_to(plan.source))


def crop(picture: torch.Tensor, bounds: Bounds) -> torch.Tensor:
    """The part of a picture 1 x C x H x W inside `bounds`, without copying."""
    return picture[..., bounds.y : bounds.bottom, bounds.x : bounds.right]


def resize(picture: torch.Tensor, extent: Extent) -> torch.Tensor:
    """Resize 1 x C x H x W with a cubic filter (Keys 1981, a = -0.5), widened when shrinking; clipped to 0 to 1."""
    if picture.shape[-2:] == (extent.height, extent.width):
        return picture
    size = (extent.height, extent.width)
    resized = F.interpolate(picture, size, mode="bicubic", align_corners=False, antialias=True)
    return resized.clamp(0, 1)


def spread(plan: Plan) -> int:
    """Working px over which `to_working` mixes a pixel into others: two of the larger kind each way, and the diagonal."""
    if not plan.is_scaled:
        return 0
    return math.ceil(3 * max(1.0, plan.content.width / plan.source.width))

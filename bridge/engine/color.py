"""Numbers for colours. Pictures are float32 tensors 1 x 3 x H x W, sRGB, 0 to 1, unless said otherwise."""

from __future__ import annotations

import numpy as np
import torch

from bridge.engine.types import ImageU8


def over_white(image: ImageU8) -> torch.Tensor:
    """An H x W x 4 image (straight alpha) on white paper, as a picture 1 x 3 x H x W.

    What is transparent has no colour of its own; the bytes under zero alpha do not show.
    """
    picture = planes(image)[None]
    colour, alpha = picture[:, :3], picture[:, 3:]
    if image[..., 3].min() == 255:
        return colour
    return colour.mul_(alpha).add_(1 - alpha)


def planes(image: ImageU8) -> torch.Tensor:
    """An H x W x 4 image as 4 x H x W float32, 0 to 1, in memory of its own."""
    pixels = torch.from_numpy(np.require(image, requirements=["C", "W"]))
    return pixels.permute(2, 0, 1).contiguous().float().mul_(1 / 255)


def to_u8(picture: torch.Tensor) -> torch.Tensor:
    """0 to 1 -> bytes: rounded (truncation would lose half a level), clipped."""
    return (picture * 255).round_().clamp_(0, 255).to(torch.uint8)


def to_model(picture: torch.Tensor) -> torch.Tensor:
    """0 to 1 -> the -1 to 1 a VAE works in."""
    return (picture * 2).sub_(1)


def from_model(picture: torch.Tensor) -> torch.Tensor:
    """-1 to 1 -> 0 to 1, clipped: decoders overshoot."""
    return (picture * 0.5).add_(0.5).clamp_(0, 1)

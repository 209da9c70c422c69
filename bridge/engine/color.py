"""Numbers for colours. Pictures are float32 tensors 1 x 3 x H x W, sRGB, 0 to 1, unless said otherwise."""

from __future__ import annotations

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from bridge.engine.types import ImageU8

_HALF, _MINUS_ONE = torch.tensor(0.5), torch.tensor(-1.0)


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
    return torch.from_numpy(cv2.dnn.blobFromImage(image, 1 / 255))[0]


def to_u8(picture: torch.Tensor) -> NDArray[np.uint8]:
    """0 to 1 -> bytes: rounded (truncation would lose half a level), clipped."""
    row = picture.clamp(0, 1).numpy().reshape(1, -1)
    return np.asarray(cv2.convertScaleAbs(row, alpha=255), np.uint8).reshape(picture.shape)


def to_model(picture: torch.Tensor) -> torch.Tensor:
    """0 to 1 -> the -1 to 1 a VAE works in."""
    return torch.add(_MINUS_ONE, picture, alpha=2)


def from_model(picture: torch.Tensor) -> torch.Tensor:
    """-1 to 1 -> 0 to 1, clipped: decoders overshoot."""
    return torch.add(_HALF, picture, alpha=0.5).clamp_(0, 1)

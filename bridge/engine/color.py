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
    picture = colour(image)
    if image[..., 3].min() == 255:
        return picture
    covered = alpha(image)
    return picture.mul_(covered).add_(1 - covered)


def on_paper(image: ImageU8) -> NDArray[np.uint8]:
    """The same as H x W x 3 uint8."""
    return np.ascontiguousarray(np.moveaxis(to_u8(over_white(image)[0]), 0, -1))


def colour(image: ImageU8) -> torch.Tensor:
    """Red, green and blue of an H x W x 4 image, whatever its alpha: 1 x 3 x H x W, 0 to 1, in memory of its own."""
    # OpenCV is six times as slow with all four channels at once.
    return torch.from_numpy(cv2.dnn.blobFromImage(cv2.cvtColor(image, cv2.COLOR_RGBA2RGB), 1 / 255))


def alpha(image: ImageU8) -> torch.Tensor:
    """The alpha of an H x W x 4 image: 1 x 1 x H x W, 0 to 1, in memory of its own."""
    return torch.from_numpy(cv2.dnn.blobFromImage(cv2.extractChannel(image, 3), 1 / 255))


def to_u8(picture: torch.Tensor) -> NDArray[np.uint8]:
    """0 to 1 -> bytes: rounded (truncation would lose half a level), clipped."""
    row = picture.clamp(0, 1).numpy().reshape(1, -1)
    return np.asarray(cv2.convertScaleAbs(row, alpha=255), np.uint8).reshape(picture.shape)


def to_model(picture: torch.Tensor) -> torch.Tensor:
    """0 to 1 -> the -1 to 1 a VAE works in."""
    return torch.add(_MINUS_ONE, picture, alpha=2)


def from_model(picture: torch.Tensor) -> torch.Tensor:
    """-1 to 1 -> 0 to 1, clipped: decoders overshoot. Done in place."""
    return torch.add(_HALF, picture, alpha=0.5, out=picture).clamp_(0, 1)

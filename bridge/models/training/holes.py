"""What is to be painted of a picture and what is there: the five further inputs of a UNet that inpaints.

The layout is that of Stable Diffusion's inpainting models (Rombach et al. 2022): the mask, and the
latents of the picture with mid grey in the mask. A mask over everything makes it text to image.
"""

from __future__ import annotations

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bridge.models.training.networks import LATENT_FACTOR, Net

WHOLE = 0.4
"""Share of masks over everything."""

KEPT_WEIGHT = 0.1
"""How much of the loss counts where nothing is to be painted: there the answer is among the inputs."""


AROUND_THINGS = 0.5
"""Share of the other masks that lie around the main thing, as a selection for it would: in a hole
anywhere, what the caption names is often not to be painted at all."""


def draw_holes(
    rng: np.random.Generator,
    latents: Tensor,
    things: Tensor | None = None,
    only_around: bool = False,
) -> Tensor:
    """A mask for each of the latents, N x 1 x h x w float32, 1 where something is to be painted.

    ``things``, of the same shape, is 1 where the main thing is; ``only_around``: all masks lie around it.
    """
    whole, around = (0.0, 1.0) if only_around else (WHOLE, AROUND_THINGS)
    count, _, height, width = latents.shape
    shown = np.zeros((count, height, width)) if things is None else things[:, 0].numpy()
    drawn = [
        np.ones((height, width)) if rng.random() < whole else _hole(rng, thing, around)
        for thing in shown
    ]
    return torch.from_numpy(np.stack(drawn)).float()[:, None]


def _hole(
    rng: np.random.Generator, thing: NDArray[np.float64], around: float
) -> NDArray[np.float64]:
    """With a chance of ``around`` about a thing h x w, which may be nowhere. Never empty."""
    if thing.any() and rng.random() < around:
        return _around(rng, thing)
    return _anywhere(rng, *thing.shape)


def _around(rng: np.random.Generator, thing: NDArray[np.float64]) -> NDArray[np.float64]:
    """The thing's outline, box or an ellipse about it, with room of up to a fifth of the picture."""
    hole: NDArray[np.uint8] = thing.astype(np.uint8)
    room = int(rng.integers(max(thing.shape) // 5 + 1))
    kind = int(rng.integers(3))
    x, y, width, height = cv2.boundingRect(hole)
    if kind == 0:
        brush = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * room + 1,) * 2)
        hole = cv2.dilate(hole, brush).astype(np.uint8)
    elif kind == 1:
        hole[max(0, y - room) : y + height + room, max(0, x - room) : x + width + room] = 1
    else:
        middle = (x + width // 2, y + height // 2)
        half = (round(width * 0.71) + room // 2, round(height * 0.71) + room // 2)
        cv2.ellipse(hole, middle, half, 0, 0, 360, 1, cv2.FILLED)
    return hole.astype(np.float64)


def _anywhere(rng: np.random.Generator, height: int, width: int) -> NDArray[np.float64]:
    """A box, an ellipse or a stroke with a brush; now and then all but that. Never empty."""
    hole = np.zeros((height, width), dtype=np.uint8)
    size = np.array([width, height])
    middle = (size * rng.uniform(0.15, 0.85, 2)).astype(int)
    half = np.maximum(1, size * rng.uniform(0.1, 0.5, 2)).astype(int)
    kind = int(rng.integers(3))
    if kind == 0:
        cv2.rectangle(hole, (middle - half).tolist(), (middle + half).tolist(), 1, cv2.FILLED)
    elif kind == 1:
        cv2.ellipse(hole, middle.tolist(), half.tolist(), 0, 0, 360, 1, cv2.FILLED)
    else:
        points = (size * rng.uniform(0.05, 0.95, (int(rng.integers(2, 5)), 2))).astype(np.int32)
        cv2.polylines(hole, [points], False, 1, int(rng.integers(2, max(3, min(size) // 2))))
    if rng.random() < 0.15:
        hole = 1 - hole
    if not hole.any():
        hole[:] = 1
    return hole.astype(np.float64)


@torch.no_grad()
def grey_latent(vae: Net) -> Tensor:
    """1 x 4 x 1 x 1: what mid grey is in scaled latents."""
    side = 4 * LATENT_FACTOR
    latents: Tensor = vae.encode(torch.zeros(1, 3, side, side)).latents * vae.config.scaling_factor
    return latents[..., 1:2, 1:2]


def inputs_of(latents: Tensor, holes: Tensor, grey: Tensor) -> Tensor:
    """N x 5 x h x w from N x 4 x h x w scaled latents and N x 1 x h x w holes."""
    return torch.cat([holes, torch.where(holes > 0, grey, latents)], dim=1)


def loss_weights(holes: Tensor) -> Tensor:
    """N x 1 x h x w with a mean of 1."""
    weights = torch.where(holes > 0, 1.0, KEPT_WEIGHT)
    return weights / weights.mean()

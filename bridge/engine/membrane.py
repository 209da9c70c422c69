"""Colours at a selection's border, brought to those of the canvas that they meet there."""

from __future__ import annotations

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from bridge.engine.prefill import pull_push
from bridge.pixels import tight_bounds

OUTSIDE, INSIDE = 4, 8
"""Width of the rings on both sides of a border that its shift is read from, working px. Every latent that a selection
touches is painted anew, so the ring outside shows what the model made of what is known there."""

REACH, KEPT_REACH = 16, 32
"""Working px inside a border over which a correction goes down to nothing: where the content is new, two latents,
and where it is kept."""

_SMOOTH = 3.0
"""Standard deviation, px, of the blur that leaves shifts and takes details."""


def meet(
    painted: torch.Tensor,
    picture: torch.Tensor,
    selected: torch.Tensor,
    known: torch.Tensor,
    keeps_content: bool,
    spread: int = 0,
) -> torch.Tensor:
    """`painted` without the step in colour at the border of what is `selected`.

    `painted` and `picture` are 1 x 3 x H x W, sRGB, about 0 to 1; `selected` and `known` 1 x 1 x H x W, 0 or 1:
    outside `known` the picture says nothing; for `spread` px beyond the border resampling has mixed in what was
    inside. The difference on a ring just outside the border is continued inwards as a smooth membrane and added (Pérez
    et al., Poisson image editing, 2003, in the form of Farbman et al., Coordinates for instant image cloning, 2009:
    source plus membrane); the membrane is made by pull-push. Unlike theirs it ends within `REACH` of the border, or in
    the middle of what is narrower, so that the colour that was asked for stays. With `keeps_content` what is inside is
    to look like what was there, so a ring inside the border is read too, and it ends within `KEPT_REACH`. Only pixels
    that are selected change.
    """
    pixels = selected[0, 0].numpy() > 0
    box = tight_bounds(pixels.astype(np.uint8))
    if box.is_empty or pixels.all():
        return painted
    margin = spread + OUTSIDE + 1
    part = (
        ...,
        slice(max(0, box.y - margin), box.bottom + margin),
        slice(max(0, box.x - margin), box.right + margin),
    )
    inside = pixels[part].astype(np.uint8)
    depth, distance = _distance(inside), _distance(1 - inside)
    ring = (distance > spread) & (distance <= spread + OUTSIDE)
    if keeps_content:
        ring |= (depth > 0) & (depth <= INSIDE)
    weight = torch.from_numpy(ring.astype(np.float32))[None, None] * known[part]
    if not weight.any():
        return painted
    shift = (picture[part] - painted[part]) * weight
    membrane = pull_push(shift, weight)[0].permute(1, 2, 0).contiguous().numpy()
    smooth = torch.from_numpy(cv2.GaussianBlur(membrane, (0, 0), _SMOOTH)).permute(2, 0, 1)
    fade = _fade(depth, KEPT_REACH if keeps_content else REACH)
    corrected = painted.clone()
    corrected[part] += smooth * torch.from_numpy(np.where(inside, fade, 0))
    return corrected


def _fade(depth: NDArray[np.float32], reach: int) -> NDArray[np.float32]:
    """1 at the border, 0 from `reach` px inwards (and in the middle of what is narrower), level at both ends (Perlin,
    Improving noise, 2002). `depth`: px, 0 outside and 1 in the first row inside."""
    half_width = cv2.dilate(np.minimum(depth, reach), np.ones((4 * reach + 1, 4 * reach + 1)))
    # Where a thin part leaves a wide one, the one goes over into the other.
    half_width = cv2.blur(half_width, (2 * reach + 1, 2 * reach + 1))
    share = np.clip((depth - 0.5) / np.maximum(half_width, 1), 0, 1)
    return np.asarray(1 - share**3 * (share * (6 * share - 15) + 10), np.float32)


def _distance(values: NDArray[np.uint8]) -> NDArray[np.float32]:
    """How far each pixel is from the nearest 0, px; 0 there."""
    return np.asarray(cv2.distanceTransform(values, cv2.DIST_L2, 5), np.float32)

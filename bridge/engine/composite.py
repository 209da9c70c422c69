"""Result layers, in pixel space and at document resolution. Latents are never blended: that cannot be exact."""

from __future__ import annotations

import copy

import numpy as np
import torch
from numpy.typing import NDArray

from bridge.engine.color import planes, to_u8
from bridge.engine.mask import blend_weights, coverage
from bridge.engine.plan import Plan
from bridge.engine.resample import from_working
from bridge.engine.types import ImageU8, MaskU8
from krita_plugin.krita_bridge.wire.geometry import Bounds
from krita_plugin.krita_bridge.wire.modes import Blend


class Compositor:
    """Makes result layers of the size of `plan.target` from what the model painted."""

    def __init__(
        self,
        plan: Plan,
        image: ImageU8 | None,
        mask: MaskU8,
        latent_scale: int,
        blend: Blend = Blend.SOFT,
    ) -> None:
        """`image` (RGBA) and `mask` have the size of `plan.source`."""
        self._plan = plan
        part = _slices(plan.target.relative_to(plan.source))
        self._mask = mask[part]
        self._alpha = self._mask if image is None else coverage(mask, plan, latent_scale)[part]
        self._image = None if image is None else image[part]
        self._weights = None
        if blend is Blend.SOFT and image is not None and not mask.all():
            self._weights = blend_weights(mask, plan.target.relative_to(plan.source))

    def over(self, colours: torch.Tensor) -> Compositor:
        """The same, but what is painted goes over into `colours` (3 x H x W uint8 of the size of `plan.target`)
        instead of the source's: for selections whose old content is to go, up to its edge."""
        made = copy.copy(self)
        made._image = np.full((*self._mask.shape, 4), 255, np.uint8)
        made._image[..., :3] = colours.permute(1, 2, 0).numpy()
        return made

    def layer(self, working: torch.Tensor) -> ImageU8:
        """The layer for a working picture 1 x 3 x H x W, 0 to 1.

        Alpha is the selection's `coverage`, so that laying it over the source blends smooth edges as Krita
        does. With `Blend.SOFT` the colour goes over into the source's just inside an edge.
        """
        painted = from_working(working, self._plan)[0]
        if self._image is not None and self._weights is not None:
            painted = _blend(painted, self._image, self._weights)
        return _layer(to_u8(painted).numpy(), self._alpha)

    def unchanged(self) -> ImageU8:
        """The layer that changes nothing: the source's colours where it is opaque, else nothing."""
        if self._image is None:
            return np.zeros((*self._mask.shape, 4), np.uint8)
        opaque = np.where(self._image[..., 3] == 255, self._mask, 0).astype(np.uint8)
        return _layer(np.moveaxis(self._image, -1, 0)[:3], opaque)


def _slices(bounds: Bounds) -> tuple[slice, slice]:
    return slice(bounds.y, bounds.bottom), slice(bounds.x, bounds.right)


def _blend(painted: torch.Tensor, image: ImageU8, weights: torch.Tensor) -> torch.Tensor:
    """Painted colour by its weight, the source's by the rest and by its alpha: nothing shows no colour."""
    pixels = planes(image)
    source = (1 - weights) * pixels[3]
    mixed = (painted * weights).add_(pixels[:3].mul_(source))
    return mixed.div_((weights + source).clamp_(min=1e-6))


def _layer(colour: NDArray[np.uint8], alpha: MaskU8) -> ImageU8:
    """3 x H x W and H x W as one layer H x W x 4, without colour where it is transparent."""
    layer = np.empty((*alpha.shape, 4), np.uint8)
    for channel, plane in enumerate((*colour, alpha)):  # five times as fast as all three at once
        layer[..., channel] = plane
    if not alpha.all():
        layer[alpha == 0] = 0
    return layer

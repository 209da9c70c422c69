"""Result layers, in pixel space and at document resolution. Latents are never blended: that cannot be exact."""

from __future__ import annotations

import copy

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from bridge.engine.color import alpha, colour, to_u8
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
        mask: MaskU8 | None,
        latent_scale: int,
        blend: Blend = Blend.SOFT,
    ) -> None:
        """`image` (RGBA) and `mask` have the size of `plan.source`; without a mask all of it is selected."""
        self._plan = plan
        box = plan.target.relative_to(plan.source)
        part = _slices(box)
        self._image = None if image is None else image[part]
        self._weights = None
        if mask is None:
            self._mask = self._alpha = np.full((box.height, box.width), 255, np.uint8)
            self._is_full = True
            return
        self._mask = mask[part]
        self._alpha = self._mask if image is None else coverage(mask, plan, latent_scale)[part]
        self._is_full = bool(self._alpha.all())
        if blend is Blend.SOFT and image is not None and not mask.all():
            self._weights = blend_weights(mask, box)

    def over(self, colours: NDArray[np.uint8]) -> Compositor:
        """The same, but what is painted goes over into `colours` (3 x H x W uint8 of the size of `plan.target`)
        instead of the source's: for selections whose old content is to go, up to its edge."""
        made = copy.copy(self)
        made._image = np.full((*self._mask.shape, 4), 255, np.uint8)
        made._image[..., :3] = np.moveaxis(colours, 0, -1)
        return made

    def layer(self, working: torch.Tensor) -> ImageU8:
        """The layer for a working picture 1 x 3 x H x W, 0 to 1.

        Alpha is the selection's `coverage`, so that laying it over the source blends smooth edges as Krita
        does. With `Blend.SOFT` the colour goes over into the source's just inside an edge. Where alpha is 0 so is
        the colour: `copyTo` leaves zeros there.
        """
        painted = from_working(working, self._plan)[0]
        if self._image is not None and self._weights is not None:
            painted = _blend(painted, self._image, self._weights)
        layer = cv2.merge((*to_u8(painted), self._alpha))
        return np.asarray(layer if self._is_full else cv2.copyTo(layer, self._alpha), np.uint8)

    def unchanged(self) -> ImageU8:
        """The layer that changes nothing: the source's colours where it is opaque, else nothing."""
        if self._image is None:
            return np.zeros((*self._mask.shape, 4), np.uint8)
        layer = self._image.copy()
        layer[..., 3] = np.where(self._image[..., 3] == 255, self._mask, 0)
        return np.asarray(cv2.copyTo(layer, layer[..., 3]), np.uint8)


def _slices(bounds: Bounds) -> tuple[slice, slice]:
    return slice(bounds.y, bounds.bottom), slice(bounds.x, bounds.right)


def _blend(painted: torch.Tensor, image: ImageU8, weights: torch.Tensor) -> torch.Tensor:
    """Painted colour by its weight, the source's by the rest and by its alpha: nothing shows no colour."""
    source = (1 - weights) * alpha(image)[0]
    mixed = (painted * weights).add_(colour(image)[0].mul_(source))
    return mixed.div_((weights + source).clamp_(min=1e-6))

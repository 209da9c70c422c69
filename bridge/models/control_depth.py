"""Monocular depth estimators for `transformers`: DPT and MiDaS (Ranftl et al., 2021), Depth Anything (Yang et al., 2024)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from transformers import AutoModelForDepthEstimation

from bridge.models import folder
from bridge.models.control import OnProgress
from bridge.models.estimator import Estimator, load_estimator
from bridge.models.hashing import HashCache
from bridge.presets import PartFolder

_FLAT = 1e-6
"""Less than this share of the largest value between near and far is no relief but rounding."""

FLAT_DEPTH = 0.5
"""What a picture without any relief is: neither near nor far."""


@dataclass(frozen=True, eq=False)
class DepthEstimator(Estimator):
    """Tells what is near from what is far."""

    @torch.no_grad()
    def __call__(self, picture: NDArray[np.uint8]) -> NDArray[np.float32]:
        """H x W x 3 uint8 sRGB to H x W float32: 1 the nearest and 0 the farthest of the picture; `FLAT_DEPTH` all over
        where nothing is nearer than the rest.
        """
        given = self.processor(images=picture, return_tensors="pt").pixel_values
        found = self.model(given.to(self.model.device)).predicted_depth.float().cpu()
        if getattr(self.model.config, "depth_estimation_type", "relative") == "metric":
            found = 1 / found.clamp(min=1e-3)  # metres, and the far ones the larger
        size = picture.shape[:2]
        found = F.interpolate(found[:, None], size, mode="bicubic", align_corners=False)
        return normalised(found[0, 0]).numpy()


def normalised(depth: torch.Tensor) -> torch.Tensor:
    """Spread to 0 to 1. diffusers' pipelines divide by the spread as it is, which is 0 / 0 for a flat map."""
    low, high = torch.aminmax(depth)
    if high - low <= _FLAT * max(abs(float(low)), abs(float(high))):
        return torch.full_like(depth, FLAT_DEPTH)
    return (depth - low) / (high - low)


def load_depth_estimator(
    source: PartFolder, device: torch.device, hashes: HashCache, on_progress: OnProgress
) -> DepthEstimator:
    """Raises BridgeError as loading a model does."""
    auto = AutoModelForDepthEstimation
    return load_estimator(DepthEstimator, source, folder.DEPTH, auto, device, hashes, on_progress)

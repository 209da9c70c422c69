"""Semantic segmentation for `transformers`: UPerNet (Xiao et al., 2018), SegFormer (Xie et al., 2021)."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from transformers import AutoModelForSemanticSegmentation

from bridge.errors import BridgeError, Code
from bridge.models import folder
from bridge.models.control import OnProgress
from bridge.models.estimator import Estimator, load_estimator
from bridge.models.hashing import HashCache
from bridge.presets import PartFolder

CLASSES = 150
"""Those of ADE20K's scene parsing benchmark (Zhou et al., Scene parsing through ADE20K dataset, 2017), wall first."""


@dataclass(frozen=True, eq=False)
class Segmenter(Estimator):
    """Tells ADE20K's classes apart."""

    @torch.no_grad()
    def __call__(self, picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """H x W x 3 uint8 sRGB to H x W uint8: the number of the likeliest class, below `CLASSES`."""
        given = self.processor(images=picture, return_tensors="pt").pixel_values
        logits = self.model(given.to(self.model.device)).logits[0].float().cpu().numpy()
        height, width = picture.shape[:2]
        likeliest = np.zeros((height, width), np.uint8)
        best = np.full((height, width), -np.inf, np.float32)
        # One after the other: all of them in the picture's size would be 600 MB for a megapixel.
        for number, logit in enumerate(logits):
            here = cv2.resize(logit, (width, height), interpolation=cv2.INTER_LINEAR)
            likeliest[here > best] = number
            np.maximum(best, here, out=best)
        return likeliest


def load_segmenter(
    source: PartFolder, device: torch.device, hashes: HashCache, on_progress: OnProgress
) -> Segmenter:
    """Raises BridgeError as loading a model does, and BAD_INPUT for one of other classes than ADE20K's."""
    auto = AutoModelForSemanticSegmentation
    found = load_estimator(Segmenter, source, folder.SEGMENTER, auto, device, hashes, on_progress)
    if found.model.config.num_labels != CLASSES:
        raise BridgeError(
            Code.BAD_INPUT,
            f"The segmenter {source.label} knows {found.model.config.num_labels} classes, not the {CLASSES} of ADE20K.",
            "Name one for ADE20K under [segmenter] in the preset.",
        )
    return found

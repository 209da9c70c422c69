"""Where people's joints are: persons found first, then the joints of each (ViTPose: Xu et al., 2022).

`transformers`' own processor cuts persons out, and reads heatmaps, with SciPy, which is no dependency: OpenCV does it here.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import nn
from transformers import AutoModelForObjectDetection, VitPoseForPoseEstimation

from bridge.errors import BridgeError, Code
from bridge.models import folder
from bridge.models.control import OnProgress
from bridge.models.estimator import Estimator, load_estimator
from bridge.models.hashing import HashCache
from bridge.presets import PartFolder, PoseFolders

JOINTS = 17
"""COCO's, in its order: nose, then left and right eye, ear, shoulder, elbow, wrist, hip, knee, ankle (the person's left)."""

_SURE = 0.3
"""Least score of a person, as in the examples of `transformers`."""

_MOST = 32
"""Persons in a picture: of more, the surest."""

_AROUND = 1.25
"""ViTPose sees so many times the box of a person, each way: as it was trained."""

_FINER = 4
"""Places between two of a heatmap's that are told apart: its own lie 4 px from each other in what the network sees."""

People = NDArray[np.float32]
"""N x `JOINTS` x 3 float32: x and y in pixels, perhaps outside of the picture; score 0 to about 1."""


@dataclass(frozen=True, eq=False)
class PoseEstimator:
    """`persons` finds their boxes, `joints` looks into each."""

    persons: Estimator
    joints: Estimator

    @property
    def sha256(self) -> str:
        both = f"{self.persons.sha256} {self.joints.sha256}"
        return hashlib.sha256(both.encode()).hexdigest()

    @property
    def networks(self) -> tuple[nn.Module, ...]:
        return self.persons.model, self.joints.model

    @torch.no_grad()
    def __call__(self, picture: NDArray[np.uint8]) -> People:
        """Of H x W x 3 uint8 sRGB, the surest person first; none where nobody is seen."""
        found = [self._joints(picture, box) for box in self._boxes(picture)]
        return np.stack(found) if found else np.zeros((0, JOINTS, 3), np.float32)

    def _boxes(self, picture: NDArray[np.uint8]) -> list[NDArray[np.float32]]:
        """Of each person: left, top, right and bottom, px, within the picture."""
        processor, model = self.persons.processor, self.persons.model
        given = processor(images=picture, return_tensors="pt").pixel_values
        height, width = picture.shape[:2]
        (found,) = processor.post_process_object_detection(
            model(given.to(model.device)), threshold=_SURE, target_sizes=[(height, width)]
        )
        is_person = torch.isin(found["labels"].cpu(), torch.tensor(_person_labels(model.config)))
        return clipped(found["boxes"].float().cpu()[is_person][:_MOST].numpy(), width, height)

    def _joints(self, picture: NDArray[np.uint8], box: NDArray[np.float32]) -> NDArray[np.float32]:
        """`JOINTS` x 3 of the person in the box."""
        processor, model = self.joints.processor, self.joints.model
        across, down = processor.size["width"], processor.size["height"]
        corner, extent = seen(box, across, down)
        (x, y), (right, lower) = corner, extent / (across - 1, down - 1)
        part = cv2.warpAffine(
            picture,
            np.array([[right, 0, x], [0, lower, y]]),
            (across, down),
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        )
        given = processor(
            images=[part], boxes=[[]], do_affine_transform=False, return_tensors="pt"
        ).pixel_values.to(model.device)
        # ViTPose+ has an expert for each of its data sets; the first is COCO's.
        experts = getattr(model.config.backbone_config, "num_experts", 1)
        which = torch.zeros(1, dtype=torch.long, device=model.device) if experts > 1 else None
        heat = model(given, dataset_index=which).heatmaps.float().cpu()
        places, scores = peaks(heat[0])
        return np.column_stack([corner + extent * places, scores]).astype(np.float32)


def clipped(boxes: NDArray[np.float32], width: int, height: int) -> list[NDArray[np.float32]]:
    """What lies within a picture of N boxes (N x 4: left, top, right, bottom, px), without those that are no pixel wide or high."""
    inside = np.clip(boxes, 0, np.array([width, height, width, height], np.float32))
    return [box for box in inside if (box[2:] - box[:2]).min() >= 1]


def seen(
    box: NDArray[np.float32], across: int, down: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Of a person in the box (left, top, right, bottom) what a network of `across` x `down` px sees: where its first pixel
    lies in the picture (x, y), and how far from there its last. That is the box, widened to the network's shape, `_AROUND` times
    as large from its middle (Huang et al., The devil is in the details: unbiased data processing, 2020)."""
    shape = np.array([across, down], np.float64)
    extent = _AROUND * ((box[2:] - box[:2]) / shape).max() * shape
    return (box[:2] + box[2:]) / 2 - extent / 2, extent


def peaks(heat: torch.Tensor) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
    """Of each of K x h x w heatmaps the place of its peak (K x 2: x and y, 0 at the first pixel to 1 at the last) and how high
    that is (K). Between pixels, where the map is enlarged with splines, as OpenPose does."""
    height, width = heat.shape[1:]
    size = (height - 1) * _FINER + 1, (width - 1) * _FINER + 1
    fine = F.interpolate(heat[None], size, mode="bicubic", align_corners=True)[0].flatten(1)
    scores, places = fine.max(dim=1)
    rows, columns = np.divmod(places.numpy(), size[1])
    return np.stack([columns / (size[1] - 1), rows / (size[0] - 1)], axis=1), scores.numpy()


def load_pose_estimator(
    source: PoseFolders, device: torch.device, hashes: HashCache, on_progress: OnProgress
) -> PoseEstimator:
    """Raises BridgeError as loading a model does, and BAD_INPUT for one that knows no persons, or other joints than COCO's."""

    def load(part: PartFolder, name: str, network: object) -> Estimator:
        return load_estimator(Estimator, part, name, network, device, hashes, on_progress)

    persons = load(source.person_detector, folder.PERSONS, AutoModelForObjectDetection)
    if not _person_labels(persons.model.config):
        raise BridgeError(
            Code.BAD_INPUT,
            f"The person detector {source.person_detector.label} knows no class “person”.",
            "Name one for COCO under [person_detector] in the preset.",
        )
    joints = load(source.estimator, folder.POSE, VitPoseForPoseEstimation)
    if joints.model.config.num_labels != JOINTS:
        raise BridgeError(
            Code.BAD_INPUT,
            f"The pose estimator {source.estimator.label} finds {joints.model.config.num_labels} joints, "
            f"not the {JOINTS} of COCO.",
            "Name one for COCO under [pose_estimator] in the preset.",
        )
    return PoseEstimator(persons, joints)


def _person_labels(config: object) -> list[int]:
    names: dict[int, str] = getattr(config, "id2label", None) or {}
    return [number for number, name in names.items() if name.casefold() == "person"]

"""Segmenters, person detectors and pose estimators in the formats they come in, and a sentence for everything else."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from transformers.models.vitpose.image_processing_pil_vitpose import (
    box_to_center_and_scale,
    get_warp_matrix,
    transform_preds,
)

from bridge.errors import BridgeError, Code
from bridge.models.control_pose import PoseEstimator, clipped, load_pose_estimator, peaks, seen
from bridge.models.control_segments import CLASSES, Segmenter, load_segmenter
from bridge.models.hashing import HashCache
from bridge.presets import ModelFolder, PoseFolders
from tests.tiny_detectors import (
    make_tiny_person_detector,
    make_tiny_pose_estimator,
    make_tiny_segmenter,
)
from tests.tiny_models import make_tiny_depth_estimator

CPU = torch.device("cpu")
HEIGHT, WIDTH = 137, 93


def quiet(_share: float, _sentence: str) -> None:
    pass


def picture(seed: int = 0) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Not to be changed."""
    root = tmp_path_factory.mktemp("detectors")
    make_tiny_segmenter(root / "segmenter")
    make_tiny_pose_estimator(root / "pose")
    make_tiny_person_detector(root / "persons")
    return root


def segmenter(folder: Path) -> Segmenter:
    return load_segmenter(ModelFolder(folder), CPU, HashCache(folder.parent), quiet)


def pose_estimator(pose: Path, persons: Path) -> PoseEstimator:
    both = PoseFolders(ModelFolder(pose), ModelFolder(persons))
    return load_pose_estimator(both, CPU, HashCache(pose.parent), quiet)


@pytest.mark.parametrize("layout", ["upernet", "segformer"])
def test_a_segmenter_sees_any_picture(layout: str, tmp_path: Path) -> None:
    classes = segmenter(make_tiny_segmenter(tmp_path / layout, layout))
    found = classes(picture())
    assert found.shape == (HEIGHT, WIDTH) and found.dtype == np.uint8
    assert found.max() < CLASSES and len(np.unique(found)) > 1
    assert np.array_equal(classes(picture()), found)
    given = classes.processor(images=picture(), return_tensors="pt").pixel_values
    with torch.no_grad():
        output = classes.model(given)
    (expected,) = classes.processor.post_process_semantic_segmentation(output, [(HEIGHT, WIDTH)])
    assert (found == expected.numpy()).mean() > 0.99  # but for how sums are rounded


@pytest.mark.parametrize(("experts", "version"), [(1, 1), (3, 2)])
def test_a_pose_estimator_sees_everybody_in_any_picture(
    experts: int, version: int, tmp_path: Path
) -> None:
    joints = make_tiny_pose_estimator(tmp_path / "pose", experts=experts)
    persons = make_tiny_person_detector(tmp_path / "persons", version=version)
    pose = pose_estimator(joints, persons)
    people = pose(picture())
    assert people.shape == (6, 17, 3) and people.dtype == np.float32
    assert np.isfinite(people).all()
    assert np.array_equal(pose(picture()), people)
    assert not np.array_equal(pose(picture(1)), people)


def test_where_there_is_nobody_there_are_no_joints(parts: Path, tmp_path: Path) -> None:
    nobody = make_tiny_person_detector(tmp_path / "nobody", somebody=False)
    assert pose_estimator(parts / "pose", nobody)(picture()).shape == (0, 17, 3)


def test_boxes_lie_within_the_picture_and_slivers_are_no_persons() -> None:
    boxes = np.array([[-9, -9, 20, 50], [40, 40, 40.5, 90], [80, 100, 200, 300]], np.float32)
    inside = [box.tolist() for box in clipped(boxes, WIDTH, HEIGHT)]
    assert inside == [[0, 0, 20, 50], [80, 100, WIDTH, HEIGHT]]


BOXES = [(10, 20, 40, 120), (5, 90, 85, 100), (0, 0, 93, 137), (30.5, 40.25, 60.75, 80.5)]


@pytest.mark.parametrize("box", BOXES)
@pytest.mark.parametrize("shape", [(192, 256), (48, 64)])
def test_persons_are_cut_out_as_transformers_does(
    box: tuple[float, ...], shape: tuple[int, int]
) -> None:
    """The places of the first, last and middle pixel of what is cut out, and back."""
    left, top, right, lower = box
    corner, extent = seen(np.array(box, np.float32), *shape)
    center, scale = box_to_center_and_scale((left, top, right - left, lower - top), *shape)
    size = np.array(shape) - 1.0
    into = get_warp_matrix(0, center * 2.0, size, scale * 200.0)
    shares = np.array([[0, 0], [1, 1], [0.5, 0.25]])
    places = corner + shares * extent
    assert np.allclose(places @ into[:, :2].T + into[:, 2], shares * size, atol=1e-3)
    heat = np.array([shape[1] // 4, shape[0] // 4])  # height, width
    back = transform_preds(shares * (heat[::-1] - 1.0), center, scale, heat)
    assert np.allclose(back, places, atol=1e-3)


def test_peaks_are_found_between_pixels() -> None:
    down, across = np.mgrid[0:64, 0:48]
    middles = [(20.25, 30.0), (0.0, 0.0), (47.0, 63.0), (11.5, 50.75)]
    heat = [np.exp(-((across - x) ** 2 + (down - y) ** 2) / 8) for x, y in middles]
    places, scores = peaks(torch.tensor(np.stack(heat), dtype=torch.float32))
    assert np.abs(places * (47, 63) - middles).max() <= 0.25
    assert np.allclose(scores, 1, atol=0.02)


class Looks:
    """As a ViTPose that takes what is bright for every joint."""

    device = CPU
    config = SimpleNamespace(backbone_config=SimpleNamespace())

    def __call__(self, given: torch.Tensor, dataset_index: None) -> Any:
        assert dataset_index is None
        bright = F.avg_pool2d(given.mean(dim=1, keepdim=True), 4)
        return SimpleNamespace(heatmaps=bright.expand(-1, 17, -1, -1))


def test_joints_lie_where_they_are_seen(parts: Path) -> None:
    """A bright spot comes back to its own place, from every box round it."""
    pose = pose_estimator(parts / "pose", parts / "persons")
    looking = replace(pose, joints=replace(pose.joints, model=Looks()))
    x, y = 38, 71
    dark = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    dark[y - 1 : y + 2, x - 1 : x + 2] = 255
    for box in BOXES:
        found = looking._joints(dark, np.array(box, np.float32))
        step = max((box[2] - box[0]) / 48, (box[3] - box[1]) / 64) * 1.25
        # The heatmap has a quarter of the size of what is seen.
        assert np.abs(found[:, :2] - (x, y)).max() <= 1 + 3 * step, box


@pytest.mark.parametrize(
    ("make", "says", "hint"),
    [
        (lambda r, p: segmenter(make_tiny_segmenter(r / "coco", classes=19)), "knows 19 classes", "[segmenter]"),
        (lambda r, p: segmenter(make_tiny_depth_estimator(r / "d")), "not a UperNetForSemanticSegmentation", ""),
        (
            lambda r, p: pose_estimator(make_tiny_pose_estimator(r / "hands", joints=21), p / "persons"),
            "finds 21 joints",
            "[pose_estimator]",
        ),
        (
            lambda r, p: pose_estimator(p / "pose", make_tiny_person_detector(r / "cars", named="car")),
            "knows no class “person”",
            "[person_detector]",
        ),
        (lambda r, p: pose_estimator(p / "persons", p / "persons"), "not a VitPoseForPoseEstimation", ""),
        (lambda r, p: pose_estimator(p / "pose", p / "pose"), "not a RTDetrForObjectDetection", ""),
    ],
)  # fmt: skip
def test_what_does_another_thing_is_refused(
    make: Callable[[Path, Path], object], says: str, hint: str, parts: Path, tmp_path: Path
) -> None:
    with pytest.raises(BridgeError) as raised:
        make(tmp_path, parts)
    assert raised.value.code is Code.BAD_INPUT
    assert says in raised.value.message and hint in raised.value.hint


def test_what_is_not_there_or_not_whole_is_refused(tmp_path: Path) -> None:
    root = make_tiny_segmenter(tmp_path / "segmenter")
    weights = root / "model.safetensors"
    tensors = load_file(weights)
    norm = "decode_head.fpn_bottleneck.batch_norm.running_mean"
    for absent in ("decode_head.classifier.bias", norm):
        save_file({n: t for n, t in tensors.items() if n != absent}, weights)
        with pytest.raises(BridgeError, match=absent) as raised:
            segmenter(root)
        assert raised.value.code is Code.MODEL_CORRUPT
    save_file(
        {n: t * torch.nan if t.is_floating_point() else t for n, t in tensors.items()}, weights
    )
    with pytest.raises(BridgeError, match="NaN"):
        segmenter(root)
    weights.rename(root / "pytorch_model.bin")
    with pytest.raises(BridgeError) as raised:
        segmenter(root)
    assert raised.value.code is Code.MODEL_UNSAFE
    save_file(tensors, weights)
    (root / "preprocessor_config.json").unlink()
    with pytest.raises(BridgeError, match=r"preprocessor_config\.json") as raised:
        segmenter(root)
    assert raised.value.code is Code.MODEL_MISSING

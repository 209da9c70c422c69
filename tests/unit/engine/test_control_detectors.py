"""The networks that make maps, as a job holds them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bridge.engine.control_detectors import Detectors
from bridge.engine.control_maps import BY_NETWORK
from bridge.errors import BridgeError, Code
from bridge.models.brake import Brake
from bridge.models.hashing import HashCache
from bridge.presets import ModelFolder, PoseFolders, Preset
from krita_plugin.krita_bridge.wire.control import ControlKind
from tests.fake_models import preset, tiny_model
from tests.tiny_detectors import (
    make_tiny_person_detector,
    make_tiny_pose_estimator,
    make_tiny_segmenter,
)
from tests.tiny_models import make_tiny_depth_estimator

PICTURE = np.random.default_rng(0).integers(0, 256, (40, 30, 3), np.uint8)


@pytest.fixture(scope="module")
def seeing(tmp_path_factory: pytest.TempPathFactory) -> Preset:
    root = tmp_path_factory.mktemp("seeing")
    persons = ModelFolder(make_tiny_person_detector(root / "persons"))
    return replace(
        preset("seeing"),
        depth_estimator=ModelFolder(make_tiny_depth_estimator(root / "depth")),
        segmenter=ModelFolder(make_tiny_segmenter(root / "segmenter")),
        pose=PoseFolders(ModelFolder(make_tiny_pose_estimator(root / "pose")), persons),
    )


@pytest.fixture
def detectors(tmp_path: Path) -> Detectors:
    return Detectors(replace(tiny_model("sd15"), brake=Brake()), None, HashCache(tmp_path))


@pytest.mark.parametrize("kind", sorted(BY_NETWORK, key=str))
def test_a_cancel_stops_it_between_two_layers(
    kind: ControlKind, seeing: Preset, detectors: Detectors
) -> None:
    detector = detectors.of(kind, seeing)
    answers = iter([False, False, True])
    with pytest.raises(BridgeError) as raised, detectors._model.brake.on(lambda: next(answers)):
        detector.draw(PICTURE)
    assert raised.value.code is Code.CANCELLED
    assert detector.draw(PICTURE).shape == PICTURE.shape


def test_a_preset_that_names_another_takes_its_place(
    seeing: Preset, detectors: Detectors, tmp_path: Path
) -> None:
    depth = detectors.of(ControlKind.DEPTH, seeing)
    # One network works out both.
    assert detectors.of(ControlKind.NORMAL, seeing).sha256 == depth.sha256
    other = ModelFolder(make_tiny_depth_estimator(tmp_path / "other", seed=1))
    another = detectors.of(ControlKind.DEPTH, replace(seeing, depth_estimator=other))
    assert another.sha256 != depth.sha256
    assert not np.array_equal(another.draw(PICTURE), depth.draw(PICTURE))
    assert detectors.of(ControlKind.DEPTH, seeing).sha256 == depth.sha256

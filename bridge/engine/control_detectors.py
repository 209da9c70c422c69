"""The networks that work maps out for one model: those that a preset names or the model brings, in memory once asked for."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import nn

from bridge.engine import control_drawing as drawing
from bridge.engine.control_maps import Detector
from bridge.errors import BridgeError, Code
from bridge.models import folder
from bridge.models.control import OnProgress
from bridge.models.control_depth import DepthEstimator, load_depth_estimator
from bridge.models.control_pose import PoseEstimator, load_pose_estimator
from bridge.models.control_segments import Segmenter, load_segmenter
from bridge.models.hashing import HashCache
from bridge.models.loaded import LoadedModel
from bridge.presets import ModelFolder, PartFolder, PoseFolders, Preset
from krita_plugin.krita_bridge.wire.control import ControlKind

_Network = TypeVar("_Network", DepthEstimator, Segmenter, PoseEstimator)

_DEPTH = "a table [depth_estimator]"
_TABLES = {
    ControlKind.DEPTH: _DEPTH,
    ControlKind.NORMAL: _DEPTH,
    ControlKind.SEGMENTATION: "a table [segmenter]",
    ControlKind.POSE: "tables [pose_estimator] and [person_detector]",
}


def silent(_share: float, _sentence: str) -> None:
    """Nobody is to be told."""


class Detectors:
    """One of each kind stays in memory, until a preset names another."""

    def __init__(self, model: LoadedModel, own: Path | None, hashes: HashCache) -> None:
        """`own`: the model's folder, where it has one: it may bring a depth estimator."""
        self._model = model
        self._own = own
        self._hashes = hashes
        self._held: dict[object, tuple[object, Any]] = {}

    def of(self, kind: ControlKind, preset: Preset, on_progress: OnProgress = silent) -> Detector:
        """For one of `control_maps.BY_NETWORK`. Raises BridgeError: MODEL_MISSING where there is none, and what reading one
        raises."""
        if kind is ControlKind.SEGMENTATION:
            segmenter = self._network(kind, preset.segmenter, load_segmenter, on_progress)
            return Detector(lambda seen: drawing.segments(segmenter(seen)), segmenter.sha256)
        if kind is ControlKind.POSE:
            pose = self._network(kind, preset.pose, load_pose_estimator, on_progress)
            return Detector(
                lambda seen: drawing.skeletons(pose(seen), *seen.shape[:2]), pose.sha256
            )
        source = preset.depth_estimator or self._own_depth_estimator()
        depth = self._network(kind, source, load_depth_estimator, on_progress)
        draw = drawing.normals if kind is ControlKind.NORMAL else drawing.grey
        return Detector(lambda seen: draw(depth(seen)), depth.sha256)

    def _network(
        self,
        kind: ControlKind,
        source: PartFolder | PoseFolders | None,
        load: Callable[[Any, torch.device, HashCache, OnProgress], _Network],
        on_progress: OnProgress,
    ) -> _Network:
        if source is None:
            raise BridgeError(
                Code.MODEL_MISSING,
                f"Nothing here works out {kind.value} maps for {self._model.name}.",
                f"Add {_TABLES[kind]} with “repo” or “folder” to its preset, or give the map itself.",
            )
        named, network = self._held.get(load, (None, None))
        if named != source:
            self._held.pop(load, None)
            network = None  # not two of them in memory
            network = load(source, self._model.device, self._hashes, on_progress)
            self._held[load] = source, network
            for each in network.networks:
                self._hook(each)
        found: _Network = network
        return found

    def _hook(self, network: nn.Module) -> None:
        """A cancel stops it between two of its layers."""
        for module in network.modules():
            for layer in module if isinstance(module, nn.ModuleList) else ():
                layer.register_forward_pre_hook(self._model.brake)

    def _own_depth_estimator(self) -> PartFolder | None:
        own = None if self._own is None else self._own / folder.DEPTH
        return ModelFolder(own) if own is not None and own.is_dir() else None

"""Networks of `transformers` that read something out of a picture: depth, classes, persons, joints."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import nn
from transformers import AutoImageProcessor

from bridge.models import folder, hub, weights
from bridge.models.control import OnProgress
from bridge.models.hashing import HashCache, folder_sha256
from bridge.models.parts import finished, incomplete, reading
from bridge.presets import PartFolder

_LOCAL = {"local_files_only": True, "trust_remote_code": False}


@dataclass(frozen=True, eq=False)
class Estimator:
    """`model` is in float32: it is small, and the batch norm of some overflows in half precision. `processor` makes
    its input of a picture H x W x 3 uint8, with PIL and numpy: with torchvision it could come out another."""

    processor: Any
    model: Any
    sha256: str

    @property
    def networks(self) -> tuple[nn.Module, ...]:
        return (self.model,)


_Estimator = TypeVar("_Estimator", bound=Estimator)


def load_estimator(
    made: type[_Estimator],
    source: PartFolder,
    name: str,
    network: Any,
    device: torch.device,
    hashes: HashCache,
    on_progress: OnProgress,
) -> _Estimator:
    """The one at `source`, fetched where it is on the hub. `name` says of what kind it is to be (`folder.DEPTH`, for one);
    `network` is the class, or the Auto class, of `transformers` that reads such.

    Raises BridgeError as loading a model does.
    """
    kind = name.replace("_", " ")
    # A model's own lies in a folder that is called as what it is.
    called = "" if source.label == name else f" {source.label}"
    on_progress(0.0, f"Loading the {kind}{called}.")
    root = hub.find_part(source, name, on_progress)
    part = folder.inspect_part(root, name, source.variant)
    preprocessor = root / folder.PREPROCESSOR
    if name == folder.DEPTH and not preprocessor.is_file():
        preprocessor = root.parent / folder.FEATURE_EXTRACTOR / folder.PREPROCESSOR
    if not preprocessor.is_file():
        raise weights.missing(root / folder.PREPROCESSOR)
    with reading(root, f"cannot be read as a {kind}"):
        processor = AutoImageProcessor.from_pretrained(
            str(preprocessor.parent), backend="pil", **_LOCAL
        )
        model, report = network.from_pretrained(
            str(root),
            dtype=torch.float32,
            variant=part.variant,
            use_safetensors=True,
            output_loading_info=True,
            **_LOCAL,
        )
    # Of a count of batches nothing depends.
    absent = [key for key in report["missing_keys"] if not key.endswith("num_batches_tracked")]
    if absent:
        raise incomplete(part.weights[0], sorted(absent))
    files = [root / "config.json", preprocessor, *part.weights]
    base = root if preprocessor.is_relative_to(root) else root.parent
    sha256 = folder_sha256(base, files, hashes, lambda _: None)
    return made(processor, finished(model, root, device, torch.float32), sha256)

"""LoRAs in a model: added to its weights before a job, taken out again to the last bit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import torch
from torch import nn

from bridge.models.hashing import HashCache
from bridge.models.library import Library
from bridge.models.loaded import LoadedModel
from bridge.models.lora import Update, read_lora, weight_of

_KEPT = 8
"""LoRAs kept in memory after use: 20 to 200 MB each, most of them."""


@dataclass(frozen=True)
class Adapter:
    """A LoRA or hypernetwork as it is in use: `name` as the prompt says it, `sha256` of its file."""

    name: str
    sha256: str
    strength: float


@dataclass(frozen=True)
class Version:
    """A file as it was when it was looked at."""

    path: Path
    changed: int
    size: int


class Adapters:
    """What is added to one model.

    The sums are written into the model's own weights, so that a LoRA costs nothing per step and the layers stay
    the objects they were. The weights they replace are kept on the CPU and put back, never computed back.
    """

    def __init__(self, model: LoadedModel, library: Library, hashes: HashCache) -> None:
        self._model = model
        self._library = library
        self._original: dict[nn.Module, torch.Tensor] = {}
        self._in_use: tuple[tuple[Version, float], ...] = ()
        self._read = lru_cache(_KEPT)(lambda version: read_lora(version.path, model))
        self._sha256 = lru_cache()(lambda version: hashes.sha256(version.path, lambda _: None))

    def use(self, wanted: Mapping[str, float]) -> tuple[tuple[Adapter, ...], bool]:
        """Have exactly the LoRAs `wanted` (strength by name) in the model; returns them, and whether anything changed.

        Raises BridgeError (a LoRA that is missing or does not fit) before anything is changed.
        """
        versions = {name: version_of(self._library.find(name)) for name in wanted}
        updates = [(self._read(versions[name]), strength) for name, strength in wanted.items()]
        adapters = tuple(
            Adapter(name, self._sha256(versions[name]), strength)
            for name, strength in wanted.items()
        )
        in_use = tuple((versions[name], strength) for name, strength in wanted.items())
        if in_use == self._in_use:
            return adapters, False
        try:
            self._write(updates)
        except BaseException:
            self._write([])
            raise
        self._in_use = in_use
        return adapters, True

    def _write(self, updates: Sequence[tuple[Sequence[Update], float]]) -> None:
        self._in_use = ()
        by_module: dict[nn.Module, list[tuple[Update, float]]] = {}
        for each, strength in updates:
            for update in each:
                by_module.setdefault(update.module, []).append((update, strength))
        with torch.no_grad():
            for module in [module for module in self._original if module not in by_module]:
                weight_of(module).copy_(self._original.pop(module))
            for module, parts in by_module.items():
                self._add(module, parts)

    def _add(self, module: nn.Module, parts: Sequence[tuple[Update, float]]) -> None:
        weight = weight_of(module)
        if module not in self._original:
            self._original[module] = weight.detach().to("cpu", copy=True)
        precision = torch.promote_types(weight.dtype, torch.float32)
        total = self._original[module].to(weight.device, precision)
        for update, strength in parts:
            total = total + update.delta(weight.device) * strength
        weight.copy_(total)


def version_of(path: Path) -> Version:
    facts = path.stat()
    return Version(path, facts.st_mtime_ns, facts.st_size)

"""Training state in safetensors: weights, averages and optimiser moments by name."""

from __future__ import annotations

import json
from collections.abc import Iterator, MutableMapping
from pathlib import Path
from typing import Any, Protocol

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from bridge.models.training.schedule import Average

Counts = dict[str, float]
"""What is counted on the way: images, steps, seconds, passes, data_version."""

_MOMENTS = ("exp_avg", "exp_avg_sq", "step", "momentum_buffer")


class Optimiser(Protocol):
    """What is kept of one of torch's, or of several in one."""

    @property
    def state(self) -> MutableMapping[Tensor, Any]:
        """By parameter its moments by name."""


def _laid_out_like(parameter: Tensor, tensor: Tensor) -> Tensor:
    """The fused optimiser walks memory, so moments must lie as their weights do (channels last)."""
    if tensor.shape != parameter.shape:
        return tensor
    return torch.empty_like(parameter).copy_(tensor)


class Checkpoint:
    """The whole state of one training. ``counts`` travels as metadata (images, steps, seconds)."""

    def __init__(
        self, modules: dict[str, nn.Module], average: Average, optimiser: Optimiser
    ) -> None:
        self._modules = modules
        self._average = average
        self._optimiser = optimiser

    def _tensors(self) -> Iterator[tuple[str, Tensor]]:
        parameters: list[nn.Parameter] = []
        for prefix, module in self._modules.items():
            for name, parameter in module.named_parameters():
                yield f"weights.{prefix}.{name}", parameter.data
                parameters.append(parameter)
        for i, value in enumerate(self._average.values):
            yield f"average.{i}", value
        for i, parameter in enumerate(parameters):
            state = self._optimiser.state.get(parameter, {})
            for key in _MOMENTS:
                if key in state:
                    yield f"optimiser.{i}.{key}", state[key]

    def save(self, path: Path, counts: Counts) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(".partial")
        tensors = {name: tensor.contiguous() for name, tensor in self._tensors()}
        save_file(tensors, partial, {"counts": json.dumps(counts)})
        partial.replace(path)

    @torch.no_grad()
    def load(self, path: Path) -> Counts:
        """Restores everything in place. The optimiser must hold the modules' parameters in order."""
        with safe_open(path, framework="pt") as file:
            names = set(file.keys())
            parameters = [p for m in self._modules.values() for p in m.parameters()]
            for i, parameter in enumerate(parameters):
                state = self._optimiser.state[parameter]
                for key in _MOMENTS:
                    if f"optimiser.{i}.{key}" in names:
                        moment = file.get_tensor(f"optimiser.{i}.{key}")
                        state[key] = _laid_out_like(parameter, moment)
            for name, tensor in self._tensors():
                if not name.startswith("optimiser."):
                    tensor.copy_(file.get_tensor(name))
            counts: Counts = json.loads(file.metadata()["counts"])
            return counts


def restore_average(modules: dict[str, nn.Module], path: Path) -> Counts:
    """Loads the averaged weights of a checkpoint into the modules."""
    parameters = [p for m in modules.values() for p in m.parameters()]
    average = Average(modules.values(), 0.0)
    counts = Checkpoint(modules, average, torch.optim.AdamW(parameters)).load(path)
    average.swap()
    return counts

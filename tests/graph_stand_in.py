"""Records graphs on the CPU as CUDA does on a GPU: the operations, not the Python that chose them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

_WAITING = {torch.Tag.data_dependent_output, torch.Tag.dynamic_output_shape}
"""Of operations that have Python wait for numbers of the device: no CUDA graph takes these."""

_FROM_PYTHON = torch.ops.aten.lift_fresh.default
"""What follows `torch.tensor`: its numbers come from memory that no graph can keep."""


@dataclass(frozen=True)
class _Operation:
    """`results`: the memory that it must write into again."""

    function: Any
    args: Any
    options: Any
    results: list[torch.Tensor]

    def again(self) -> None:
        for held, new in zip(
            self.results, _tensors(self.function(*self.args, **self.options)), strict=True
        ):
            held.copy_(new)


class _Tape(TorchDispatchMode):
    def __init__(self) -> None:
        super().__init__()
        self.operations: list[_Operation] = []

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> object:
        if func is _FROM_PYTHON or _WAITING & set(func.tags):
            raise RuntimeError(
                f"CUDA error: operation not permitted when stream is capturing: {func}"
            )
        options = kwargs or {}
        found = func(*args, **options)
        results = _tensors(found)
        read = {_memory(each) for each in _tensors((args, options))}
        # A view has nothing to do: its memory is that of what it is a view of.
        if func._schema.is_mutable or not all(_memory(each) in read for each in results):
            self.operations.append(_Operation(func, args, options, results))
        return found


def _tensors(value: object) -> list[torch.Tensor]:
    return [each for each in tree_leaves(value) if isinstance(each, torch.Tensor)]


def _memory(tensor: torch.Tensor) -> int:
    return tensor.untyped_storage().data_ptr()


class StandIn:
    """A `graphed.Recorder`. A replay reads and writes the memory that was there when it was recorded."""

    def __init__(self) -> None:
        self.recorded = self.replayed = 0
        self.fails_to_record = self.fails_to_replay = False

    def __call__(
        self, work: Callable[[], torch.Tensor]
    ) -> tuple[torch.Tensor, Callable[[], object]]:
        if self.fails_to_record:
            raise RuntimeError("CUDA error: operation not permitted when stream is capturing")
        with _Tape() as tape:
            result = work()
        self.recorded += 1

        def replay() -> None:
            if self.fails_to_replay:
                raise RuntimeError("CUDA error: launch failure")
            self.replayed += 1
            for operation in tape.operations:
                operation.again()

        return result, replay

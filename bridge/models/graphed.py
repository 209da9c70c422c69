"""A network as one recorded graph: replayed at once where Python would launch some 700 kernels one after the other.

At 512 px a fast GPU works a UNet's kernels off sooner than they can be launched, so a recorded graph is what a live picture
gains most by. It is recorded for given shapes, and recording takes as long as a few evaluations. So every call runs
as ever at first, and shapes that come again are recorded when there is time (`record`).
"""

from __future__ import annotations

import logging
from collections import Counter, OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol
from weakref import WeakSet

import torch
from diffusers import AutoencoderTiny
from diffusers.models.autoencoders.autoencoder_tiny import AutoencoderTinyOutput

log = logging.getLogger(__name__)

_OFTEN = 3
"""Calls of the same shapes after which they are worth a graph."""

_COUNTED = 64
"""Shapes whose calls are counted."""

_WARM_UPS = 3

_KEPT = 8
"""Graphs kept: three sizes for a slow machine, with and without what guides a part of the steps, and two more."""


class Recorder(Protocol):
    """How a device records: `CudaRecorder`, or a stand-in in tests."""

    def __call__(
        self, work: Callable[[], torch.Tensor]
    ) -> tuple[torch.Tensor, Callable[[], object]]:
        """Record what `work` has the device do. Returns its result, and what does it again: from the memory that `work`
        read into the memory of that result."""


class CudaRecorder:
    """CUDA graphs of one device. What is worked out on the way lies in one memory that all of them share: no two run at a
    time, and each result is copied before another graph runs. That memory is given back with the last of them."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._living: WeakSet[torch.cuda.CUDAGraph] = WeakSet()

    def __call__(
        self, work: Callable[[], torch.Tensor]
    ) -> tuple[torch.Tensor, Callable[[], object]]:
        # The device in use may be another; and torch stays on its own stream when a recording fails.
        with torch.cuda.device(self._device), torch.cuda.stream(torch.cuda.current_stream()):
            self._warm_up(work)
            graph = torch.cuda.CUDAGraph()
            # Only of a graph that lives: torch refuses a memory that was given back.
            memory = next((each.pool() for each in self._living), None)
            with torch.cuda.graph(graph, pool=memory):
                result = work()
            self._living.add(graph)
        return result, graph.replay

    def _warm_up(self, work: Callable[[], object]) -> None:
        """Libraries choose and set up what they use in the first calls, which no graph may record."""
        aside, here = torch.cuda.Stream(), torch.cuda.current_stream()  # type: ignore[no-untyped-call]
        aside.wait_stream(here)
        with torch.cuda.stream(aside):
            for _ in range(_WARM_UPS):
                work()
        here.wait_stream(aside)


@dataclass(frozen=True, eq=False)
class _Graph:
    """`given`: the memory that it reads, `result`: that it writes."""

    given: list[torch.Tensor]
    result: torch.Tensor
    replay: Callable[[], object]


class Graphed:
    """Stands for work of a network that takes tensors, also in lists, tuples and dicts, and returns one.

    What is no tensor among its arguments counts as it is (ControlNets by their identity) and is kept alive with the graph,
    which reads the memory of its weights. The work must do the same to its input every time: of hooks and of parts that were
    exchanged a graph knows nothing. New values in the same weights are fine. Use it inside torch.inference_mode(), from one
    thread.
    """

    def __init__(self, work: Callable[..., torch.Tensor], recorder: Recorder) -> None:
        self._work = work
        self._recorder = recorder
        self._graphs: OrderedDict[Hashable, _Graph] = OrderedDict()
        self._calls: Counter[Hashable] = Counter()
        self._wanted: tuple[Hashable, Any] | None = None
        self._refused: set[Hashable] = set()

    def __call__(self, *args: Any) -> torch.Tensor:
        key = _key(args)
        graph = self._graphs.get(key)
        if graph is None:
            self._note(key, args)
            return self._work(*args)
        self._graphs.move_to_end(key)
        try:
            return _replayed(graph, _tensors(args))
        except RuntimeError:
            log.exception("a recorded graph could not be replayed: its shapes run without one")
            del self._graphs[key]
            self._refused.add(key)
            return self._work(*args)

    def record(self) -> bool:
        """Record what is worth it, if anything; what cannot be recorded goes on as before. Takes as long as a few calls then,
        which is what it returns."""
        if self._wanted is None:
            return False
        key, args = self._wanted
        self._wanted = None
        try:
            result, replay = self._recorder(partial(self._work, *args))
        except Exception:
            log.exception("a network could not be recorded: these shapes run without a graph")
            self._refused.add(key)
            return True
        self._graphs[key] = _Graph(_tensors(args), result, replay)
        if len(self._graphs) > _KEPT:
            self._graphs.popitem(last=False)
        return True

    def forget(self) -> None:
        """Let go of all graphs, and of all that they kept alive. What comes often is recorded anew."""
        self._graphs.clear()
        self._calls.clear()
        self._refused.clear()
        self._wanted = None

    def _note(self, key: Hashable, args: Any) -> None:
        if len(self._calls) > _COUNTED:
            self._calls.clear()
        self._calls[key] += 1
        if self._calls[key] >= _OFTEN and key not in self._refused:
            del self._calls[key]
            # The newest shapes alone: they are those that are painted.
            self._wanted = key, _map(args, torch.zeros_like)


class GraphedTinyVae:
    """Stands for an AutoencoderTiny, for both ways without options."""

    def __init__(self, vae: AutoencoderTiny, recorder: Recorder) -> None:
        self.config = vae.config
        self.parameters = vae.parameters
        self._encoder = Graphed(lambda pixels: vae.encode(pixels).latents, recorder)
        self._decoder = Graphed(lambda latents: vae.decode(latents).sample, recorder)

    def encode(self, pixels: torch.Tensor) -> AutoencoderTinyOutput:
        return AutoencoderTinyOutput(latents=self._encoder(pixels))

    def decode(self, latents: torch.Tensor, return_dict: bool) -> tuple[torch.Tensor]:
        assert not return_dict
        return (self._decoder(latents),)

    def record(self) -> bool:
        """As that of `Graphed`, for one way at a time."""
        return self._encoder.record() or self._decoder.record()


def _replayed(graph: _Graph, tensors: list[torch.Tensor]) -> torch.Tensor:
    for held, new in zip(graph.given, tensors, strict=True):
        held.copy_(new)
    graph.replay()
    return graph.result.clone()  # the next replay writes over it


def _key(value: Any) -> Hashable:
    """What two calls have in common that one graph can do; only one call of a graph has the same structure of arguments."""
    if isinstance(value, torch.Tensor):
        return value.shape, value.dtype
    if isinstance(value, dict):
        return tuple((name, _key(each)) for name, each in value.items())
    if isinstance(value, (list, tuple)):
        return tuple(_key(each) for each in value)
    found: Hashable = value
    return found


def _map(value: Any, change: Callable[[torch.Tensor], Any]) -> Any:
    """`value` with each tensor in it changed."""
    if isinstance(value, torch.Tensor):
        return change(value)
    if isinstance(value, dict):
        return {key: _map(each, change) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(_map(each, change) for each in value)
    return value


def _tensors(value: Any) -> list[torch.Tensor]:
    found: list[torch.Tensor] = []
    _map(value, found.append)
    return found

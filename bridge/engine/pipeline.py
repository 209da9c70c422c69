"""The engine: a job in, a result layer out."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import torch

import bridge
from bridge.engine.condition import PromptEncoder
from bridge.engine.request import Settings, resolve, selection
from bridge.engine.run import Run
from bridge.engine.types import IsCancelled, Job, OnStep, Painting
from bridge.errors import BridgeError, Code
from bridge.models.device import AUTO, choose_device
from bridge.models.load import load
from bridge.models.loaded import LoadedModel
from bridge.presets import DEFAULT_PRESET, ModelSource, Preset
from krita_plugin.krita_bridge.wire.geometry import Extent
from krita_plugin.krita_bridge.wire.messages import ResultFacts

OnProgress = Callable[[float, str], None]
Load = Callable[[ModelSource, str, torch.dtype | None, OnProgress], LoadedModel]


class Engine:
    """Holds one model at a time and paints one job at a time."""

    def __init__(
        self,
        presets: Mapping[str, Preset],
        *,
        device: str = AUTO,
        threads: int | None = None,
        load: Load = load,
    ) -> None:
        """`threads`: how many torch uses on a CPU; None leaves it as it is.

        Raises BridgeError when there is no such device.
        """
        if threads is not None:
            torch.set_num_threads(threads)
        torch.backends.cudnn.deterministic = True
        self._presets = presets
        self._device = choose_device(device)
        self._load = load
        self._loaded: tuple[ModelSource, LoadedModel, PromptEncoder] | None = None

    @property
    def device_name(self) -> str:
        if self._device.type == "cuda":
            return str(torch.cuda.get_device_name(self._device))
        return self._device.type

    @property
    def model_name(self) -> str:
        """The model in memory; empty before the first is loaded."""
        return "" if self._loaded is None else self._loaded[1].name

    def prepare(self, preset: str, on_progress: OnProgress) -> None:
        """Load the preset's model unless it is in memory; the one before it makes room first.

        Raises BridgeError.
        """
        self._model(self._preset(preset).model, on_progress)

    def paint(self, job: Job, *, on_step: OnStep, is_cancelled: IsCancelled) -> Painting:
        """Paint a job; the same job gives the same bytes on the same machine.

        Raises BridgeError: CANCELLED within a step of `is_cancelled()` turning true, BAD_INPUT,
        UNKNOWN_PRESET, UNKNOWN_SCHEDULER, OUT_OF_MEMORY, and what loading a model raises.
        """
        started = time.perf_counter()
        preset = self._preset(job.request.preset)
        settings, selected = resolve(job, preset), selection(job.snapshot)
        model, encoder = self._model(preset.model, lambda done, sentence: None)
        with _memory_errors(), torch.inference_mode():
            run = Run(model, encoder, job.snapshot, selected, settings)
            layer = run.paint(on_step, is_cancelled)
        seconds = time.perf_counter() - started
        return Painting(layer, run.plan.target, _facts(settings, model, run.plan.working, seconds))

    def _preset(self, name: str) -> Preset:
        found = self._presets.get(name or DEFAULT_PRESET)
        if found is None:
            hint = f"Choose one of: {', '.join(self._presets)}."
            raise BridgeError(Code.UNKNOWN_PRESET, f"There is no preset “{name[:60]}”.", hint)
        return found

    def _model(
        self, source: ModelSource, on_progress: OnProgress
    ) -> tuple[LoadedModel, PromptEncoder]:
        if self._loaded is None or self._loaded[0] != source:
            self._make_room()
            with _memory_errors():
                model = self._load(source, str(self._device), None, on_progress)
            self._loaded = (source, model, PromptEncoder(model))
        return self._loaded[1:]

    def _make_room(self) -> None:
        if self._loaded is None:
            return
        self._loaded = None
        gc.collect()  # a model and its prompt cache know each other
        _empty_cache()


def _facts(settings: Settings, model: LoadedModel, working: Extent, seconds: float) -> ResultFacts:
    return ResultFacts(
        prompt=settings.prompt,
        negative_prompt=settings.negative_prompt,
        preset=settings.preset,
        seed=settings.seed,
        strength=settings.strength,
        steps=settings.steps,
        steps_run=settings.run,
        guidance=settings.guidance,
        scheduler=settings.scheduler,
        model=model.name,
        model_sha256=model.sha256,
        width=working.width,
        height=working.height,
        seconds=seconds,
        version=bridge.__version__,
        mode=settings.mode,
    )


@contextmanager
def _memory_errors() -> Iterator[None]:
    """Turn torch's ways of saying that memory ran out into one sentence."""
    try:
        yield
    except (torch.OutOfMemoryError, MemoryError) as error:
        raise _out_of_memory() from error
    except RuntimeError as error:
        # On a CPU torch raises a bare RuntimeError: "DefaultCPUAllocator: can't allocate memory".
        if "allocate memory" not in str(error):
            raise
        raise _out_of_memory() from error


def _empty_cache() -> None:
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def _out_of_memory() -> BridgeError:
    _empty_cache()
    return BridgeError(
        Code.OUT_OF_MEMORY,
        "There is not enough memory for this job.",
        "Select a smaller part, choose a smaller model, or close other programs that use the GPU.",
    )

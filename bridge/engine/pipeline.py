"""The engine: a job in, a result layer out."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch

from bridge.engine import passes
from bridge.engine.facts import facts_of
from bridge.engine.held import Held
from bridge.engine.request import resolve, selection
from bridge.engine.types import IsCancelled, Job, OnStep, Painting
from bridge.engine.upscale import Upscale
from bridge.errors import BridgeError, Code
from bridge.models.device import AUTO, choose_device
from bridge.models.load import load as load_model
from bridge.models.loaded import LoadedModel
from bridge.presets import DEFAULT_PRESET, ModelSource, Preset
from krita_plugin.krita_bridge.wire import runfile
from krita_plugin.krita_bridge.wire.control import Control
from krita_plugin.krita_bridge.wire.reference import Reference

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
        home: Path | None = None,
        load: Load | None = None,
    ) -> None:
        """`threads`: how many torch uses on a CPU; None leaves it as it is. `home`: the bridge's folder, with
        `loras`, `embeddings`, `hypernetworks` and `vaes`; None is the user's own.

        Raises BridgeError when there is no such device.
        """
        if threads is not None:
            torch.set_num_threads(threads)
        torch.backends.cudnn.deterministic = True
        self._presets = presets
        self._device = choose_device(device)
        self._home = home or runfile.home()
        self._load = load or partial(load_model, home=self._home)
        self._held: Held | None = None

    @property
    def device_name(self) -> str:
        if self._device.type == "cuda":
            return str(torch.cuda.get_device_name(self._device))
        return self._device.type

    @property
    def model_name(self) -> str:
        """The model in memory; empty before the first is loaded."""
        return "" if self._held is None else self._held.model.name

    def prepare(
        self,
        preset: str,
        on_progress: OnProgress,
        controls: Sequence[Control] = (),
        references: Sequence[Reference] = (),
    ) -> None:
        """Load the preset's model unless it is in memory; the one before it makes room first. So with what `controls`
        and `references` need beside it.

        Raises BridgeError.
        """
        found = self._preset(preset)
        held = self._model(found.model, on_progress)
        with _memory_errors():
            held.controls.prepare(controls, found, on_progress)
            held.references.prepare(references, found, on_progress)

    def paint(self, job: Job, *, on_step: OnStep, is_cancelled: IsCancelled) -> Painting:
        """Paint a job; the same job gives the same bytes on the same machine.

        Raises BridgeError: CANCELLED within a block of a network of `is_cancelled()` turning true, BAD_INPUT,
        UNKNOWN_PRESET, UNKNOWN_SCHEDULER, OUT_OF_MEMORY, and what loading a model raises.
        """
        started = time.perf_counter()
        preset = self._preset(job.request.preset)
        settings = resolve(job, preset)
        # Of a picture in parts, some parts may have nothing of the selection.
        selected = selection(job.snapshot, may_be_empty=settings.part is not None)
        held = self._model(preset.model, lambda done, sentence: None)
        given = (job.request.references, job.snapshot.references)
        with (
            _memory_errors(),
            torch.inference_mode(),
            held.model.brake.on(is_cancelled),
            held.references.beside(held.encoder, preset, *given) as seen,
        ):
            model = held.painter(settings, bool(seen.used))
            weights = (*held.prepare(settings, model), *seen.weights)
            is_part = settings.part is not None
            controlled = held.controls.use(job.request.controls, job.snapshot, preset, is_part)
            snapshot = replace(job.snapshot, controls=controlled.maps)
            if settings.upscale > 1:
                larger = Upscale(
                    model, seen.encoder, snapshot, selected, settings, controlled.guides
                )
                layer = larger.paint(on_step, is_cancelled)
                target, working = larger.target, larger.working
            else:
                layer, plan = passes.paint(
                    model,
                    seen.encoder,
                    snapshot,
                    selected,
                    settings,
                    on_step,
                    is_cancelled,
                    controlled.guides,
                )
                target, working = plan.target, plan.working
        seconds = time.perf_counter() - started
        facts = facts_of(settings, job.snapshot, held.model, weights, working, seconds)
        facts = replace(facts, controls=controlled.used, references=seen.used)
        return Painting(layer, target, facts, controlled.kept)

    def rest(self) -> None:
        """No job waits: a moment for what makes the next ones faster. Never raises."""
        if self._held is not None:
            self._held.rest()

    def _preset(self, name: str) -> Preset:
        found = self._presets.get(name or DEFAULT_PRESET)
        if found is None:
            hint = f"Choose one of: {', '.join(self._presets)}."
            raise BridgeError(Code.UNKNOWN_PRESET, f"There is no preset “{name[:60]}”.", hint)
        return found

    def _model(self, source: ModelSource, on_progress: OnProgress) -> Held:
        if self._held is None or self._held.source != source:
            self._make_room()
            with _memory_errors():
                model = self._load(source, str(self._device), None, on_progress)
            self._held = Held(source, model, self._home)
        return self._held

    def _make_room(self) -> None:
        if self._held is None:
            return
        self._held = None
        gc.collect()  # a model and its prompt cache know each other
        _empty_cache()


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

"""A scheduler's steps as numbers.

Every scheduler we offer is linear: the next sample is a weighted sum of samples, model outputs and fresh
noise of this and earlier steps. Which weights, diffusers' own scheduler tells once for a number
of steps, by being fed unit vectors; after that a step is a few multiply-adds without a scheduler. So the
noise is ours to choose, a step costs microseconds, and there is nothing to wait for on a GPU.
"""

from __future__ import annotations

import inspect
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache
from typing import Any

import torch

from bridge.engine.schedulers import make_scheduler

_NEGLIGIBLE = 1e-12


class Prediction(Enum):
    """What the model's output is."""

    EPSILON = "epsilon"
    V = "v_prediction"
    SAMPLE = "sample"


@dataclass(frozen=True)
class Weight:
    """The weight of something `lag` steps back; 0 is this step."""

    lag: int
    weight: float


@dataclass(frozen=True)
class Step:
    """One evaluation of the model, and the update after it.

    The model is given `input_scale` * sample at `timestep`. A sample at this step is
    `signal` * x0 + `noise` * z. The next sample is the sum of `samples` and `outputs` with their
    weights, plus `fresh` * new noise.
    """

    timestep: float
    input_scale: float
    signal: float
    noise: float
    samples: tuple[Weight, ...]
    outputs: tuple[Weight, ...]
    fresh: float


@dataclass(frozen=True)
class Schedule:
    """All steps of a run. Pure noise times `start_scale` is the sample that a run at full strength starts from.

    What a painter counts as a step is `order` steps here, the last one perhaps fewer (Heun: 2).
    """

    steps: tuple[Step, ...]
    start_scale: float
    prediction: Prediction
    order: int = 1

    @property
    def memory(self) -> int:
        """How many steps back the updates reach, this one included."""
        return 1 + max(w.lag for step in self.steps for w in (*step.samples, *step.outputs))


def steps_run(steps: int, strength: float) -> int:
    """How many of `steps` run at `strength` (0 to 1): rounded, half up; at least 1 unless strength is 0."""
    if strength <= 0:
        return 0
    # 1e-9 keeps products such as 50 * 0.29 = 14.499999999999998 on the half that was meant.
    return max(1, min(steps, math.floor(steps * strength + 0.5 + 1e-9)))


def first_steps(levels: torch.Tensor, strength: float, steps: int, order: int) -> torch.Tensor:
    """The step from which on each latent is painted, in a run for the greatest of `levels`; int64 of the same shape.

    A latent selected at level 0 to 255 gets `strength` * level / 255, rounded to steps as a whole run is
    (`steps_run`). For strength 0 it is a number that no step has. `order`: that of the schedule.
    """
    by_level = torch.tensor([steps_run(steps, strength * (level / 255)) for level in range(256)])
    runs = by_level[levels.long()]
    return (runs.max() - runs) * order


def make_schedule(name: str, config: Mapping[str, Any] | str, steps: int, run: int) -> Schedule:
    """The last `run` of `steps` steps of the scheduler `name` for a model's scheduler config, or its JSON text.

    Raises BridgeError for an unknown name. Schedules are cached.
    """
    text = config if isinstance(config, str) else json.dumps(dict(config), default=str)
    return _make_schedule(name, text, steps, run)


@lru_cache(maxsize=64)
def _make_schedule(name: str, config: str, steps: int, run: int) -> Schedule:
    scheduler = make_scheduler(name, json.loads(config))
    scheduler.set_timesteps(steps, **_finer(scheduler, steps))
    first = (steps - run) * scheduler.order
    if hasattr(scheduler, "set_begin_index"):
        scheduler.set_begin_index(first)
    timesteps = scheduler.timesteps[first:]
    probe = _Probe(scheduler, len(timesteps))
    return Schedule(
        steps=tuple(probe.step(index, timestep) for index, timestep in enumerate(timesteps)),
        start_scale=float(scheduler.init_noise_sigma),
        prediction=Prediction(scheduler.config.prediction_type),
        order=scheduler.order,
    )


class _Probe:
    """Feeds a scheduler unit vectors: entry i stands for sample i, entry n + i for output i, the last for none."""

    def __init__(self, scheduler: Any, count: int) -> None:
        self._scheduler = scheduler
        self._count = count

    def step(self, index: int, timestep: torch.Tensor) -> Step:
        one, zero = torch.ones(1, dtype=torch.float64), torch.zeros(1, dtype=torch.float64)
        signal = self._scheduler.add_noise(one, zero, timestep[None])
        noise = self._scheduler.add_noise(zero, one, timestep[None])
        input_scale = self._scheduler.scale_model_input(one, timestep)
        following, fresh = self._advance(index, timestep)
        return Step(
            timestep=float(timestep),
            input_scale=float(input_scale),
            signal=float(signal),
            noise=float(noise),
            samples=_weights(following[: self._count], index),
            outputs=_weights(following[self._count : -1], index),
            fresh=fresh,
        )

    def _advance(self, index: int, timestep: torch.Tensor) -> tuple[torch.Tensor, float]:
        """The next sample in terms of the unit vectors, and the weight of the scheduler's own noise."""
        shape = (1, 2 * self._count + 1, 1, 1)
        sample, output = torch.zeros(shape).double(), torch.zeros(shape).double()
        sample[0, index] = 1
        output[0, self._count + index] = 1
        drawn, options = self._draw(shape)
        following = self._scheduler.step(output, timestep, sample, return_dict=False, **options)[0]
        fresh = float(following[0, -1] / drawn[0, -1]) or 0.0
        return (following - fresh * drawn).flatten(), fresh

    def _draw(self, shape: tuple[int, ...]) -> tuple[torch.Tensor, dict[str, Any]]:
        """The noise that the scheduler will add, and how to have it add that."""
        known = inspect.signature(self._scheduler.step).parameters
        if "variance_noise" in known:
            # It is rounded to float32 on the way: these numbers are float32 already.
            drawn = torch.randn(shape, generator=_generator()).double()
            return drawn, {"variance_noise": drawn}
        drawn = torch.randn(shape, dtype=torch.float64, generator=_generator())
        return drawn, {"generator": _generator()} if "generator" in known else {}


def _finer(scheduler: Any, steps: int) -> dict[str, int]:
    """LCM picks its steps among the few that such models are distilled from, 50; it refuses more than it can pick from."""
    distilled = scheduler.config.get("original_inference_steps", steps)
    return {"original_inference_steps": steps} if steps > distilled else {}


def _generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def _weights(values: torch.Tensor, index: int) -> tuple[Weight, ...]:
    found = enumerate(values[: index + 1].tolist())
    return tuple(Weight(index - at, value) for at, value in found if abs(value) > _NEGLIGIBLE)

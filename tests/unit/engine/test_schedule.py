"""A schedule must be the diffusers scheduler it was made from, number for number."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from typing import Any

import pytest
import torch

from bridge.engine.sample import denoised, noisy, sample
from bridge.engine.schedule import make_schedule, steps_run
from bridge.engine.schedulers import SCHEDULERS, make_scheduler
from bridge.errors import BridgeError, Code
from krita_plugin.krita_bridge.wire import limits
from tests.fake_models import SD_CONFIG, ZERO_SNR_CONFIG, oracle_answer

CONFIGS = {"epsilon": SD_CONFIG, "zero_snr": ZERO_SNR_CONFIG}
SHAPE = (1, 4, 3, 5)


def randn(seed: int) -> torch.Tensor:
    return torch.randn(SHAPE, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def ignore(index: int, so_far: object) -> None:
    pass


def diffusers_loop(name: str, config: dict[str, Any], steps: int, run: int) -> torch.Tensor:
    """What a diffusers pipeline does with a scheduler, for model outputs that are noise numbered by step."""
    scheduler = make_scheduler(name, config)
    scheduler.set_timesteps(steps)
    first = (steps - run) * scheduler.order
    if hasattr(scheduler, "set_begin_index"):
        scheduler.set_begin_index(first)
    timesteps = scheduler.timesteps[first:]
    latents = scheduler.add_noise(randn(1000), randn(1001), timesteps[:1])
    for index, timestep in enumerate(timesteps):
        scheduler.scale_model_input(latents, timestep)
        known = inspect.signature(scheduler.step).parameters
        options: dict[str, Any] = {}
        if "variance_noise" in known:
            options["variance_noise"] = randn(2000 + index)
        elif "generator" in known:
            options["generator"] = torch.Generator().manual_seed(2000 + index)
        latents = scheduler.step(randn(index), timestep, latents, return_dict=False, **options)[0]
    return latents


@pytest.mark.parametrize("config", CONFIGS)
@pytest.mark.parametrize("name", SCHEDULERS)
@pytest.mark.parametrize(("steps", "run"), [(1, 1), (4, 4), (7, 3), (20, 20)])
def test_it_takes_the_same_steps_as_diffusers(name: str, config: str, steps: int, run: int) -> None:
    expected = diffusers_loop(name, CONFIGS[config], steps, run)
    schedule = make_schedule(name, CONFIGS[config], steps, run)
    start = noisy(randn(1000), randn(1001), schedule.steps[0])
    result = sample(
        lambda given, index: randn(index), schedule, start, lambda i: randn(2000 + i), ignore
    )
    # Most schedulers of diffusers compute in float32 whatever they are given.
    exact = name in ("ddim", "lcm")
    tolerance = 1e-10 if exact else 2e-5 * max(1.0, float(start.abs().max()))
    torch.testing.assert_close(result, expected, rtol=0, atol=tolerance)


@pytest.mark.parametrize("config", CONFIGS)
@pytest.mark.parametrize("name", SCHEDULERS)
def test_a_perfect_model_is_believed(
    name: str, config: str, record_property: Callable[[str, object], None]
) -> None:
    schedule = make_schedule(name, CONFIGS[config], 12, 9)
    x0 = randn(3)
    answer = oracle_answer(schedule, lambda: x0)
    start = noisy(x0, randn(4), schedule.steps[0])
    seen: list[torch.Tensor] = []
    result = sample(
        answer,
        schedule,
        start,
        lambda i: randn(50 + i),
        lambda index, so_far: seen.append(so_far()),
    )
    record_property("perfect denoiser, latents", float((result - x0).abs().max()))
    torch.testing.assert_close(result, x0, rtol=0, atol=1e-5)
    for picture in seen:
        torch.testing.assert_close(picture, x0, rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", SCHEDULERS)
def test_zero_terminal_snr_starts_from_pure_noise(name: str) -> None:
    first = make_schedule(name, ZERO_SNR_CONFIG, 8, 8).steps[0]
    assert first.timestep == 999
    assert first.signal * first.input_scale == pytest.approx(0, abs=1e-3)


@pytest.mark.parametrize(
    ("steps", "strength", "expected"),
    [
        (20, 0.0, 0),
        (20, 1.0, 20),
        (4, 0.24, 1),
        (50, 0.58, 29),
        (50, 0.29, 15),
        (10, 0.05, 1),
        (10, 0.04, 1),
        (1, 0.001, 1),
        (3, 0.5, 2),
        (20, 0.9999, 20),
        (150, 0.31, 47),
    ],
)
def test_strength_is_rounded_half_up(steps: int, strength: float, expected: int) -> None:
    assert steps_run(steps, strength) == expected


def test_more_strength_never_means_fewer_steps() -> None:
    for steps in (1, 4, 20, 50):
        runs = [steps_run(steps, hundredth / 100) for hundredth in range(101)]
        assert runs == sorted(runs)


@pytest.mark.parametrize("name", SCHEDULERS)
@pytest.mark.parametrize("steps", [1, 2, 51, limits.MAX_STEPS])
def test_any_number_of_steps_can_be_asked_for(name: str, steps: int) -> None:
    schedule = make_schedule(name, SD_CONFIG, steps, max(1, steps // 2))
    weights = [
        weight.weight for step in schedule.steps for weight in (*step.samples, *step.outputs)
    ]
    assert all(math.isfinite(weight) for weight in weights)


def test_the_last_steps_are_run() -> None:
    whole = make_schedule("ddim", SD_CONFIG, 10, 10)
    assert make_schedule("ddim", SD_CONFIG, 10, 4).steps == whole.steps[-4:]


def test_an_unknown_scheduler_is_named() -> None:
    with pytest.raises(BridgeError, match="no scheduler 'warp'") as caught:
        make_schedule("warp", SD_CONFIG, 4, 4)
    assert caught.value.code is Code.UNKNOWN_SCHEDULER
    assert "euler_a" in caught.value.hint


def test_x0_is_read_from_either_prediction() -> None:
    x0, z = randn(5), randn(6)
    for config in CONFIGS.values():
        schedule = make_schedule("ddim", config, 10, 6)
        step = schedule.steps[2]
        given = noisy(x0, z, step)
        output = oracle_answer(schedule, lambda: x0)(given * step.input_scale, 2)
        torch.testing.assert_close(denoised(schedule.prediction, step, given, output), x0)

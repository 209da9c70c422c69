"""Every scheduler solves what it claims to solve, as fast as it claims, on a model with a known solution.

Pictures of the normal distribution N(MEAN, SPREAD**2) have a perfect denoiser in closed form,
D(x, s) = (SPREAD**2 x + s**2 MEAN) / (SPREAD**2 + s**2), and so has the way from noise to picture
(Karras et al., Elucidating the design space of diffusion-based generative models, 2022, section 2):
x(s) = MEAN + (x(S) - MEAN) sqrt((SPREAD**2 + s**2) / (SPREAD**2 + S**2)).
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch

from bridge.engine.sample import sample
from bridge.engine.schedule import Schedule, Step, make_schedule
from bridge.engine.schedulers import SCHEDULERS
from tests.fake_models import SD_CONFIG

MEAN, SPREAD = 0.4, 0.7
GEOMETRIC = 0.05 * 300 ** (torch.arange(1000, dtype=torch.float64) / 999)
"""Noise from 0.05 to 15 whose logarithm is evenly spaced. With the spacing of Stable Diffusion a step doubles the
noise at the low end until there are some hundreds of them, and orders show only then."""

CUMULATIVE = 1 / (1 + GEOMETRIC**2)
CONFIG = {
    **SD_CONFIG,
    "trained_betas": (1 - CUMULATIVE / torch.cat([torch.ones(1), CUMULATIVE[:-1]])).tolist(),
}
STEPS = (20, 40, 100)
"""Divisors of the 1000 steps of training, so that all start at nearly the same noise."""


def sigma(step: Step) -> float:
    return step.noise / step.signal


def answer(schedule: Schedule, x0: Callable[[torch.Tensor, float], torch.Tensor]):
    """The model's output that implies this x0; it is asked in the picture's own scale."""

    def predict(given: torch.Tensor, index: int) -> torch.Tensor:
        step = schedule.steps[index]
        found = x0(given / (step.input_scale * step.signal), sigma(step))
        return (given / step.input_scale - step.signal * found) / step.noise

    return predict


def denoiser(x: torch.Tensor, s: float) -> torch.Tensor:
    return (SPREAD**2 * x + s**2 * MEAN) / (SPREAD**2 + s**2)


def run(schedule: Schedule, start: torch.Tensor, predict, fresh) -> tuple[torch.Tensor, Step]:
    """The sample at which the last evaluation begins, in the picture's scale. The last step leads to no noise from
    the least there was in training: its error does not shrink with the number of steps."""
    seen: list[torch.Tensor] = []

    def watching(given: torch.Tensor, index: int) -> torch.Tensor:
        seen.append(given / schedule.steps[index].input_scale)
        return predict(given, index)

    sample(watching, schedule, start, fresh, lambda *_: None)
    last = len(schedule.steps) - 1 - (schedule.order - 1)
    return seen[last] / schedule.steps[last].signal, schedule.steps[last]


def is_random(name: str) -> bool:
    return any(step.fresh for step in make_schedule(name, CONFIG, 20, 20).steps)


def error_of_path(name: str, steps: int) -> float:
    """How far from the exact solution a deterministic scheduler ends."""
    schedule = make_schedule(name, CONFIG, steps, steps)
    first = schedule.steps[0]
    start = torch.tensor([[[[-1.5, 0.3, 2.0]]]], dtype=torch.float64) * sigma(first) + MEAN
    found, last = run(schedule, start * first.signal, answer(schedule, denoiser), None)
    shrink = math.sqrt((SPREAD**2 + sigma(last) ** 2) / (SPREAD**2 + sigma(first) ** 2))
    return float((found - MEAN - (start - MEAN) * shrink).abs().max())


def error_of_spread(name: str, steps: int, x0=denoiser) -> float:
    """How far from the exact one the standard deviation ends, for schedulers that add noise.

    Each entry of the tensor is the share of one independent unit of noise in the sample, so the variance is
    the sum of squares, without drawing anything. (Shares know no mean.)
    """
    schedule = make_schedule(name, CONFIG, steps, steps)
    count = len(schedule.steps)
    unit = torch.eye(count + 1, dtype=torch.float64).reshape(count + 1, 1, 1, 1, count + 1)
    first = schedule.steps[0]
    start = unit[count] * math.sqrt(SPREAD**2 + sigma(first) ** 2) * first.signal
    centred = answer(schedule, lambda x, s: x0(x + MEAN, s) - MEAN)
    found, last = run(schedule, start, centred, lambda index: unit[index])
    exact = math.sqrt(SPREAD**2 + sigma(last) ** 2)
    return abs(float(found.square().sum().sqrt()) - exact)


def order_of(error: Callable[[str, int], float], name: str) -> float:
    """The slope of the error over the number of steps, in a log-log plot."""
    errors = [error(name, steps) for steps in STEPS]
    return -float(np.polyfit(np.log(STEPS), np.log(errors), 1)[0])


ORDERS = {
    "euler": 1,
    "euler_karras": 1,
    "euler_a": 1,
    "heun": 2,
    "heun_karras": 2,
    "lms": 3.5,
    "lms_karras": 3.5,
    "dpmpp_2m": 2,
    "dpmpp_2m_karras": 2,
    "dpmpp_2m_sde": 2,
    "dpmpp_2m_sde_karras": 2,
    # Both halves of its steps draw noise of their own, which costs it an order.
    "dpmpp_sde": 0.85,
    "dpmpp_sde_karras": 0.85,
    "unipc": 3,
    "ddim": 1,
    "ddpm": 1,
}


@pytest.mark.parametrize("name", [name for name in SCHEDULERS if name != "lcm"])
def test_the_error_falls_with_the_order_of_the_scheduler(
    name: str, record_property: Callable[[str, object], None]
) -> None:
    order = order_of(error_of_spread if is_random(name) else error_of_path, name)
    record_property(f"order {name}", order)
    assert order > ORDERS[name] - 0.15


def consistent(x: torch.Tensor, s: float) -> torch.Tensor:
    """Where the exact way from (x, s) ends: what a consistency model learns (Song et al., 2023)."""
    return MEAN + (x - MEAN) * SPREAD / math.sqrt(SPREAD**2 + s**2)


@pytest.mark.parametrize("steps", [2, 4, 8])
def test_lcm_paints_the_right_spread_in_any_number_of_steps(steps: int) -> None:
    """Up to its boundary condition, which keeps a little of the sample at the last step."""
    assert error_of_spread("lcm", steps, consistent) < 0.01
    assert error_of_spread("lcm", steps, denoiser) > 0.1

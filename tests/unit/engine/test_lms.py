from __future__ import annotations

import pytest
import torch
from numpy.polynomial import Polynomial

from bridge.engine.lms import ORDER, LinearMultistepScheduler, multistep_weights
from bridge.engine.schedule import make_schedule
from tests.fake_models import SD_CONFIG

SIGMAS = [14.6, 9.1, 5.5, 3.2, 1.9, 1.1, 0.4, 0.0]


@pytest.mark.parametrize("order", range(1, ORDER + 1))
@pytest.mark.parametrize("index", range(ORDER - 1, len(SIGMAS) - 1))
def test_polynomials_below_the_order_are_integrated_exactly(order: int, index: int) -> None:
    derivative = Polynomial([0.7, -1.3, 0.2, 0.05][:order])
    expected = derivative.integ()(SIGMAS[index + 1]) - derivative.integ()(SIGMAS[index])
    weights = multistep_weights(SIGMAS, index, order)
    found = sum(w * derivative(SIGMAS[index - lag]) for lag, w in enumerate(weights))
    assert found == pytest.approx(expected, rel=1e-9)


def test_the_first_step_is_eulers() -> None:
    assert multistep_weights(SIGMAS, 2, 1) == [pytest.approx(SIGMAS[3] - SIGMAS[2])]


def test_it_looks_back_over_its_order_and_starts_afresh() -> None:
    lags = [
        max(weight.lag for weight in step.outputs)
        for step in make_schedule("lms", SD_CONFIG, 10, 7).steps
    ]
    assert lags == [0, 1, 2, 3, 3, 3, 3]


def test_a_scheduler_used_twice_forgets_its_first_run() -> None:
    scheduler = LinearMultistepScheduler()
    runs = []
    for _ in range(2):
        scheduler.set_timesteps(3)
        sample = torch.ones(1, 1, 2, 2)
        for timestep in scheduler.timesteps:
            sample = scheduler.step(0.1 * sample, timestep, sample)[0]
        runs.append(sample)
    assert torch.equal(*runs)

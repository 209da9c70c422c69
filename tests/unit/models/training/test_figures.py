"""Figures, their intervals, and rank correlation, against values known beforehand."""

from __future__ import annotations

import numpy as np
import pytest

from bridge.models.training.fidelity import LEVELS, gamma, rank_correlation
from bridge.models.training.results import figure, psnr, rate


def test_a_figure_lies_in_its_interval_and_the_interval_narrows_with_samples() -> None:
    rng = np.random.default_rng(0)
    few = figure("few", rng.normal(5, 1, 10), "x")
    many = figure("many", rng.normal(5, 1, 1000), "x")
    assert few.low < few.value < few.high
    assert many.low < 5.1 and many.high > 4.9
    assert many.high - many.low < few.high - few.low


def test_psnr_is_of_all_pictures_together() -> None:
    assert psnr(np.array([255.0**2])) == 0
    assert psnr(np.array([0.0, 2 * 65.025])) == pytest.approx(30)


def test_a_rate_carries_its_interval() -> None:
    passed = rate("r", [True, False, True])
    assert (passed.hits, passed.of) == (2, 3)
    assert passed.low < 2 / 3 < passed.high


def test_rank_correlation() -> None:
    ramp = np.linspace(0, 1, LEVELS * LEVELS).reshape(LEVELS, LEVELS)
    assert rank_correlation(ramp, ramp) == pytest.approx(1)
    assert rank_correlation(np.sqrt(ramp) * 0.99, ramp) > 0.99
    assert rank_correlation(1 - ramp, ramp) == pytest.approx(-1)
    assert rank_correlation(np.zeros_like(ramp), ramp) == 0


def test_ties_share_their_mean_rank() -> None:
    one = np.array([[0.0, 0.0, 0.5, 1.0]])
    other = np.array([[0.0, 0.25, 1.0, 1.0]])
    by_hand = np.corrcoef([1.5, 1.5, 3, 4], [1, 2, 3.5, 3.5])[0, 1]
    assert rank_correlation(one, other) == pytest.approx(by_hand)


def test_gamma_leaves_ties_out_and_punishes_disorder() -> None:
    rng = np.random.default_rng(1)
    truth = np.zeros((64, 64))
    truth[:, 32:] = 0.8
    noisy = truth + rng.uniform(0, 0.1, truth.shape)
    assert gamma(noisy, truth) == 1
    assert rank_correlation(noisy, truth) < 0.95
    assert gamma(1 - noisy, truth) == -1
    assert abs(gamma(rng.uniform(size=truth.shape), truth)) < 0.1

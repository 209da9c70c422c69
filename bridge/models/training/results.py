"""What an evaluation says: rates and figures, each with a 95 % interval."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bridge.models.training import judge

_RESAMPLES = 1000


@dataclass(frozen=True)
class Rate:
    """``hits`` of ``of`` samples passed; ``low`` and ``high``: Wilson's 95 % interval."""

    name: str
    hits: int
    of: int
    low: float
    high: float


@dataclass(frozen=True)
class Figure:
    """``low`` and ``high``: 95 % interval."""

    name: str
    value: float
    low: float
    high: float
    unit: str


@dataclass(frozen=True)
class Results:
    rates: tuple[Rate, ...]
    figures: tuple[Figure, ...]


def rate(name: str, hits: Sequence[bool]) -> Rate:
    passed = sum(bool(hit) for hit in hits)
    low, high = judge.interval(passed, len(hits))
    return Rate(name, passed, len(hits), round(low, 3), round(high, 3))


def figure(
    name: str,
    samples: Sequence[float] | NDArray[np.float64],
    unit: str,
    of: Callable[[NDArray[np.float64]], float] = lambda values: float(values.mean()),
) -> Figure:
    """``of`` the samples (their mean), with the percentile bootstrap's interval (Efron 1979)."""
    values = np.asarray(samples, dtype=np.float64)
    rng = np.random.default_rng(0)
    drawn = [of(values[rng.integers(len(values), size=len(values))]) for _ in range(_RESAMPLES)]
    low, high = np.percentile(drawn, (2.5, 97.5))
    value, low, high = (round(float(v), 3) for v in (of(values), low, high))
    return Figure(name, value, low, high, unit)


def psnr(squared_errors: NDArray[np.float64]) -> float:
    """dB, of 8-bit pictures, from each picture's mean squared error: that of all of them together."""
    return float(10 * np.log10(255**2 / squared_errors.mean()))

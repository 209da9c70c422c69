"""What is painted over is a thing that the judge knows, and is judged by what became of it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from bridge.models.training import recogniser, redrawing
from bridge.models.training.obey import THINGS
from bridge.models.training.redrawing import Asked
from bridge.models.training.sampler import Sampling

Pictures = NDArray[np.uint8]


@pytest.fixture(scope="module")
def found() -> list[Asked]:
    return redrawing.paintings(18)


def _rates(
    monkeypatch: pytest.MonkeyPatch,
    found: list[Asked],
    becomes: Callable[[Pictures, float], Pictures],
) -> list[int]:
    def generated(
        pipe: object,
        prompts: list[str],
        how: Sampling,
        starts: list[Pictures],
        *,
        strength: float,
    ) -> list[Pictures]:
        assert len(prompts) == len(starts)
        return [becomes(start, strength) for start in starts]

    monkeypatch.setattr(redrawing, "generated", generated)
    return [rate.hits for rate in redrawing.redrawing(None, found, Sampling())]


def test_each_thing_is_painted_over_and_named(found: list[Asked]) -> None:
    assert [noun for _, noun, _ in found] == [*THINGS, *THINGS]
    for painting, noun, prompt in found:
        assert painting.mask.any()
        assert f" {noun} on a" in prompt
    told = [recogniser.shipped().thing_of(painting.image) == noun for painting, noun, _ in found]
    assert sum(told) >= 16


def test_only_what_became_of_the_thing_counts(
    monkeypatch: pytest.MonkeyPatch, found: list[Asked]
) -> None:
    assert min(_rates(monkeypatch, found, lambda start, _: start)) >= 16
    gone = _rates(monkeypatch, found, lambda start, _: np.full_like(start, 128))
    assert gone == [0] * len(redrawing.STRENGTHS)


def test_each_strength_has_its_own_rate(
    monkeypatch: pytest.MonkeyPatch, found: list[Asked]
) -> None:
    kept = _rates(
        monkeypatch, found, lambda start, strength: start if strength < 0.6 else start * 0
    )
    assert kept[-1] == 0 < kept[0] == kept[1]

"""Pictures in batches: each has its own prompt, seed and start, whatever the batch."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from bridge.models.training import sampler
from bridge.models.training.dataset import HELD_OUT
from bridge.models.training.sampler import Image, Sampling


def test_every_picture_of_several_batches_has_its_own_prompt_seed_and_start(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    batches: list[int] = []

    def generate(
        pipe: object,
        prompts: list[str],
        seeds: list[int],
        how: Sampling,
        start: NDArray[np.uint8],
        masks: NDArray[np.bool_],
        strength: float,
    ) -> NDArray[np.uint8]:
        assert masks.shape == (len(prompts), 2, 2) and masks.all()
        assert strength == 0.5
        batches.append(len(prompts))
        told = [int(prompt) + seed - HELD_OUT for prompt, seed in zip(prompts, seeds, strict=True)]
        return start + np.array(told, np.uint8)[:, None, None, None]

    monkeypatch.setattr(sampler, "generate", generate)
    starts: list[Image] = [np.full((2, 2, 3), i, np.uint8) for i in range(19)]
    mask = np.ones((2, 2), dtype=bool)
    pictures = sampler.generated(
        None, [str(i) for i in range(19)], Sampling(), starts, mask, strength=0.5
    )
    assert [int(picture[0, 0, 0]) for picture in pictures] == [3 * i for i in range(19)]
    assert len(batches) > 1 and sum(batches) == 19

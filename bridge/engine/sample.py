"""The sampling loop: from noise to a picture, in latents."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import torch

from bridge.engine.schedule import Prediction, Schedule, Step

Predict = Callable[[torch.Tensor, int], torch.Tensor]
"""The model's output for its scaled input (N x C x h x w) at the step of this index."""

AfterStep = Callable[[int, Callable[[], torch.Tensor]], None]
"""Told the index of the step just done and how to get the picture so far (x0, in latents)."""


@dataclass(frozen=True, eq=False)
class Kept:
    """What must stay, and how long: `latents`, until the step `free_from` (1 x 1 x h x w, a step's index; a number
    that no step has: for good).

    Until then they are put back after every step, with `noise` of the level at which the following step begins
    (RePaint without resampling: Lugmayr et al., 2022); so a latent that is free from step i on starts there just
    as img2img does (Levin & Fried, Differential diffusion: giving each pixel its strength, 2023).
    """

    latents: torch.Tensor
    noise: torch.Tensor
    free_from: torch.Tensor

    def put_back(self, sample: torch.Tensor, steps: Sequence[Step], index: int) -> torch.Tensor:
        """The sample at which step `index` begins; the finished one when there is no such step."""
        kept = self.latents
        if index < len(steps):
            kept = noisy(self.latents, self.noise, steps[index])
        return torch.where(self.free_from < index, sample, kept)


def noisy(latents: torch.Tensor, noise: torch.Tensor, step: Step) -> torch.Tensor:
    """Latents with noise of the level at which `step` begins."""
    return torch.add(latents * step.signal, noise, alpha=step.noise)


def sample(
    predict: Predict,
    schedule: Schedule,
    start: torch.Tensor,
    fresh_noise: Callable[[int], torch.Tensor],
    after_step: AfterStep,
    kept: Kept | None = None,
) -> torch.Tensor:
    """Run `schedule` from the sample `start` (N x C x h x w) to latents without noise.

    `fresh_noise(i)` is new noise for step i, asked for by schedulers that add some. `after_step` may
    raise to stop.
    """
    samples: deque[torch.Tensor] = deque([start], maxlen=schedule.memory)
    outputs: deque[torch.Tensor] = deque(maxlen=schedule.memory)
    steps = schedule.steps
    for index, step in enumerate(steps):
        given = samples[0] if step.input_scale == 1 else samples[0] * step.input_scale
        outputs.appendleft(predict(given, index))
        following = _combine(step, samples, outputs)
        if step.fresh:
            following.add_(fresh_noise(index), alpha=step.fresh)
        if kept is not None:
            following = kept.put_back(following, steps, index + 1)
        so_far = partial(denoised, schedule.prediction, step, samples[0], outputs[0])
        samples.appendleft(following)
        after_step(index, so_far)
    return samples[0]


def denoised(
    prediction: Prediction, step: Step, sample: torch.Tensor, output: torch.Tensor
) -> torch.Tensor:
    """x0 as the model's output at a step implies it."""
    signal, noise = step.signal * step.input_scale, step.noise * step.input_scale
    if prediction is Prediction.SAMPLE:
        return output
    if prediction is Prediction.V:
        return sample * (step.input_scale * signal) - output * noise
    return (sample * step.input_scale - output * noise) / max(signal, 1e-4)


def _combine(
    step: Step, samples: Sequence[torch.Tensor], outputs: Sequence[torch.Tensor]
) -> torch.Tensor:
    """The weighted sum that a step asks for; entry `lag` of each sequence is that of `lag` steps back."""
    total: torch.Tensor | None = None
    for tensors, weights in ((outputs, step.outputs), (samples, step.samples)):
        for weight in weights:
            if total is None:
                total = tensors[weight.lag] * weight.weight
            else:
                total.add_(tensors[weight.lag], alpha=weight.weight)
    assert total is not None, "a step leads somewhere"
    return total

"""The linear multistep sampler (LMS), which diffusers has only together with scipy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from diffusers import EulerDiscreteScheduler
from numpy.polynomial import Polynomial

ORDER = 4


class LinearMultistepScheduler(EulerDiscreteScheduler):  # type: ignore[misc]
    """Adams-Bashforth steps over the noise level sigma, as in k-diffusion's `sample_lms` (Katherine Crowson, 2022):
    the derivatives of the last steps, up to ORDER of them, are interpolated and integrated exactly.

    Noise levels, scaling and timesteps are those of the Euler scheduler.
    """

    _derivatives: tuple[torch.Tensor, ...] = ()

    def step(
        self, model_output: torch.Tensor, timestep: torch.Tensor, sample: torch.Tensor, **_: Any
    ) -> tuple[torch.Tensor]:
        """The next sample, as a tuple of one. All tensors N x C x h x w; `sample` is not scaled."""
        if self.step_index is None:
            self._init_step_index(timestep)
            self._derivatives = ()
        index = self.step_index
        sigma = float(self.sigmas[index])
        if self.config.prediction_type == "v_prediction":
            x0 = (sample / (sigma**2 + 1)) - model_output * (sigma / (sigma**2 + 1) ** 0.5)
        else:
            x0 = sample - sigma * model_output
        self._derivatives = ((sample - x0) / sigma, *self._derivatives[: ORDER - 1])
        sigmas = self.sigmas.tolist()
        weights = multistep_weights(sigmas, index, len(self._derivatives))
        for derivative, weight in zip(self._derivatives, weights, strict=True):
            sample = sample + derivative * weight
        self._step_index += 1
        return (sample,)


def multistep_weights(sigmas: Sequence[float], index: int, order: int) -> list[float]:
    """Of the derivatives at `index`, `index` - 1, ...: the integral from sigmas[index] to the next sigma of the
    Lagrange polynomial that is 1 there and 0 at the others."""
    nodes = [sigmas[index - lag] for lag in range(order)]
    weights = []
    for node in nodes:
        others = [other for other in nodes if other != node]
        basis = Polynomial([1.0])
        for other in others:
            basis *= Polynomial([-other, 1.0]) / (node - other)
        integral = basis.integ(lbnd=sigmas[index])
        weights.append(float(integral(sigmas[index + 1])))
    return weights

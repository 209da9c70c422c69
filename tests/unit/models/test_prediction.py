"""What a UNet predicts is told from what it makes of pure noise."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from bridge.models.load import load
from bridge.models.loaded import TextEncoder
from bridge.models.prediction import measure_prediction
from bridge.presets import EmbeddedModel
from tests.fake_models import FakeTextModel

SIGNAL = 0.0683
"""Of the last of the 1000 timesteps of Stable Diffusion."""


class PerfectUnet:
    """Knows that every picture is Gaussian noise around `mean`, as wide as `spread`, and predicts accordingly: nothing that
    is trained can do better (Bayes)."""

    device, dtype = torch.device("cpu"), torch.float32

    def __init__(self, prediction: str, mean: float, spread: float, channels: int) -> None:
        self.config = SimpleNamespace(in_channels=channels, out_channels=4)
        self._prediction, self._mean, self._spread = prediction, mean, spread

    def __call__(self, given: torch.Tensor, timestep: float, states: torch.Tensor) -> Any:
        assert timestep == 999 and given.shape[1] == self.config.in_channels
        noisy, signal, level = given[:, :4], SIGNAL, math.sqrt(1 - SIGNAL**2)
        gain = signal * self._spread**2 / (signal**2 * self._spread**2 + level**2)
        x0 = self._mean + gain * (noisy - signal * self._mean)
        z = (noisy - signal * x0) / level
        answer = z if self._prediction == "epsilon" else signal * z - level * x0
        return SimpleNamespace(sample=answer)


class Tokenizer:
    def __call__(self, prompt: str, **_: object) -> Any:
        assert not prompt
        return SimpleNamespace(input_ids=torch.zeros(1, 77, dtype=torch.long))


@pytest.mark.parametrize("channels", [4, 5, 9])
@pytest.mark.parametrize(("mean", "spread"), [(0.0, 0.0), (0.0, 1.0), (1.5, 0.3), (-0.5, 2.0)])
@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction"])
def test_a_perfect_model_of_any_pictures_is_told(
    prediction: str, mean: float, spread: float, channels: int
) -> None:
    unet: Any = PerfectUnet(prediction, mean, spread, channels)
    assert measure_prediction(unet, TextEncoder(Tokenizer(), FakeTextModel())) == prediction


def test_the_embedded_model_which_was_trained_for_velocity_is_told() -> None:
    model = load(EmbeddedModel(), "cpu")
    assert model.scheduler_config["prediction_type"] == "v_prediction"
    assert measure_prediction(model.unet, model.text[0]) == "v_prediction"

"""Models that know the answer: an exactly invertible VAE, and UNets that are a formula.

With them the whole engine runs in milliseconds and what must come out is known.
"""

from __future__ import annotations

import atexit
import shutil
import tempfile
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
import torch.nn.functional as F

from bridge.engine.schedule import Prediction, Schedule
from bridge.models.families import SD15
from bridge.models.load import load
from bridge.models.loaded import LoadedModel, Resolution, TextEncoder
from bridge.presets import ModelFolder, Preset
from tests.tiny_models import make_tiny_sd15, make_tiny_sdxl

SD_CONFIG = {
    "num_train_timesteps": 1000,
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "prediction_type": "epsilon",
    "set_alpha_to_one": True,
    "steps_offset": 1,
}
ZERO_SNR_CONFIG = {
    **SD_CONFIG,
    "prediction_type": "v_prediction",
    "rescale_betas_zero_snr": True,
    "timestep_spacing": "trailing",
    "steps_offset": 0,
}


class PixelVae:
    """Latents that are the pixels: 8 x 8 x 3 values, rearranged, nothing lost."""

    config = SimpleNamespace(
        block_out_channels=(1, 1, 1, 1), latent_channels=192, scaling_factor=1.0
    )

    def parameters(self) -> Iterator[torch.Tensor]:
        return iter([torch.zeros(1)])

    def encode(self, picture: torch.Tensor) -> Any:
        return SimpleNamespace(latents=F.pixel_unshuffle(picture, 8))

    def decode(self, latents: torch.Tensor, return_dict: bool) -> tuple[torch.Tensor]:
        return (F.pixel_shuffle(latents, 8),)


class FakeUnet:
    """A UNet that is a function of its input and the number of the call within the run."""

    def __init__(self, answer: Callable[[torch.Tensor, int], torch.Tensor]) -> None:
        self.config = SimpleNamespace(in_channels=192)
        self.calls = 0
        self._answer = answer

    def __call__(
        self, given: torch.Tensor, timestep: torch.Tensor, **_: Any
    ) -> tuple[torch.Tensor]:
        output = self._answer(given, self.calls)
        self.calls += 1
        return (output,)


class FakeTextModel:
    """States that depend on the tokens; counts its calls."""

    config = SimpleNamespace(max_position_embeddings=77, hidden_size=1)

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, ids: torch.Tensor) -> Any:
        self.calls += 1
        return SimpleNamespace(last_hidden_state=ids[..., None].float() / 100)


class FakeTokenizer:
    bos_token_id, eos_token_id, pad_token_id = 1, 2, 0

    def __call__(self, prompt: str, **_: Any) -> Any:
        return SimpleNamespace(input_ids=[3 + ord(letter) % 90 for letter in prompt])


def fake_model(
    answer: Callable[[torch.Tensor, int], torch.Tensor],
    *,
    scheduler_config: dict[str, Any] = SD_CONFIG,
    resolution: Resolution | None = None,
    vae: Any = None,
) -> LoadedModel:
    """A model of 192-channel pixel latents whose UNet is `answer`; paints any size unscaled by default."""
    return LoadedModel(
        name="fake",
        sha256="0" * 64,
        family=SD15,
        resolution=resolution or Resolution(native=1, max_pixels=1 << 30),
        unet=FakeUnet(answer),
        vae=vae or PixelVae(),
        text=(TextEncoder(FakeTokenizer(), FakeTextModel()),),
        scheduler_config=scheduler_config,
        preview_decoder=lambda latents: F.pixel_shuffle(latents, 8) / 2 + 0.5,
        device=torch.device("cpu"),
        dtype=torch.float32,
    )


class RememberingVae(PixelVae):
    """Keeps what it encoded last: the answer an oracle gives."""

    remembered: torch.Tensor

    def encode(self, picture: torch.Tensor) -> Any:
        encoded = super().encode(picture)
        self.remembered = encoded.latents
        return encoded


def oracle_answer(
    schedule: Schedule, known: Callable[[], torch.Tensor]
) -> Callable[[torch.Tensor, int], torch.Tensor]:
    """The output of a perfect model: the one that implies that x0 is `known()`, at every step."""

    def answer(given: torch.Tensor, call: int) -> torch.Tensor:
        step = schedule.steps[call % len(schedule.steps)]
        signal, noise = step.signal * step.input_scale, step.noise * step.input_scale
        x0 = known().to(given.dtype)
        z = (given - signal * x0) / noise
        if schedule.prediction is Prediction.V:
            return signal * z - noise * x0
        return z

    return answer


def oracle_model(
    schedule: Schedule, scheduler_config: dict[str, Any], **options: Any
) -> LoadedModel:
    """A model that always finds the picture that was encoded: the engine becomes an identity."""
    vae = RememberingVae()
    answer = oracle_answer(schedule, lambda: vae.remembered)
    return fake_model(answer, scheduler_config=scheduler_config, vae=vae, **options)


def preset(name: str = "test", **options: Any) -> Preset:
    """A preset of 4 steps without guidance unless `options` say otherwise."""
    fields = {"steps": 4, "guidance": 1.0, "scheduler": "ddim", "native": 64, **options}
    return Preset(name=name, label=name, model=ModelFolder(Path("nowhere")), **fields)


@cache
def tiny_folder(kind: str) -> Path:
    """`sd15`, `sd15_inpaint`, `sd15_depth` or `sdxl` as a folder, made once per process."""
    folder = Path(tempfile.mkdtemp(prefix="krita-bridge-tiny-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    if kind == "sdxl":
        return make_tiny_sdxl(folder)
    return make_tiny_sd15(folder, in_channels={"sd15_inpaint": 9, "sd15_depth": 5}.get(kind, 4))


@cache
def tiny_model(kind: str) -> LoadedModel:
    """The tiny model `kind`, loaded by the bridge's own loader."""
    return load(ModelFolder(tiny_folder(kind)), "cpu", home=tiny_folder(kind))

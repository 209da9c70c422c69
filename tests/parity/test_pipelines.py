"""Our loop against the diffusers pipelines on tiny models in the true formats: the same latents, step by step."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import diffusers
import pytest
import torch

from bridge.engine.condition import Encoder, PromptEncoder
from bridge.engine.control import Hint
from bridge.engine.guidance import make_predictor
from bridge.engine.prompt import plain
from bridge.engine.sample import Kept, noisy, sample
from bridge.engine.schedule import Schedule, make_schedule
from bridge.engine.schedulers import make_scheduler
from bridge.models.loaded import LoadedModel
from krita_plugin.krita_bridge.wire.geometry import Extent
from tests.fake_models import tiny_folder, tiny_model
from tests.figures import found

SIDE, LATENT = 64, 8
PROMPT, NEGATIVE = "a red circle", "blurry"
TOLERANCE = {torch.float64: 1e-10, torch.float32: 1e-5}
DTYPES = pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
GUIDANCE = pytest.mark.parametrize("guidance", [1.0, 4.5])


def randn(seed: int, dtype: torch.dtype) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn((1, 4, LATENT, LATENT), generator=generator, dtype=dtype)


def pipeline(class_name: str, kind: str, dtype: torch.dtype, scheduler: str = "ddim") -> Any:
    made = getattr(diffusers, class_name).from_pretrained(
        tiny_folder(kind), torch_dtype=dtype, safety_checker=None
    )
    made.scheduler = make_scheduler(scheduler, tiny_model(kind).scheduler_config)
    made.set_progress_bar_config(disable=True)
    return made


def ours(kind: str, made: Any, dtype: torch.dtype) -> LoadedModel:
    """Our model with the pipeline's own weights, in its dtype."""
    model = tiny_model(kind)
    encoders = [made.text_encoder, getattr(made, "text_encoder_2", None)]
    text = tuple(
        replace(ours, model=theirs) for ours, theirs in zip(model.text, encoders, strict=False)
    )
    return replace(model, unet=made.unet, vae=made.vae, text=text, dtype=dtype)


def theirs(
    made: Any, before_step: Callable[[int], None] = lambda _: None, **arguments: Any
) -> list[torch.Tensor]:
    """The latents after every step of a pipeline. `before_step` is called with the number of each."""
    seen: list[torch.Tensor] = []

    def keep(_: Any, index: int, __: Any, kept: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        seen.append(kept["latents"].clone())
        before_step(index + 1)
        return kept

    before_step(0)

    made(
        PROMPT,
        negative_prompt=NEGATIVE,
        output_type="latent",
        callback_on_step_end=keep,
        **arguments,
    )
    return seen


def run(
    model: LoadedModel,
    schedule: Schedule,
    start: torch.Tensor,
    guidance: float,
    *,
    extra: torch.Tensor | None = None,
    kept: Kept | None = None,
    side: int = SIDE,
    encoder: Encoder | None = None,
    hints: Sequence[Hint] = (),
) -> list[torch.Tensor]:
    """The latents after every step of our loop."""
    encoder = encoder or PromptEncoder(model)
    positive, negative = plain(PROMPT), plain(NEGATIVE)
    conditions = encoder.pair(positive, negative) if guidance > 1 else (encoder.encode(positive),)
    timesteps = [step.timestep for step in schedule.steps]
    seen: list[torch.Tensor] = []
    with torch.inference_mode():
        size = Extent(side, side)
        predict = make_predictor(model, timesteps, conditions, guidance, size, extra, hints=hints)

        def following(given: torch.Tensor, index: int) -> torch.Tensor:
            if index:  # the sample at the start of a step is the latents after the one before
                seen.append(given / schedule.steps[index].input_scale)
            return predict(given, index)

        seen_last = sample(following, schedule, start, no_noise, lambda *_: None, kept)
    return [*seen, seen_last]


def no_noise(index: int) -> torch.Tensor:
    raise AssertionError("these schedulers add no noise")


def assert_same(mine: list[torch.Tensor], expected: list[torch.Tensor], dtype: torch.dtype) -> None:
    assert len(mine) == len(expected) > 1
    for ours_now, theirs_now in zip(mine, expected, strict=True):
        scale = max(1.0, float(theirs_now.abs().max()))
        found(f"parity {dtype}", float((ours_now - theirs_now).abs().max()) / scale)
        torch.testing.assert_close(ours_now, theirs_now, rtol=0, atol=TOLERANCE[dtype] * scale)


@DTYPES
@GUIDANCE
def test_text_to_image(dtype: torch.dtype, guidance: float) -> None:
    made = pipeline("StableDiffusionPipeline", "sd15", dtype)
    noise = randn(0, dtype)
    expected = theirs(
        made, latents=noise, num_inference_steps=5, guidance_scale=guidance, height=SIDE, width=SIDE
    )
    model = ours("sd15", made, dtype)
    schedule = make_schedule("ddim", model.scheduler_config, 5, 5)
    assert_same(run(model, schedule, noise * schedule.start_scale, guidance), expected, dtype)


@pytest.mark.parametrize("scheduler", ["euler", "heun", "dpmpp_2m", "dpmpp_2m_karras", "unipc"])
def test_every_scheduler_without_noise_of_its_own(scheduler: str) -> None:
    made = pipeline("StableDiffusionPipeline", "sd15", torch.float32, scheduler)
    noise = randn(0, torch.float32)
    expected = theirs(
        made, latents=noise, num_inference_steps=6, guidance_scale=3.0, height=SIDE, width=SIDE
    )
    model = ours("sd15", made, torch.float32)
    schedule = make_schedule(scheduler, model.scheduler_config, 6, 6)
    mine = run(model, schedule, noise * schedule.start_scale, 3.0)
    assert_same(mine, expected, torch.float32)


@DTYPES
@GUIDANCE
def test_image_to_image(dtype: torch.dtype, guidance: float) -> None:
    made = pipeline("StableDiffusionImg2ImgPipeline", "sd15", dtype)
    picture = randn(1, dtype)
    expected = theirs(
        made,
        image=picture,
        strength=0.6,
        num_inference_steps=5,
        guidance_scale=guidance,
        generator=torch.Generator().manual_seed(2),
    )
    model = ours("sd15", made, dtype)
    schedule = make_schedule("ddim", model.scheduler_config, 5, 3)
    start = noisy(picture, randn(2, dtype), schedule.steps[0])
    assert_same(run(model, schedule, start, guidance), expected, dtype)


@DTYPES
@pytest.mark.parametrize("strength", [1.0, 0.6])
def test_inpainting_with_four_channels(dtype: torch.dtype, strength: float) -> None:
    made = pipeline("StableDiffusionInpaintPipeline", "sd15", dtype)
    picture = randn(1, torch.float32).to(dtype)  # the pipeline rounds it to float32 itself
    expected = theirs(
        made,
        image=picture,
        mask_image=half_mask_pixels(dtype),
        masked_image_latents=picture,  # not used by such a UNet, but made from the image when missing
        strength=strength,
        num_inference_steps=5,
        guidance_scale=4.5,
        height=SIDE,
        width=SIDE,
        generator=torch.Generator().manual_seed(2),
    )
    model = ours("sd15", made, dtype)
    schedule = make_schedule("ddim", model.scheduler_config, 5, round(5 * strength))
    noise = randn(2, dtype)
    start = noise * schedule.start_scale
    if strength < 1:
        start = noisy(picture, noise, schedule.steps[0])
    free_from = torch.where(half_mask(dtype) > 0, 0, len(schedule.steps))
    mine = run(model, schedule, start, 4.5, kept=Kept(picture, noise, free_from))
    assert_same(mine, expected, dtype)


@DTYPES
@GUIDANCE
def test_inpainting_with_nine_channels(dtype: torch.dtype, guidance: float) -> None:
    made = pipeline("StableDiffusionInpaintPipeline", "sd15_inpaint", dtype)
    masked = randn(3, dtype)
    expected = theirs(
        made,
        image=randn(1, dtype),
        mask_image=half_mask_pixels(dtype),
        masked_image_latents=masked,
        strength=1.0,
        num_inference_steps=5,
        guidance_scale=guidance,
        height=SIDE,
        width=SIDE,
        generator=torch.Generator().manual_seed(2),
    )
    model = ours("sd15_inpaint", made, dtype)
    schedule = make_schedule("ddim", model.scheduler_config, 5, 5)
    extra = torch.cat([half_mask(dtype), masked], dim=1)
    mine = run(model, schedule, randn(2, dtype), guidance, extra=extra)
    assert_same(mine, expected, dtype)


@DTYPES
@GUIDANCE
def test_sdxl_text_to_image(dtype: torch.dtype, guidance: float) -> None:
    made = pipeline("StableDiffusionXLPipeline", "sdxl", dtype)
    noise = randn(0, dtype)
    expected = theirs(
        made, latents=noise, num_inference_steps=4, guidance_scale=guidance, height=SIDE, width=SIDE
    )
    model = ours("sdxl", made, dtype)
    schedule = make_schedule("ddim", model.scheduler_config, 4, 4)
    assert_same(run(model, schedule, noise, guidance), expected, dtype)


def half_mask(dtype: torch.dtype) -> torch.Tensor:
    mask = torch.zeros(1, 1, LATENT, LATENT, dtype=dtype)
    mask[..., LATENT // 2 :] = 1
    return mask


def half_mask_pixels(dtype: torch.dtype) -> torch.Tensor:
    return half_mask(dtype).repeat_interleave(8, 2).repeat_interleave(8, 3)

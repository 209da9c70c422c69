"""Our loop with controls against diffusers' ControlNet pipelines on tiny models in the true formats: the same latents,
step by step."""

from __future__ import annotations

import atexit
import copy
import shutil
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import pytest
import torch
from diffusers import ControlNetModel
from transformers import AutoModelForDepthEstimation

from bridge.engine.control import Guide, Hint, depth_channel
from bridge.engine.plan import make_plan
from bridge.engine.sample import Kept, noisy
from bridge.engine.schedule import make_schedule
from bridge.engine.schedulers import make_scheduler
from bridge.models.control import ControlNet, in_parts
from krita_plugin.krita_bridge.wire.control import Control, ControlKind
from krita_plugin.krita_bridge.wire.geometry import Bounds
from tests.fake_models import tiny_folder, tiny_model
from tests.parity.test_pipelines import (
    DTYPES,
    GUIDANCE,
    LATENT,
    SIDE,
    assert_same,
    half_mask,
    half_mask_pixels,
    ours,
    randn,
    run,
    theirs,
)
from tests.tiny_models import make_tiny_controlnet, make_tiny_depth_estimator

STEPS = 5
WHOLE = (1.0, 0.0, 1.0)
"""Strength, start, end of a control that is heard all along."""
RANGES = pytest.mark.parametrize(
    "heard", [WHOLE, (0.7, 0.0, 0.5), (1.6, 0.4, 1.0), (1.0, 0.2, 0.7), (1.0, 0.5, 0.6)]
)


@cache
def tiny_controlnet(kind: str, seed: int) -> Path:
    folder = Path(tempfile.mkdtemp(prefix="krita-bridge-tiny-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return make_tiny_controlnet(tiny_folder(kind), folder, seed=seed)


def nets(kind: str, dtype: torch.dtype, count: int) -> list[Any]:
    folders = [tiny_controlnet(kind, seed) for seed in range(count)]
    return [ControlNetModel.from_pretrained(each, torch_dtype=dtype).eval() for each in folders]


def pipeline(class_name: str, kind: str, dtype: torch.dtype, controlnets: list[Any]) -> Any:
    made = getattr(diffusers, class_name).from_pretrained(
        tiny_folder(kind),
        controlnet=controlnets if len(controlnets) > 1 else controlnets[0],
        torch_dtype=dtype,
        safety_checker=None,
    )
    made.scheduler = make_scheduler("ddim", tiny_model(kind).scheduler_config)
    made.set_progress_bar_config(disable=True)
    return made


def a_map(seed: int, dtype: torch.dtype) -> torch.Tensor:
    """1 x 3 x H x W, 0 to 1. The pipelines round it to float32 themselves."""
    generator = torch.Generator().manual_seed(seed)
    return torch.rand((1, 3, SIDE, SIDE), generator=generator).to(dtype)


def hint(net: Any, seed: int, heard: tuple[float, float, float] = WHOLE) -> Hint:
    strength, start, end = heard
    control = Control(ControlKind.DEPTH, strength=strength, start=start, end=end)
    own = ControlNet(*in_parts(copy.deepcopy(net)), "", "")
    return Hint(Guide(control, own), a_map(seed, net.dtype))


@DTYPES
@GUIDANCE
@RANGES
def test_text_to_image(
    dtype: torch.dtype, guidance: float, heard: tuple[float, float, float]
) -> None:
    (net,) = nets("sd15", dtype, 1)
    made = pipeline("StableDiffusionControlNetPipeline", "sd15", dtype, [net])
    noise, (strength, start, end) = randn(0, dtype), heard
    expected = theirs(
        made,
        image=a_map(7, dtype),
        controlnet_conditioning_scale=strength,
        control_guidance_start=start,
        control_guidance_end=end,
        latents=noise,
        num_inference_steps=STEPS,
        guidance_scale=guidance,
        height=SIDE,
        width=SIDE,
    )
    model = ours("sd15", made, dtype)
    schedule = make_schedule("ddim", model.scheduler_config, STEPS, STEPS)
    mine = run(model, schedule, noise, guidance, hints=[hint(net, 7, heard)])
    assert_same(mine, expected, dtype)


@DTYPES
def test_several_controls_are_added_up(dtype: torch.dtype) -> None:
    first, second = nets("sd15", dtype, 2)
    made = pipeline("StableDiffusionControlNetPipeline", "sd15", dtype, [first, second])
    noise = randn(0, dtype)
    expected = theirs(
        made,
        image=[a_map(7, dtype), a_map(8, dtype)],
        controlnet_conditioning_scale=[0.8, 1.3],
        control_guidance_start=[0.0, 0.4],
        control_guidance_end=[0.8, 1.0],
        latents=noise,
        num_inference_steps=STEPS,
        guidance_scale=4.5,
        height=SIDE,
        width=SIDE,
    )
    model = ours("sd15", made, dtype)
    schedule = make_schedule("ddim", model.scheduler_config, STEPS, STEPS)
    hints = [hint(first, 7, (0.8, 0.0, 0.8)), hint(second, 8, (1.3, 0.4, 1.0))]
    assert_same(run(model, schedule, noise, 4.5, hints=hints), expected, dtype)


@DTYPES
@GUIDANCE
def test_image_to_image(dtype: torch.dtype, guidance: float) -> None:
    (net,) = nets("sd15", dtype, 1)
    made = pipeline("StableDiffusionControlNetImg2ImgPipeline", "sd15", dtype, [net])
    picture = randn(1, torch.float32).to(dtype)  # the pipeline rounds it to float32 itself
    expected = theirs(
        made,
        image=picture,
        control_image=a_map(7, dtype),
        controlnet_conditioning_scale=0.8,
        control_guidance_end=0.7,  # of the three steps that are run
        strength=0.6,
        num_inference_steps=STEPS,
        guidance_scale=guidance,
        generator=torch.Generator().manual_seed(2),
    )
    model = ours("sd15", made, dtype)
    schedule = make_schedule("ddim", model.scheduler_config, STEPS, 3)
    start = noisy(picture, randn(2, dtype), schedule.steps[0])
    mine = run(model, schedule, start, guidance, hints=[hint(net, 7, (0.8, 0.0, 0.7))])
    assert_same(mine, expected, dtype)


@DTYPES
@pytest.mark.parametrize("kind", ["sd15", "sd15_inpaint"])
def test_inpainting_with_four_and_with_nine_channels(dtype: torch.dtype, kind: str) -> None:
    (net,) = nets(kind, dtype, 1)
    made = pipeline("StableDiffusionControlNetInpaintPipeline", kind, dtype, [net])
    picture = torch.rand((1, 3, SIDE, SIDE), generator=torch.Generator().manual_seed(3)).to(dtype)
    made.vae.encode = with_mode(made.vae.encode)
    expected = theirs(
        made,
        image=picture,
        mask_image=half_mask_pixels(dtype),
        control_image=a_map(7, dtype),
        controlnet_conditioning_scale=1.0,
        strength=1.0,
        num_inference_steps=STEPS,
        guidance_scale=4.5,
        height=SIDE,
        width=SIDE,
        generator=torch.Generator().manual_seed(2),
    )
    model = ours(kind, made, dtype)
    schedule = make_schedule("ddim", model.scheduler_config, STEPS, STEPS)
    noise, signed = randn(2, dtype), picture * 2 - 1
    factor = made.vae.config.scaling_factor
    kept = extra = None
    with torch.no_grad():
        if kind == "sd15":
            free_from = torch.where(half_mask(dtype) > 0, 0, STEPS)
            encoded = made.vae.encode(signed).latent_dist.mode() * factor
            kept = Kept(encoded, noise, free_from)
        else:
            masked = signed * (half_mask_pixels(dtype) < 0.5)
            encoded = made.vae.encode(masked).latent_dist.mode() * factor
            extra = torch.cat([half_mask(dtype), encoded], dim=1)
    mine = run(model, schedule, noise, 4.5, extra=extra, kept=kept, hints=[hint(net, 7)])
    assert_same(mine, expected, dtype)


@DTYPES
@GUIDANCE
def test_depth_to_image(dtype: torch.dtype, guidance: float) -> None:
    folder = make_tiny_depth_estimator(tiny_folder("sd15_depth") / "depth_estimator")
    made = diffusers.StableDiffusionDepth2ImgPipeline.from_pretrained(
        tiny_folder("sd15_depth"),
        depth_estimator=AutoModelForDepthEstimation.from_pretrained(folder),
        feature_extractor=None,
        torch_dtype=dtype,
    )
    made.scheduler = make_scheduler("ddim", tiny_model("sd15_depth").scheduler_config)
    made.set_progress_bar_config(disable=True)
    made.vae.encode = with_mode(made.vae.encode)
    picture = a_map(3, torch.float32).to(dtype)
    # As the engine makes maps: bytes from black to white. Blocks, so that the small map goes as far.
    blocks = np.random.default_rng(0).permutation(LATENT * LATENT) * 255 // (LATENT * LATENT - 1)
    depth = blocks.astype(np.uint8).reshape(LATENT, LATENT).repeat(8, axis=0).repeat(8, axis=1)
    expected = theirs(
        made,
        image=picture,
        depth_map=torch.from_numpy(depth)[None].to(dtype) / 255,
        strength=0.6,
        num_inference_steps=STEPS,
        guidance_scale=guidance,
        generator=torch.Generator().manual_seed(2),
    )
    model = ours("sd15_depth", made, dtype)
    assert model.takes_depth and not model.inpaints
    schedule = make_schedule("ddim", model.scheduler_config, STEPS, 3)
    with torch.no_grad():
        encoded = made.vae.encode(picture * 2 - 1).latent_dist.mode()
        encoded = encoded * made.vae.config.scaling_factor
    start = noisy(encoded, randn(2, dtype), schedule.steps[0])
    whole = Bounds(0, 0, SIDE, SIDE)
    plan = make_plan(whole, whole, model.resolution, 8)
    map_ = np.dstack([depth, depth, depth, np.full_like(depth, 255)])
    extra = torch.from_numpy(blocks).reshape(1, 1, LATENT, LATENT).to(dtype) / 255 * 2 - 1
    found = depth_channel(map_, plan, (LATENT, LATENT))
    torch.testing.assert_close(found, extra.float(), rtol=0, atol=1e-6)
    assert_same(run(model, schedule, start, guidance, extra=extra), expected, dtype)


def with_mode(encode: Any) -> Any:
    """An encoder whose samples are its mode: the pipeline draws from what is encoded, which we do not."""

    def encoded(picture: torch.Tensor) -> Any:
        found = encode(picture)
        found.latent_dist.sample = lambda generator=None: found.latent_dist.mode()
        return found

    return encoded


@DTYPES
@GUIDANCE
def test_sdxl(dtype: torch.dtype, guidance: float) -> None:
    (net,) = nets("sdxl", dtype, 1)
    made = pipeline("StableDiffusionXLControlNetPipeline", "sdxl", dtype, [net])
    noise = randn(0, dtype)
    expected = theirs(
        made,
        image=a_map(7, dtype),
        controlnet_conditioning_scale=0.9,
        latents=noise,
        num_inference_steps=STEPS,
        guidance_scale=guidance,
        height=SIDE,
        width=SIDE,
    )
    model = ours("sdxl", made, dtype)
    schedule = make_schedule("ddim", model.scheduler_config, STEPS, STEPS)
    mine = run(model, schedule, noise, guidance, hints=[hint(net, 7, (0.9, 0.0, 1.0))])
    assert_same(mine, expected, dtype)


def test_the_tiny_controlnets_change_what_is_painted() -> None:
    (net,) = nets("sd15", torch.float32, 1)
    model = tiny_model("sd15")
    schedule = make_schedule("ddim", model.scheduler_config, STEPS, STEPS)
    noise = randn(0, torch.float32)
    without = run(model, schedule, noise, 1.0)[-1]
    with_it = run(model, schedule, noise, 1.0, hints=[hint(net, 7)])[-1]
    assert float((without - with_it).abs().mean()) > 0.01
    assert without.shape[-1] == LATENT

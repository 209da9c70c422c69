"""Reference images against the diffusers pipelines' `ip_adapter_image`: the same latents, step by step."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import pytest
import torch
from PIL import Image
from transformers import CLIPImageProcessorPil, CLIPVisionModelWithProjection

from bridge.engine.condition import PromptEncoder
from bridge.engine.reference import References
from bridge.engine.sample import Kept, noisy
from bridge.engine.schedule import make_schedule
from bridge.engine.types import ImageU8
from bridge.models.hashing import HashCache
from bridge.models.loaded import LoadedModel
from bridge.presets import IpAdapterFiles
from krita_plugin.krita_bridge.wire.reference import Reference, ReferenceMode
from tests.fake_models import preset, tiny_folder
from tests.parity.test_control import a_map, hint, nets
from tests.parity.test_control import pipeline as controlled
from tests.parity.test_pipelines import (
    DTYPES,
    GUIDANCE,
    SIDE,
    assert_same,
    half_mask,
    half_mask_pixels,
    ours,
    pipeline,
    randn,
    run,
    theirs,
)
from tests.tiny_adapters import make_source, nested


def photo(seed: int) -> ImageU8:
    """Wider than high, opaque."""
    picture = np.random.default_rng(seed).integers(0, 256, (40, 56, 4), np.uint8)
    picture[..., 3] = 255
    return picture


def with_adapter(made: Any, source: IpAdapterFiles, scales: list[Any], dtype: torch.dtype) -> Any:
    """The pipeline with one copy of the adapter for each of `scales`."""
    encoder = CLIPVisionModelWithProjection.from_pretrained(source.image_encoder, dtype=dtype)
    side = encoder.config.image_size
    extractor = CLIPImageProcessorPil(size=side, crop_size=side)
    made.register_modules(image_encoder=encoder.eval(), feature_extractor=extractor)
    count = len(scales)
    made.load_ip_adapter(
        [nested(source.file)] * count, subfolder=[""] * count, weight_name=[""] * count
    )
    made.set_ip_adapter_scale(scales)
    return made


def pictures(*given: ImageU8) -> list[Image.Image]:
    return [Image.fromarray(each[..., :3]) for each in given]


def run_with(
    model: LoadedModel,
    source: IpAdapterFiles,
    references: list[Reference],
    given: list[ImageU8],
    *arguments: Any,
    **options: Any,
) -> list[torch.Tensor]:
    """`run` with references."""
    held = References(model, HashCache(source.file.parent))
    with (
        torch.inference_mode(),
        held.beside(PromptEncoder(model), preset(ip_adapter=source), references, given) as seen,
    ):
        return run(model, *arguments, encoder=seen.encoder, **options)


@DTYPES
@GUIDANCE
@pytest.mark.parametrize("kind", ["plain", "plus", "full"])
def test_text_to_image(kind: str, guidance: float, dtype: torch.dtype, tmp_path: Path) -> None:
    made = pipeline("StableDiffusionPipeline", "sd15", dtype)
    source = make_source(tmp_path, made.unet, kind)
    noise = randn(0, dtype)
    expected = theirs(
        with_adapter(made, source, [0.7], dtype),
        ip_adapter_image=pictures(photo(0)),
        latents=noise,
        num_inference_steps=4,
        guidance_scale=guidance,
        height=SIDE,
        width=SIDE,
    )
    made.unload_ip_adapter()
    model = ours("sd15", made, dtype)
    schedule = make_schedule("ddim", model.scheduler_json, 4, 4)
    start = noise * schedule.start_scale
    mine = run_with(model, source, [Reference(0.7)], [photo(0)], schedule, start, guidance)
    assert_same(mine, expected, dtype)
    without = run(model, schedule, start, guidance)
    assert not torch.allclose(mine[-1], without[-1], atol=1e-3), "the reference changes something"


@DTYPES
@GUIDANCE
def test_image_to_image(guidance: float, dtype: torch.dtype, tmp_path: Path) -> None:
    made = pipeline("StableDiffusionImg2ImgPipeline", "sd15", dtype)
    source, picture = make_source(tmp_path, made.unet), randn(1, dtype)
    expected = theirs(
        with_adapter(made, source, [0.7], dtype),
        ip_adapter_image=pictures(photo(0)),
        image=picture,
        strength=0.6,
        num_inference_steps=5,
        guidance_scale=guidance,
        generator=torch.Generator().manual_seed(2),
    )
    made.unload_ip_adapter()
    model = ours("sd15", made, dtype)
    schedule = make_schedule("ddim", model.scheduler_json, 5, 3)
    start = noisy(picture, randn(2, dtype), schedule.steps[0])
    mine = run_with(model, source, [Reference(0.7)], [photo(0)], schedule, start, guidance)
    assert_same(mine, expected, dtype)


@DTYPES
@pytest.mark.parametrize("channels", [4, 9])
def test_inpainting(channels: int, dtype: torch.dtype, tmp_path: Path) -> None:
    name = "sd15" if channels == 4 else "sd15_inpaint"
    made = pipeline("StableDiffusionInpaintPipeline", name, dtype)
    source = make_source(tmp_path, made.unet)
    picture = randn(1, torch.float32).to(dtype)  # the pipeline rounds it to float32 itself
    expected = theirs(
        with_adapter(made, source, [0.7], dtype),
        ip_adapter_image=pictures(photo(0)),
        image=picture,
        mask_image=half_mask_pixels(dtype),
        masked_image_latents=picture,
        strength=1.0,
        num_inference_steps=4,
        guidance_scale=4.5,
        height=SIDE,
        width=SIDE,
        generator=torch.Generator().manual_seed(2),
    )
    made.unload_ip_adapter()
    model = ours(name, made, dtype)
    schedule = make_schedule("ddim", model.scheduler_json, 4, 4)
    noise = randn(2, dtype)
    free_from = torch.where(half_mask(dtype) > 0, 0, len(schedule.steps))
    mine = run_with(
        model,
        source,
        [Reference(0.7)],
        [photo(0)],
        schedule,
        noise * schedule.start_scale,
        4.5,
        extra=torch.cat([half_mask(dtype), picture], dim=1) if channels == 9 else None,
        kept=Kept(picture, noise, free_from) if channels == 4 else None,
    )
    assert_same(mine, expected, dtype)


@DTYPES
@pytest.mark.parametrize("kind", ["plain", "plus"])
def test_two_references(kind: str, dtype: torch.dtype, tmp_path: Path) -> None:
    made = pipeline("StableDiffusionPipeline", "sd15", dtype)
    source = make_source(tmp_path, made.unet, kind)
    noise = randn(0, dtype)
    expected = theirs(
        with_adapter(made, source, [0.4, 0.9], dtype),
        ip_adapter_image=pictures(photo(0), photo(1)),
        latents=noise,
        num_inference_steps=4,
        guidance_scale=4.5,
        height=SIDE,
        width=SIDE,
    )
    made.unload_ip_adapter()
    model = ours("sd15", made, dtype)
    schedule = make_schedule("ddim", model.scheduler_json, 4, 4)
    references = [Reference(0.4), Reference(0.9)]
    start = noise * schedule.start_scale
    mine = run_with(model, source, references, [photo(0), photo(1)], schedule, start, 4.5)
    assert_same(mine, expected, dtype)


@DTYPES
def test_beside_a_control(dtype: torch.dtype, tmp_path: Path) -> None:
    (net,) = nets("sd15", dtype, 1)
    made = controlled("StableDiffusionControlNetPipeline", "sd15", dtype, [net])
    source = make_source(tmp_path, made.unet, "plus")
    noise = randn(0, dtype)
    expected = theirs(
        with_adapter(made, source, [0.7], dtype),
        ip_adapter_image=pictures(photo(0)),
        image=a_map(7, dtype),
        latents=noise,
        num_inference_steps=4,
        guidance_scale=4.5,
        height=SIDE,
        width=SIDE,
    )
    made.unload_ip_adapter()
    model = ours("sd15", made, dtype)
    schedule = make_schedule("ddim", model.scheduler_json, 4, 4)
    start, hints = noise * schedule.start_scale, [hint(net, 7)]
    given = [Reference(0.7)], [photo(0)]
    mine = run_with(model, source, *given, schedule, start, 4.5, hints=hints)
    assert_same(mine, expected, dtype)


@DTYPES
@GUIDANCE
def test_ranges(guidance: float, dtype: torch.dtype, tmp_path: Path) -> None:
    """diffusers has no ranges: there a callback sets the scales before each step."""
    made = pipeline("StableDiffusionPipeline", "sd15", dtype)
    source = make_source(tmp_path, made.unet, "plus")
    noise = randn(0, dtype)
    scales = [(0.7, 0.0), (0.7, 0.9), (0.0, 0.9), (0.0, 0.0)]
    expected = theirs(
        with_adapter(made, source, [0.0, 0.0], dtype),
        lambda step: made.set_ip_adapter_scale(list(scales[min(step, 3)])),
        ip_adapter_image=pictures(photo(0), photo(1)),
        latents=noise,
        num_inference_steps=4,
        guidance_scale=guidance,
        height=SIDE,
        width=SIDE,
    )
    made.unload_ip_adapter()
    model = ours("sd15", made, dtype)
    schedule = make_schedule("ddim", model.scheduler_json, 4, 4)
    references = [Reference(0.7, end=0.5), Reference(0.9, start=0.25, end=0.75)]
    start = noise * schedule.start_scale
    mine = run_with(model, source, references, [photo(0), photo(1)], schedule, start, guidance)
    assert_same(mine, expected, dtype)


STYLE = {"up": {"block_0": [0.0, 0.8, 0.0]}}
COMPOSITION = {"down": {"block_2": [0.0, 0.8]}}
"""As diffusers' page on IP-Adapters has them."""


@DTYPES
@pytest.mark.parametrize(
    ("modes", "scales"),
    [
        ([ReferenceMode.BOTH], [0.8]),
        ([ReferenceMode.STYLE], [STYLE]),
        ([ReferenceMode.COMPOSITION], [COMPOSITION]),
        ([ReferenceMode.COMPOSITION, ReferenceMode.STYLE], [COMPOSITION, STYLE]),
    ],
    ids=["both", "style", "composition", "each from another"],
)
def test_sdxl(
    modes: list[ReferenceMode], scales: list[Any], dtype: torch.dtype, tmp_path: Path
) -> None:
    made = pipeline("StableDiffusionXLPipeline", "sdxl", dtype)
    made.register_modules(unet=full_depth_unet(dtype))
    source = make_source(tmp_path, made.unet)
    given = [photo(number) for number in range(len(modes))]
    noise = randn(0, dtype)
    expected = theirs(
        with_adapter(made, source, scales, dtype),
        ip_adapter_image=pictures(*given),
        latents=noise,
        num_inference_steps=3,
        guidance_scale=4.5,
        height=SIDE,
        width=SIDE,
    )
    made.unload_ip_adapter()
    model = ours("sdxl", made, dtype)
    schedule = make_schedule("ddim", model.scheduler_json, 3, 3)
    references = [Reference(0.8, mode) for mode in modes]
    mine = run_with(model, source, references, given, schedule, noise, 4.5)
    assert_same(mine, expected, dtype)


def full_depth_unet(dtype: torch.dtype) -> Any:
    """The tiny SDXL's UNet with as many blocks as the real one has."""
    config = diffusers.UNet2DConditionModel.load_config(tiny_folder("sdxl"), subfolder="unet")
    torch.manual_seed(0)
    unet = diffusers.UNet2DConditionModel.from_config({**config, "layers_per_block": 2})
    return unet.eval().to(dtype)

"""What is written down about a result, so that it can be made again and traced."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from functools import cache

import diffusers
import numpy as np
import torch
import transformers
from numpy.typing import NDArray

import bridge
from bridge.engine.request import Settings
from bridge.engine.types import Snapshot
from bridge.models.loaded import LoadedModel
from krita_plugin.krita_bridge.wire.geometry import Extent
from krita_plugin.krita_bridge.wire.messages import ResultFacts, UsedWeights


def facts_of(
    settings: Settings,
    snapshot: Snapshot,
    model: LoadedModel,
    weights: Iterable[UsedWeights],
    working: Extent,
    seconds: float,
) -> ResultFacts:
    """`weights`: the files beside the model; `working`: the size the model painted at, px."""
    return ResultFacts(
        prompt=settings.prompt,
        negative_prompt=settings.negative_prompt,
        preset=settings.preset,
        seed=settings.seed,
        strength=settings.strength,
        steps=settings.steps,
        steps_run=settings.run,
        guidance=settings.guidance,
        scheduler=settings.scheduler,
        model=model.name,
        model_sha256=model.sha256,
        width=working.width,
        height=working.height,
        seconds=seconds,
        version=bridge.__version__,
        mode=settings.mode,
        full_prompt=settings.positive.text,
        full_negative_prompt=settings.negative.text,
        clip_skip=settings.clip_skip,
        guidance_rescale=settings.guidance_rescale,
        blend=settings.blend,
        match_colors=settings.match_colors,
        upscale=settings.upscale,
        scale=settings.scale,
        detail=settings.detail,
        draft=settings.draft,
        vae=settings.vae,
        template=settings.template,
        weights=tuple(weights),
        image_sha256=_sha256(snapshot.image),
        mask_sha256=_sha256(snapshot.mask),
        software=f"{_libraries()}, {model.device.type} {str(model.dtype).removeprefix('torch.')}",
    )


def _sha256(pixels: NDArray[np.uint8] | None) -> str:
    """Of the bytes row by row; a megapixel of RGBA takes 2 ms with a processor's own SHA, about 10 without."""
    return "" if pixels is None else hashlib.sha256(np.ascontiguousarray(pixels).data).hexdigest()


@cache
def _libraries() -> str:
    named = ((torch, "torch"), (diffusers, "diffusers"), (transformers, "transformers"))
    return ", ".join(f"{name} {module.__version__}" for module, name in named)

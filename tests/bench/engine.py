"""What the engine costs beyond the model's own time, against the diffusers pipeline on the same weights.

Time inside the networks' forward calls is subtracted from each call, so only the code around them is compared.
Measured is the processor time of the one thread that does it all, which a busy machine stretches less than
the clock on the wall.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from diffusers import StableDiffusionImg2ImgPipeline
from PIL import Image

from bridge.engine.pipeline import Engine
from bridge.engine.types import Job, Snapshot, StepReport
from bridge.models.loaded import LoadedModel, Resolution
from krita_plugin.krita_bridge.wire.geometry import Bounds, Extent
from krita_plugin.krita_bridge.wire.messages import PaintRequest
from tests.fake_models import preset, tiny_folder, tiny_model

SIDES = (64, 256)
STEPS = (1, 4, 20)
ROUNDS = 7

Arm = Callable[[], object]


class ModuleClock:
    """Adds up the time spent inside the networks of one model."""

    def __init__(self) -> None:
        self.seconds = 0.0

    @contextmanager
    def inside(self, owner: Any, method: str) -> Iterator[None]:
        """Count the calls of `owner.method` while the block runs."""
        original = getattr(owner, method)

        def timed(*args: Any, **kwargs: Any) -> Any:
            began = time.thread_time()
            try:
                return original(*args, **kwargs)
            finally:
                self.seconds += time.thread_time() - began

        setattr(owner, method, timed)
        try:
            yield
        finally:
            delattr(owner, method)


def run() -> dict[str, object]:
    """Milliseconds a call, minimum and median of ABAB rounds, one thread."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        figures: dict[str, object] = {}
        for side in SIDES:
            for steps in STEPS:
                figures[f"{side}px_{steps}_steps"] = overhead(side, steps)
            figures[f"{side}px_previews"] = previews(side)
        return figures
    finally:
        torch.set_num_threads(threads)


def overhead(side: int, steps: int) -> dict[str, object]:
    """Our engine against the img2img pipeline, bytes in and bytes out, strength 1 of `steps`."""
    model = bench_model()
    ours = engine_arm(model, side, steps)
    theirs = pipeline_arm(model, side, steps)
    result = compare(model, {"engine": ours, "diffusers": theirs})
    ratio = result["diffusers"]["median"] / result["engine"]["median"]
    print(
        f"{side:4d} px {steps:2d} steps: beyond the modules "
        f"{result['engine']['median']:7.2f} ms (min {result['engine']['min']:.2f}), "
        f"diffusers {result['diffusers']['median']:7.2f} ms "
        f"(min {result['diffusers']['min']:.2f}), ratio {ratio:.1f}",
        flush=True,
    )
    return {**result, "ratio": ratio}


def previews(side: int) -> dict[str, object]:
    """A 20-step job with a preview after every step against the same without."""
    model = bench_model()
    arms = {
        "off": engine_arm(model, side, 20),
        "on": engine_arm(model, side, 20, lambda report: report.preview()),
    }
    result = compare(model, arms)
    each = (result["on"]["median"] - result["off"]["median"]) / 20
    print(f"{side:4d} px a preview of every step costs {each:.2f} ms each", flush=True)
    return {**result, "each_ms": each}


def bench_model() -> LoadedModel:
    """The tiny SD 1.5, painting every size unscaled as the pipeline does."""
    return replace(tiny_model("sd15"), resolution=Resolution(native=1, max_pixels=1 << 30))


def compare(model: LoadedModel, arms: dict[str, Arm]) -> dict[str, dict[str, float]]:
    """The arms in turn, `ROUNDS` times, after one round to warm up."""
    spent: dict[str, list[float]] = {name: [] for name in arms}
    for turn in range(ROUNDS + 1):
        for name, arm in arms.items():
            milliseconds = beyond_modules(model, arm)
            if turn:
                spent[name].append(milliseconds)
    return {
        name: {"min": min(times), "median": statistics.median(times)}
        for name, times in spent.items()
    }


def beyond_modules(model: LoadedModel, arm: Arm) -> float:
    """Milliseconds of one call, without those inside the networks."""
    clock = ModuleClock()
    with (
        clock.inside(model.unet, "forward"),
        clock.inside(model.vae, "encode"),
        clock.inside(model.vae, "decode"),
        clock.inside(model.text[0].model, "forward"),
    ):
        began = time.thread_time()
        arm()
        return (time.thread_time() - began - clock.seconds) * 1e3


def picture(side: int) -> np.ndarray:
    image = np.random.default_rng(0).integers(0, 256, (side, side, 4), dtype=np.uint8)
    image[..., 3] = 255
    return image


def engine_arm(
    model: LoadedModel,
    side: int,
    steps: int,
    on_step: Callable[[StepReport], object] = lambda report: None,
) -> Arm:
    """Just below strength 1: all steps run and, as in the pipeline, the image is encoded."""
    presets = {"tiny": preset("tiny", steps=steps, guidance=1.0)}
    engine = Engine(presets, device="cpu", load=lambda *_: model)
    request = PaintRequest("a red circle", preset="tiny", strength=0.9999, seed=1)
    bounds = Bounds(0, 0, side, side)
    job = Job(request, Snapshot(Extent(side, side), bounds, picture(side)))

    def arm() -> object:
        return engine.paint(job, on_step=on_step, is_cancelled=lambda: False)

    return arm


def pipeline_arm(model: LoadedModel, side: int, steps: int) -> Arm:
    made = StableDiffusionImg2ImgPipeline.from_pretrained(
        tiny_folder("sd15"), unet=model.unet, vae=model.vae, text_encoder=model.text[0].model
    )
    made.set_progress_bar_config(disable=True)
    image = picture(side)

    def arm() -> object:
        painted = made(
            "a red circle",
            image=Image.fromarray(image[..., :3]),
            strength=1.0,
            num_inference_steps=steps,
            guidance_scale=1.0,
            generator=torch.Generator().manual_seed(1),
        )
        return np.asarray(painted.images[0])

    return arm


if __name__ == "__main__":
    run()

"""What the engine costs beyond the model's own time, against the diffusers pipeline on the same weights.

Time inside the networks' forward calls (UNet, VAE's encode and decode, text encoder) is subtracted from each call, so
only the code around them is compared. Measured is the processor time of the one thread that does it all, which a busy
machine stretches less than the clock on the wall; so nothing may be left to other threads.

All arms get an RGB(A) picture as bytes, paint it anew by img2img at every step and give bytes back:
- `engine` as it paints live: the same prompt and seed again, so prompt and noise are remembered.
- `new_seed`: the engine with a seed that it has not seen.
- `diffusers`: the pipeline as its documentation calls it, without progress bar and safety checker.
- `embedded`: the pipeline at its best: it is given the prompt's embedding, so that it reads no text.
- `bare`: a loop written by hand that knows its prompt, noise and schedule beforehand, with nothing to stop it or look at it.

And what it saves that the map of a control is embedded once a job, and not at every step as in the pipelines.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import count
from typing import Any

import cv2
import numpy as np
import torch
from diffusers import (
    ControlNetModel,
    DDIMScheduler,
    StableDiffusionImg2ImgPipeline,
    UNet2DConditionModel,
)
from PIL import Image

from bridge.engine.pipeline import Engine
from bridge.engine.types import Job, Snapshot, StepReport
from bridge.models.control import in_parts
from bridge.models.loaded import LoadedModel, Resolution
from bridge.models.single_file import CONFIGS
from krita_plugin.krita_bridge.wire.geometry import Bounds, Extent
from krita_plugin.krita_bridge.wire.messages import PaintRequest
from tests.bench.goals import row
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
    figures: dict[str, object] = {}
    with one_thread():
        for side in SIDES:
            by_steps = {steps: overhead(side, steps) for steps in STEPS}
            for steps, found in by_steps.items():
                figures[f"{side}px_{steps}_steps"] = {**found, **ratio_row(side, steps, found)}
            if side == SIDES[0]:
                figures["step"] = _step_row(side, by_steps)
            figures[f"{side}px_previews"] = previews(side)
        figures["control"] = control()
    return figures


@contextmanager
def one_thread() -> Iterator[None]:
    """Of torch and of OpenCV, while it lasts."""
    threads, cv2_threads = torch.get_num_threads(), cv2.getNumThreads()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
        cv2.setNumThreads(cv2_threads)


def overhead(side: int, steps: int) -> dict[str, Any]:
    """Our engine against the img2img pipeline, bytes in and bytes out, all of `steps`."""
    model = bench_model()
    arms = {
        "engine": engine_arm(model, side, steps),
        "new_seed": engine_arm(model, side, steps, seeds=count(2)),
        "diffusers": pipeline_arm(model, side, steps),
        "embedded": pipeline_arm(model, side, steps, embedded=True),
        "bare": bare_arm(model, side, steps),
    }
    result = compare(model, arms)
    each = ", ".join(f"{name} {t['median']:.2f} (min {t['min']:.2f})" for name, t in result.items())
    ours, theirs = result["engine"]["median"], result["diffusers"]["median"]
    best, bare = result["embedded"]["median"], result["bare"]["median"]
    print(
        f"{side:4d} px {steps:2d} steps, ms beyond the modules: {each}; "
        f"engine {theirs / ours:.1f} times below diffusers, {best / ours:.1f} below its best, {ours / bare:.1f} times a bare loop",
        flush=True,
    )
    return {
        **result,
        "ratio": theirs / ours,
        "ratio_to_best": best / ours,
        "ratio_to_bare": ours / bare,
    }


def ratio_row(side: int, steps: int, found: dict[str, Any]) -> dict[str, object]:
    """The goal for what `overhead` found."""
    bare = found["diffusers"]["median"] / found["bare"]["median"]
    return row(
        f"engine beyond the modules, {side} px, {steps} steps",
        f"{found['ratio']:.1f} times below diffusers' img2img pipeline, a bare loop {bare:.1f} times",
        "10 times",
        found["ratio"] >= 10,
    )


def _step_row(side: int, by_steps: dict[int, dict[str, Any]]) -> dict[str, object]:
    """What each further step costs beyond the modules."""
    few, many = min(by_steps), max(by_steps)
    more = by_steps[many]["engine"]["median"] - by_steps[few]["engine"]["median"]
    each = more / (many - few)
    return row(f"engine, a further step at {side} px", f"{each:.2f} ms", "0.2 ms", each <= 0.2)


def previews(side: int) -> dict[str, object]:
    """A 20-step job with a preview after every step against the same without."""
    model = bench_model()
    arms = {
        "off": engine_arm(model, side, 20),
        "on": engine_arm(model, side, 20, lambda report: report.preview()),
    }
    result = compare(model, arms)
    each = (result["on"]["median"] - result["off"]["median"]) / 20
    began = time.thread_time()
    arms["off"]()
    share = 20 * each / ((time.thread_time() - began) * 1e3)
    return {
        **result,
        "each_ms": each,
        **row(
            f"a preview of every step at {side} px",
            f"{each:.2f} ms each, {share:.1%} of a job of 20 steps",
            "8 %",
            share < 0.08,
        ),
    }


def control() -> dict[str, float]:
    """A step of a ControlNet of SD 1.5's true shape, with random weights, under guidance at 256 px: with its map and with
    its map embedded already."""
    config = UNet2DConditionModel.load_config(CONFIGS / "sd15" / "unet")
    net, embed = in_parts(ControlNetModel.from_unet(UNet2DConditionModel.from_config(config)))
    latents, tokens = torch.randn(2, 4, 32, 32), torch.randn(2, 77, 768)
    picture = torch.rand(2, 3, 256, 256)

    def evaluate(embedded: torch.Tensor) -> None:
        net(latents, 500, encoder_hidden_states=tokens, controlnet_cond=embedded)

    spent: dict[str, list[float]] = {"anew": [], "once": []}
    with torch.inference_mode():
        embedded = embed(picture)
        for _ in range(ROUNDS):
            for name, given in (("anew", lambda: embed(picture)), ("once", lambda: embedded)):
                began = time.thread_time()
                evaluate(given())
                spent[name].append(time.thread_time() - began)
    anew, once = (statistics.median(times) for times in spent.values())
    print(
        f"a step of a ControlNet of SD 1.5: {1 - once / anew:.1%} less with its map embedded once"
    )
    return {"anew_ms": anew * 1e3, "once_ms": once * 1e3, "ratio": anew / once}


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
    seeds: Iterator[int] | None = None,
) -> Arm:
    """Just below strength 1: all steps run and, as in the pipeline, the image is encoded. `seeds`: a new one each call."""
    presets = {"tiny": preset("tiny", steps=steps, guidance=1.0)}
    engine = Engine(presets, device="cpu", load=lambda *_: model)
    request = PaintRequest("a red circle", preset="tiny", strength=0.9999, seed=1)
    bounds = Bounds(0, 0, side, side)
    job = Job(request, Snapshot(Extent(side, side), bounds, picture(side)))

    def arm() -> object:
        nonlocal job
        if seeds is not None:
            job = replace(job, request=replace(request, seed=next(seeds)))
        return engine.paint(job, on_step=on_step, is_cancelled=lambda: False)

    return arm


def bare_arm(model: LoadedModel, side: int, steps: int) -> Arm:
    """Img2img at full strength with DDIM."""
    image, factor = picture(side), model.latent_factor
    scheduler = DDIMScheduler.from_config(dict(model.scheduler_config))
    scheduler.set_timesteps(steps)
    timesteps = scheduler.timesteps
    stride = scheduler.config.num_train_timesteps // steps
    signals = [float(scheduler.alphas_cumprod[t]) for t in timesteps]
    signals.append(float(scheduler.alphas_cumprod[max(0, int(timesteps[-1]) - stride)]))
    noise = torch.randn(1, 4, side // 8, side // 8, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        ids = torch.zeros(1, 77, dtype=torch.long)
        tokens = model.text[0].model(ids).last_hidden_state

    @torch.inference_mode()
    def arm() -> object:
        pixels = torch.from_numpy(image[..., :3]).permute(2, 0, 1)[None]
        latents = model.vae.encode(pixels / 127.5 - 1).latent_dist.mode() * factor
        sample = latents * signals[0] ** 0.5 + noise * (1 - signals[0]) ** 0.5
        for index, timestep in enumerate(timesteps):
            (output,) = model.unet(sample, timestep, tokens, return_dict=False)
            now, after = signals[index], signals[index + 1]
            clean = (sample - output * (1 - now) ** 0.5) / now**0.5
            sample = clean * after**0.5 + output * (1 - after) ** 0.5
        painted = model.vae.decode(sample / factor, return_dict=False)[0]
        return ((painted[0] + 1) * 127.5).round_().clamp_(0, 255).byte().permute(1, 2, 0).numpy()

    return arm


def pipeline_arm(model: LoadedModel, side: int, steps: int, embedded: bool = False) -> Arm:
    made = StableDiffusionImg2ImgPipeline.from_pretrained(
        tiny_folder("sd15"), unet=model.unet, vae=model.vae, text_encoder=model.text[0].model
    )
    made.set_progress_bar_config(disable=True)
    image = picture(side)
    prompt: dict[str, Any] = {"prompt": "a red circle"}
    if embedded:
        with torch.no_grad():
            prompt = {"prompt_embeds": made.encode_prompt("a red circle", "cpu", 1, False)[0]}

    def arm() -> object:
        painted = made(
            **prompt,
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

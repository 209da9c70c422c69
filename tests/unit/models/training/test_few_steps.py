"""The four steps: their arithmetic is DDIM's, and they come near to where the model itself comes in twenty."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from bridge.models.training.export import EMBEDDED
from bridge.models.training.few_steps import STEPS, Ddim
from bridge.models.training.networks import build_scheduler
from bridge.models.training.sampler import Sampling, generate, load
from bridge.models.training.variants import FEW, FEW_STEPS
from bridge.presets import DEFAULT_PRESET, load_presets

SIGNALS = build_scheduler().alphas_cumprod


@pytest.mark.parametrize("steps", [STEPS, 20])
def test_a_step_is_that_of_diffusers(steps: int) -> None:
    scheduler = build_scheduler()
    scheduler.set_timesteps(steps)
    noisy, velocity = torch.randn(2, 1, 4, 3, 5)
    ends = [*scheduler.timesteps.tolist()[1:], -1]
    for time, end in zip(scheduler.timesteps, ends, strict=True):
        theirs = scheduler.step(velocity, time, noisy).prev_sample
        ours = Ddim(SIGNALS).step(noisy, velocity, time[None], torch.tensor([end]))
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)


def test_the_velocity_that_is_learned_leads_to_where_the_teacher_came() -> None:
    path = Ddim(SIGNALS)
    here = torch.tensor([999, 999, 749, 400, 249, 62])
    there = torch.tensor([749, 0, 499, 150, -1, -1])
    noisy, target = torch.randn(2, 6, 4, 3, 5)
    velocity = path.velocity(noisy, target, here, there)
    came = path.step(noisy, velocity, here, there)
    torch.testing.assert_close(came, target, rtol=1e-3, atol=1e-3)


def test_live_painting_samples_as_the_lora_was_made_for() -> None:
    live = load_presets()[DEFAULT_PRESET].live
    assert (live.steps, live.guidance, live.scheduler) == (FEW.steps, FEW.guidance, "ddim")
    assert f"<lora:{FEW_STEPS.removesuffix('.safetensors')}>" in live.template
    assert FEW.steps == STEPS


def test_four_steps_come_nearer_to_twenty_with_the_lora_than_with_guidance_alone() -> None:
    pipe = load(EMBEDDED)
    prompts = [
        f"a {colour} {thing} on a white background"
        for colour, thing in (("red", "circle"), ("blue", "house"), ("green", "bottle"))
    ]
    seeds = [1, 2, 3]
    asked = generate(pipe, prompts, seeds, Sampling()).astype(float)
    plain = generate(pipe, prompts, seeds, Sampling(steps=FEW.steps))
    pipe.load_lora_weights(str(EMBEDDED / "loras"), weight_name=FEW_STEPS)
    quick = generate(pipe, prompts, seeds, FEW)
    off_plain, off_quick = (float(np.square(got - asked).mean()) for got in (plain, quick))
    assert off_quick < 0.6 * off_plain

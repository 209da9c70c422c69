"""A job made complete and checked, before anything costly happens."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bridge.engine.prompt import Prompt, Use, read
from bridge.engine.schedule import steps_run
from bridge.engine.types import Job, MaskU8, Snapshot
from bridge.errors import BridgeError, Code
from bridge.presets import Preset
from krita_plugin.krita_bridge.wire.messages import PLACE, UpscalePart
from krita_plugin.krita_bridge.wire.modes import MEANINGS, Blend, Mode, Prefill, implied_mode
from krita_plugin.krita_bridge.wire.schedulers import identify


@dataclass(frozen=True)
class Settings:
    """A request with its open ends filled in from the preset. `run` of `steps` steps are run.

    `strength` is that of what is fully selected; `run` is for the strongest part of the selection.

    `prompt` and `negative_prompt` are as typed, `positive` and `negative` what they mean for this seed.
    `clip_skip` counts as A1111 does: 1 takes the layer that the model was trained with, 2 the one before.
    `upscale` is how many times as large the result is, `part` what of it is made; None: all of it.
    `detail` is the strength of the second pass over what is larger than the model likes; `scale` what share of the size
    it would choose, each way, the model works at. `draft`: with the model's tiny VAE, where it has one. `vae`: the name of a
    VAE in place of the preset's; empty for that. `template` stands round the prompt.
    """

    preset: str
    prompt: str
    negative_prompt: str
    positive: Prompt
    negative: Prompt
    seed: int
    steps: int
    run: int
    guidance: float
    scheduler: str
    strength: float
    mode: Mode
    clip_skip: int
    guidance_rescale: float
    blend: Blend
    match_colors: bool
    detail: float
    upscale: float = 1.0
    scale: float = 1.0
    draft: bool = False
    vae: str = ""
    template: str = PLACE
    part: UpscalePart | None = None

    @property
    def loras(self) -> dict[str, float]:
        """Strength by name, of both prompts: a LoRA changes the model, whichever of them names it."""
        return _added_up(*self.positive.loras, *self.negative.loras)

    @property
    def hypernetworks(self) -> dict[str, float]:
        """As `loras`."""
        return _added_up(*self.positive.hypernetworks, *self.negative.hypernetworks)

    @property
    def prefill(self) -> Prefill:
        """What stands in the selection before the model paints: at full strength nothing is left of what was there."""
        kind = MEANINGS[self.mode].prefill
        return Prefill.SURROUNDINGS if kind is Prefill.KEEP and self.strength == 1 else kind


def _added_up(*uses: Use) -> dict[str, float]:
    total: dict[str, float] = {}
    for use in uses:
        total[use.name] = total.get(use.name, 0.0) + use.strength
    return total


def resolve(job: Job, preset: Preset) -> Settings:
    """What to do. Without an image there is nothing to keep of it: the strength is 1.

    Raises BridgeError (BAD_INPUT) for a mode that needs an image and a mask that are not there.
    """
    request = job.request
    strength = 1.0 if job.snapshot.image is None else request.strength
    mode = request.mode or implied_mode(strength)
    if request.upscale > 1:
        mode = _mode_of_upscale(request.mode)
    meaning = MEANINGS[mode]
    if meaning.needs_selection and (job.snapshot.image is None or job.snapshot.mask is None):
        raise BridgeError(
            Code.BAD_INPUT,
            f"“{meaning.label}” needs a selection in a picture.",
            "Select the part that is meant, or choose another mode.",
        )
    steps = preset.steps if request.steps is None else request.steps
    negative_prompt = request.negative_prompt or preset.negative_prompt
    scheduler = request.scheduler or preset.scheduler
    template = request.template or preset.template
    return Settings(
        preset=preset.name,
        prompt=request.prompt,
        negative_prompt=negative_prompt,
        positive=read(request.prompt, request.seed, template),
        negative=read(negative_prompt, request.seed),
        seed=request.seed,
        steps=steps,
        run=steps_run(steps, strength * _strongest(job.snapshot)),
        guidance=preset.guidance if request.guidance is None else request.guidance,
        scheduler=identify(scheduler) or scheduler,
        strength=strength,
        mode=mode,
        clip_skip=preset.clip_skip if request.clip_skip is None else request.clip_skip,
        guidance_rescale=preset.guidance_rescale
        if request.guidance_rescale is None
        else request.guidance_rescale,
        blend=request.blend,
        match_colors=request.match_colors,
        detail=preset.detail if request.detail is None else request.detail,
        upscale=request.upscale,
        scale=request.scale,
        draft=request.draft,
        vae=request.vae or "",
        template=template,
        part=request.part,
    )


def _mode_of_upscale(asked: Mode | None) -> Mode:
    if asked not in (None, Mode.REFINE):
        raise BridgeError(
            Code.BAD_INPUT,
            f"“{MEANINGS[asked].label}” cannot be done while upscaling.",
            "Upscale first, then choose the mode.",
        )
    return Mode.REFINE


def selection(snapshot: Snapshot, may_be_empty: bool = False) -> MaskU8 | None:
    """The snapshot's mask; None selects all of its bounds.

    Raises BridgeError (BAD_INPUT) when image or mask do not fit the bounds, or nothing is selected unless it `may_be_empty`.
    """
    height, width = snapshot.bounds.height, snapshot.bounds.width
    if snapshot.bounds.is_empty:
        raise _nothing_selected()
    if snapshot.image is not None:
        _check("image", snapshot.image, (height, width, 4))
    if snapshot.mask is None:
        return None
    _check("mask", snapshot.mask, (height, width))
    if not (may_be_empty or snapshot.mask.any()):
        raise _nothing_selected()
    return snapshot.mask


def _strongest(snapshot: Snapshot) -> float:
    """The greatest strength that the selection asks for, 0 to 1. Without an image there is nothing to keep."""
    if snapshot.image is None or snapshot.mask is None:
        return 1.0
    return float(snapshot.mask.max(initial=0)) / 255


def _check(
    name: str, array: np.ndarray[tuple[int, ...], np.dtype[np.uint8]], shape: tuple[int, ...]
) -> None:
    if array.shape == shape and array.dtype == np.uint8:
        return
    found = " x ".join(map(str, reversed(array.shape[:2])))
    raise BridgeError(
        Code.BAD_INPUT,
        f"The {name} is {found} px of {array.dtype}, but the area is {shape[1]} x {shape[0]} px of uint8.",
        f"Give {'a' if name == 'mask' else 'an'} {name} of the area's size.",
    )


def _nothing_selected() -> BridgeError:
    return BridgeError(
        Code.BAD_INPUT,
        "Nothing is selected.",
        "Select the part to paint, or deselect to paint the whole canvas.",
    )

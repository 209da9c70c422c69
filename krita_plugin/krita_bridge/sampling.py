"""How the painter wants pictures sampled, where that is not as the preset says. Knows no Krita and no Qt."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any, Optional

from .recipe import Recipe
from .wire.messages import MessageError, PaintRequest, PresetInfo, from_fields
from .wire.schedulers import identify


@dataclass(frozen=True)
class Sampling:
    """None: as the preset says. The fields are those of the same names of a PaintRequest."""

    steps: Optional[int] = None
    guidance: Optional[float] = None
    scheduler: Optional[str] = None
    clip_skip: Optional[int] = None
    guidance_rescale: Optional[float] = None
    detail: Optional[float] = None
    vae: Optional[str] = None
    template: Optional[str] = None

    @property
    def count(self) -> int:
        """How many things are not as the preset says."""
        return sum(getattr(self, field.name) is not None for field in fields(self))

    def fill_in(self, request: PaintRequest) -> PaintRequest:
        """`request`, sampled so. Raises MessageError for what is out of range."""
        return replace(request, **{field.name: getattr(self, field.name) for field in fields(self)})


AS_PRESET = Sampling()


def read_sampling(values: Any) -> Sampling:
    """What `to_fields` made of a Sampling; AS_PRESET for anything else."""
    try:
        found = from_fields(Sampling, values)
        found.fill_in(PaintRequest(""))
    except MessageError:
        return AS_PRESET
    return found if found.scheduler is None or identify(found.scheduler) else AS_PRESET


def find_vae(recipe: Recipe, preset: Optional[PresetInfo]) -> Optional[str]:
    """What the recipe's VAE is called among those that fit the preset's model; None when it is not there, or the preset's."""
    wanted = (recipe.vae or "").casefold()
    names = preset.vaes if preset is not None else ()
    # A1111 names the file alone, wherever it lies.
    return next((n for n in names if wanted in (n.casefold(), n.casefold().split("/")[-1])), None)


def sampling_of(recipe: Recipe, preset: Optional[PresetInfo], now: Sampling) -> Sampling:
    """What a recipe says, `now` where it says nothing, and None where that is what its preset says."""
    scheduler = identify(recipe.scheduler) if recipe.scheduler else None
    said = Sampling(
        now.steps if recipe.steps is None else recipe.steps,
        now.guidance if recipe.guidance is None else recipe.guidance,
        scheduler or now.scheduler,
        now.clip_skip if recipe.clip_skip is None else recipe.clip_skip,
        now.guidance_rescale if recipe.guidance_rescale is None else recipe.guidance_rescale,
        now.detail if recipe.detail is None else recipe.detail,
        now.vae if recipe.vae is None else find_vae(recipe, preset),
        now.template if recipe.template is None else recipe.template,
    )
    if preset is None:
        return said
    usual = Sampling(
        preset.steps,
        preset.guidance,
        identify(preset.scheduler),
        preset.clip_skip,
        preset.guidance_rescale,
        preset.detail,
        template=preset.template,
    )
    same = [f.name for f in fields(said) if getattr(said, f.name) == getattr(usual, f.name)]
    return replace(said, **dict.fromkeys(same))

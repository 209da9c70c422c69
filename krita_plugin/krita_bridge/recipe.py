"""How a picture was made, as text that goes with it in a file, and read again from such text.

Two texts are written into a PNG: under `parameters` what A1111's web UI writes, which many programs and sites read,
and under `krita-bridge` every fact of ours as JSON. Of a file with both, ours counts. Reading never fails: text that
says nothing gives no recipe.
"""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass
from typing import Any, Dict, List, Mapping, Optional, Tuple, TypeVar

from .plain import read_object
from .wire import limits
from .wire.control import UsedControl
from .wire.geometry import Bounds, Extent
from .wire.messages import (
    PLACE,
    MessageError,
    ResultFacts,
    UsedWeights,
    WeightsKind,
    from_fields,
    to_fields,
)
from .wire.modes import Blend, Mode

PARAMETERS = "parameters"
OURS = "krita-bridge"

_NEGATIVE = "Negative prompt:"
_FIELD = re.compile(r'\s*(\w[\w \-/]{0,60}):\s*("(?:\\.|[^\\"])*"|[^,]*)(?:,|$)')
_FEWEST_FIELDS = 3
"""A last line of so many `Name: value` is one of parameters, not of the prompt: A1111's own rule."""

_SIZE = re.compile(r"(\d{1,6})x(\d{1,6})")
_VAE_ENDING = re.compile(r"\.(safetensors|ckpt|pt)$")
_SHORT_HASH = 10
_HASHES = (
    ("Lora hashes", WeightsKind.LORA),
    ("Hypernet hashes", WeightsKind.HYPERNETWORK),
    ("TI hashes", WeightsKind.EMBEDDING),
)
_Number = TypeVar("_Number", int, float)


@dataclass(frozen=True)
class Recipe:
    """What can be asked for again. None: the text does not say.

    `scheduler` as the text calls it; `clip_skip` counts as A1111 does; `size` is that of the picture, px.
    `vae`: in place of the preset's; empty for that. `template` stood round `prompt`; PLACE where that is all of it.
    `references`: how many reference images there were. Neither they nor what `controls` were taken from is in the text.
    """

    prompt: str = ""
    negative_prompt: str = ""
    preset: str = ""
    model: str = ""
    seed: Optional[int] = None
    steps: Optional[int] = None
    guidance: Optional[float] = None
    scheduler: Optional[str] = None
    strength: Optional[float] = None
    mode: Optional[Mode] = None
    clip_skip: Optional[int] = None
    guidance_rescale: Optional[float] = None
    detail: Optional[float] = None
    vae: Optional[str] = None
    template: Optional[str] = None
    size: Optional[Extent] = None
    references: Optional[int] = None
    controls: Optional[Tuple[UsedControl, ...]] = None
    blend: Optional[Blend] = None
    match_colors: Optional[bool] = None


def texts(
    facts: ResultFacts, scheduler_label: str, canvas: Extent, bounds: Bounds
) -> Dict[str, str]:
    """What is written into a picture of `canvas`, by key. `scheduler_label`: A1111's name for the scheduler."""
    return {
        PARAMETERS: write_parameters(facts, scheduler_label, canvas),
        OURS: json.dumps(our_fields(facts, canvas, bounds), ensure_ascii=False),
    }


def read_recipe(found: Mapping[str, str]) -> Optional[Recipe]:
    """The recipe in the texts of a picture; None when there is none."""
    ours = read_our_fields(read_object(found.get(OURS, "")))
    if ours is None:
        return read_parameters(found.get(PARAMETERS, ""))
    facts, canvas, _ = ours
    return recipe_of(facts, _usable(canvas.width, canvas.height))


# ---- our own


def our_fields(facts: ResultFacts, canvas: Extent, bounds: Bounds) -> Dict[str, Any]:
    """Every fact of a picture at `bounds` of `canvas`, as plain values for JSON."""
    return {
        "facts": to_fields(facts),
        "canvas": to_fields(canvas),
        "bounds": to_fields(bounds),
    }


def read_our_fields(values: Mapping[str, Any]) -> Optional[Tuple[ResultFacts, Extent, Bounds]]:
    """Facts, canvas and bounds out of what `our_fields` made; None out of anything else."""
    try:
        return (
            from_fields(ResultFacts, values["facts"]),
            from_fields(Extent, values["canvas"]),
            from_fields(Bounds, values["bounds"]),
        )
    except (KeyError, MessageError):
        return None


def recipe_of(facts: ResultFacts, size: Optional[Extent] = None) -> Recipe:
    """How to make a result again, on a picture of `size`."""
    return Recipe(
        prompt=facts.prompt,
        negative_prompt=facts.negative_prompt,
        preset=facts.preset,
        model=facts.model,
        seed=_within(facts.seed, 0, limits.MAX_SEED),
        steps=_within(facts.steps, 1, limits.MAX_STEPS),
        guidance=_within(facts.guidance, 0.0, limits.MAX_GUIDANCE),
        scheduler=facts.scheduler,
        strength=_within(facts.strength, 0.0, 1.0),
        mode=facts.mode,
        clip_skip=_within(facts.clip_skip, 1, limits.MAX_CLIP_SKIP),
        guidance_rescale=_within(facts.guidance_rescale, 0.0, 1.0),
        # Drafts have no second pass, whatever was asked for.
        detail=None if facts.draft else _within(facts.detail, 0.0, 1.0),
        vae=facts.vae,
        template=_usable_template(facts.template),
        size=size,
        references=len(facts.references),
        controls=facts.controls,
        blend=facts.blend,
        match_colors=facts.match_colors,
    )


# ---- A1111's


def write_parameters(facts: ResultFacts, scheduler_label: str, size: Extent) -> str:
    """The facts as A1111's web UI writes them: prompt, negative prompt, and a line of fields."""
    sampler, karras, _ = scheduler_label.partition(" Karras")
    fields: List[Tuple[str, str]] = [
        ("Steps", str(facts.steps)),
        ("Sampler", sampler),
        ("Schedule type", "Karras" if karras else "Automatic"),
        ("CFG scale", _number(facts.guidance)),
        ("Seed", str(facts.seed)),
        ("Size", f"{size.width}x{size.height}"),
        ("Model hash", facts.model_sha256[:_SHORT_HASH]),
        ("Model", facts.model),
    ]
    if facts.strength < 1:
        fields.append(("Denoising strength", _number(facts.strength)))
    if facts.clip_skip > 1:
        fields.append(("Clip skip", str(facts.clip_skip)))
    if facts.guidance_rescale > 0:
        fields.append(("CFG rescale", _number(facts.guidance_rescale)))
    for vae in _of_kind(facts, WeightsKind.VAE):
        fields += [("VAE hash", vae.sha256[:_SHORT_HASH]), ("VAE", vae.name)]
    for name, kind in _HASHES:
        hashes = [f"{each.name}: {each.sha256[:_SHORT_HASH]}" for each in _of_kind(facts, kind)]
        fields.append((name, ", ".join(hashes)))
    fields.append(("Version", f"krita-bridge {facts.version}"))
    lines = [facts.full_prompt or facts.prompt]
    negative = facts.full_negative_prompt or facts.negative_prompt
    if negative:
        lines.append(f"{_NEGATIVE} {negative}")
    lines.append(", ".join(f"{name}: {_quoted(value)}" for name, value in fields if value))
    return "\n".join(lines)


def read_parameters(text: str) -> Optional[Recipe]:
    """The recipe in A1111's text; None when the text is empty. Text without fields is a prompt."""
    lines = text.strip().split("\n")
    found = _FIELD.findall(lines[-1])
    if len(found) < _FEWEST_FIELDS:
        found = []
    else:
        lines.pop()
    fields = {name.strip().casefold(): _unquoted(value.strip()) for name, value in found}
    prompt, negative = _prompts(lines)
    if not (prompt or negative or fields):
        return None
    return Recipe(
        prompt=prompt,
        negative_prompt=negative,
        model=fields.get("model", ""),
        seed=_whole(fields, "seed", 0, limits.MAX_SEED),
        steps=_whole(fields, "steps", 1, limits.MAX_STEPS),
        guidance=_real(fields, "cfg scale", 0.0, limits.MAX_GUIDANCE),
        scheduler=_scheduler(fields),
        strength=_real(fields, "denoising strength", 0.0, 1.0),
        clip_skip=_whole(fields, "clip skip", 1, limits.MAX_CLIP_SKIP),
        guidance_rescale=_real(fields, "cfg rescale", 0.0, 1.0),
        vae=_VAE_ENDING.sub("", fields["vae"]) if "vae" in fields else None,
        # What a picture was made with is here whole: another template round it would make another picture.
        template=PLACE if fields else None,
        size=_size(fields.get("size", "")),
    )


def _prompts(lines: List[str]) -> Tuple[str, str]:
    stripped = [line.strip() for line in lines]
    begin = next((n for n, line in enumerate(stripped) if line.startswith(_NEGATIVE)), len(lines))
    negative = "\n".join(stripped[begin:])[len(_NEGATIVE) :]
    most = limits.MAX_PROMPT_CHARACTERS
    return "\n".join(stripped[:begin]).strip()[:most], negative.strip()[:most]


def _scheduler(fields: Mapping[str, str]) -> Optional[str]:
    sampler, kind = fields.get("sampler"), fields.get("schedule type", "")
    return f"{sampler} Karras" if sampler and kind.casefold() == "karras" else sampler or None


def _size(text: str) -> Optional[Extent]:
    match = _SIZE.fullmatch(text)
    return _usable(int(match[1]), int(match[2])) if match else None


def _usable_template(text: str) -> Optional[str]:
    return text if PLACE in text and len(text) <= limits.MAX_PROMPT_CHARACTERS else None


def _usable(width: int, height: int) -> Optional[Extent]:
    fits = min(width, height) >= 1 and max(width, height) <= limits.MAX_SIDE
    return Extent(width, height) if fits and width * height <= limits.MAX_PIXELS else None


def _whole(fields: Mapping[str, str], name: str, least: int, most: int) -> Optional[int]:
    text = fields.get(name, "")
    plain = text.isascii() and text.isdigit() and len(text) <= 20
    return _within(int(text), least, most) if plain else None


def _real(fields: Mapping[str, str], name: str, least: float, most: float) -> Optional[float]:
    try:
        return _within(float(fields.get(name, "")), least, most)
    except ValueError:
        return None


def _within(value: _Number, least: float, most: float) -> Optional[_Number]:
    """`value` where it can be asked for, else None."""
    return value if math.isfinite(value) and least <= value <= most else None


def _of_kind(facts: ResultFacts, kind: WeightsKind) -> List[UsedWeights]:
    return [each for each in facts.weights if each.kind is kind]


def _number(value: float) -> str:
    """The shortest text that is read as the same number."""
    return str(int(value)) if value == int(value) else repr(value)


def _quoted(value: str) -> str:
    special = any(mark in value for mark in ',:\n"') or value != value.strip()
    return json.dumps(value, ensure_ascii=False) if special else value


def _unquoted(value: str) -> str:
    if len(value) < 2 or not value.startswith('"'):
        return value
    try:
        read = json.loads(value)
    except ValueError:
        return value
    return read if isinstance(read, str) else value

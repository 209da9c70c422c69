"""The settings of a result, or of a file that tells how it was made, put into the docker's form. Knows no Krita and no Qt."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Dict, List, Optional, Sequence, Tuple

from .conditions import ChosenControl, ChosenReference, without_maps
from .notes import Form
from .pngtext import SIGNATURE, read_texts
from .recipe import PARAMETERS, Recipe, read_recipe
from .sampling import find_vae, sampling_of
from .text import tr
from .wire.control import Control, ControlSource, UsedControl
from .wire.messages import MessageError, PresetInfo
from .wire.schedulers import identify

MOST_TEXT = 1 << 20


class NoRecipe(Exception):
    """A file does not say how it was made: a sentence for the painter."""


def read_file(path: Path) -> Recipe:
    """The recipe in a PNG, or in a text with the parameters that A1111's web UI writes. Raises NoRecipe."""
    try:
        with path.open("rb") as file:
            is_png = file.read(len(SIGNATURE)) == SIGNATURE
            file.seek(0)
            texts = read_texts(file) if is_png else _plain(file.read(MOST_TEXT))
    except OSError as error:
        raise NoRecipe(tr("{0} cannot be read: {1}.", path.name, error.strerror)) from error
    recipe = read_recipe(texts)
    if recipe is None:
        raise NoRecipe(
            tr("{0} does not say how it was made: choose a PNG or text that does.", path.name)
        )
    return recipe


def reuse(
    recipe: Recipe, presets: Sequence[PresetInfo], now: Form, asked: Optional[Form] = None
) -> Tuple[Form, List[str]]:
    """The form with what the recipe says, `now` where it says nothing; and what of it the docker cannot set, in words.

    `asked`: the form that was used, where it is still known: it has the layers and files that no recipe holds.
    """
    preset = find_preset(recipe, presets)
    controls, references, without = _conditions(recipe, now, asked)
    form = replace(
        now,
        prompt=recipe.prompt,
        negative_prompt=recipe.negative_prompt,
        preset=preset.name if preset else now.preset,
        # Strength 0 changes nothing: the docker has no such place.
        strength=recipe.strength or now.strength,
        seed=now.seed if recipe.seed is None else recipe.seed,
        seed_locked=recipe.seed is not None,
        mode=recipe.mode.value if recipe.mode else "",
        blend=recipe.blend.value if recipe.blend else now.blend,
        match_colors=now.match_colors if recipe.match_colors is None else recipe.match_colors,
        controls=controls,
        references=references,
        sampling=sampling_of(recipe, preset, now.sampling),
    )
    return form, _left_out(recipe, preset) + without


_Conditions = Tuple[Tuple[ChosenControl, ...], Tuple[ChosenReference, ...], List[str]]


def _conditions(recipe: Recipe, now: Form, asked: Optional[Form]) -> _Conditions:
    """Controls, references, and what of both cannot be set. Of controls those from the canvas can, by the text alone."""
    if asked is not None:
        # Documents keep no paths of files.
        whole = len(asked.references) >= (recipe.references or 0)
        left_out = [] if whole else [tr("reference images")]
        # That a map was kept made no other picture.
        return without_maps(asked.controls), asked.references, left_out
    controls, references, left_out = now.controls, now.references, []
    if recipe.controls is not None:
        again = [_from_canvas(used) for used in recipe.controls]
        controls = tuple(chosen for chosen in again if chosen is not None)
        if None in again:
            left_out.append(tr("control layers"))
    if recipe.references is not None:
        references = ()
        if recipe.references:
            left_out.append(tr("reference images"))
    return controls, references, left_out


def _from_canvas(used: UsedControl) -> Optional[ChosenControl]:
    if used.source is not ControlSource.CANVAS:
        return None
    try:
        control = Control(used.kind, used.source, used.strength, used.start, used.end)
    except MessageError:
        return None
    return ChosenControl(control)


def find_preset(recipe: Recipe, presets: Sequence[PresetInfo]) -> Optional[PresetInfo]:
    """The preset that the recipe was made with, else one with its model."""
    for preset in presets:
        if recipe.preset == preset.name:
            return preset
    for preset in presets:
        if recipe.model and preset.model.casefold() == recipe.model.casefold():
            return preset
    return None


def _left_out(recipe: Recipe, preset: Optional[PresetInfo]) -> List[str]:
    left_out = []
    if preset is None and (recipe.preset or recipe.model):
        left_out.append(tr("preset"))
    if recipe.scheduler and identify(recipe.scheduler) is None:
        left_out.append(tr("scheduler"))
    if recipe.vae and find_vae(recipe, preset) is None:
        left_out.append(tr("VAE"))
    return left_out


def _plain(data: bytes) -> Dict[str, str]:
    # Of a picture of another kind nothing is text.
    return {} if b"\0" in data else {PARAMETERS: data.decode("utf-8", "replace")}

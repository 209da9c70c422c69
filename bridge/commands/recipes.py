"""Settings out of a file, and into the request of `krita-bridge paint`."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path

from bridge.errors import BridgeError, Code
from krita_plugin.krita_bridge.recipe import PARAMETERS, Recipe, read_recipe
from krita_plugin.krita_bridge.reuse import find_preset
from krita_plugin.krita_bridge.sampling import find_vae
from krita_plugin.krita_bridge.wire.messages import PresetInfo
from krita_plugin.krita_bridge.wire.modes import MEANINGS, Mode
from krita_plugin.krita_bridge.wire.schedulers import identify

_MOST_TEXT = 1 << 20
_SAME_NAMES = (
    "seed",
    "steps",
    "guidance",
    "strength",
    "clip_skip",
    "guidance_rescale",
    "detail",
    "template",
    "match_colors",
)

Say = Callable[[str], None]


def read_recipe_file(path: Path) -> Recipe:
    """The recipe in a picture, or in a .txt with the parameters that A1111's web UI writes. Raises BridgeError (BAD_INPUT)."""
    from bridge.commands.pictures import read_texts

    is_text = path.suffix.lower() == ".txt"
    texts = {PARAMETERS: _read_text(path)} if is_text else read_texts(path)
    recipe = read_recipe(texts)
    if recipe is None:
        raise BridgeError(
            Code.BAD_INPUT,
            f"{path} does not say how it was made.",
            "Name a PNG of krita-bridge paint, a picture of A1111's web UI, or a .txt with such parameters.",
        )
    return recipe


def fill_in(arguments: argparse.Namespace, recipe: Recipe, say: Say) -> None:
    """Give `arguments` what the recipe says, wherever the command line says nothing."""
    if arguments.mode is None and arguments.image is not None and arguments.expand is None:
        arguments.mode = _mode(recipe, arguments.mask is not None)
    takes_prompt = arguments.mode != Mode.REMOVE.value
    if arguments.prompt is None and takes_prompt:
        arguments.prompt = recipe.prompt
    arguments.negative = arguments.negative or recipe.negative_prompt
    if arguments.size is None and arguments.image is None:
        arguments.size = recipe.size
    if arguments.scheduler is None and recipe.scheduler is not None:
        arguments.scheduler = identify(recipe.scheduler)
        if arguments.scheduler is None:
            say(f"There is no scheduler “{recipe.scheduler}” here: the preset's is used.")
    if recipe.references and not arguments.reference:
        images = f"{recipe.references} reference image{'s' * (recipe.references > 1)}"
        say(f"It was made with {images}, which the file does not hold: use --reference.")
    if recipe.controls and not arguments.control:
        count = len(recipe.controls)
        layers = f"{count} control layer{'s' * (count > 1)}"
        say(f"It was made with {layers}, whose maps the file does not hold: use --control.")
    if arguments.blend is None and recipe.blend is not None:
        arguments.blend = recipe.blend.value
    for name in _SAME_NAMES:
        if getattr(arguments, name) is None:
            setattr(arguments, name, getattr(recipe, name))


def preset_name(recipe: Recipe, presets: Sequence[PresetInfo], say: Say) -> str:
    """The name of the preset that the recipe was made with, else of one with its model; "" is the default one."""
    found = find_preset(recipe, presets)
    if found is None and (recipe.preset or recipe.model):
        say(f"No preset has “{recipe.model or recipe.preset}”: the default one is used.")
    return found.name if found else ""


def vae_name(recipe: Recipe, preset: PresetInfo, say: Say) -> str | None:
    """The name of the VAE that the recipe was made with; None is the preset's."""
    found = find_vae(recipe, preset)
    if recipe.vae and found is None:
        say(f"There is no VAE “{recipe.vae}” for this model: the preset's is used.")
    return found


def _mode(recipe: Recipe, has_mask: bool) -> str | None:
    if recipe.mode is None or (MEANINGS[recipe.mode].needs_selection and not has_mask):
        return None
    return recipe.mode.value.replace("_", "-")


def _read_text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return file.read(_MOST_TEXT).decode("utf-8", "replace")
    except OSError as error:
        raise BridgeError(
            Code.BAD_INPUT, f"{path} cannot be read: {error.strerror}.", "Check the name."
        ) from error

"""The painter's checkpoints: each that lies in the folder `models` of the bridge's home becomes a preset, without any TOML.

Only headers and configurations are read, and nothing here loads torch: the server process makes the list.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from bridge.errors import BridgeError, Code
from bridge.models import folder, single_file, weights
from bridge.models.families import SD2, SD15, Family
from bridge.models.glances import look
from bridge.presets import MAX_NATIVE, MIN_NATIVE, ModelFile, ModelFolder, Preset, load_presets
from krita_plugin.krita_bridge.wire.folders import MODELS

OnBad = Callable[[BridgeError], None]

_MOST = 200
"""So many are listed: the message that tells the docker of them has room for these."""

_MAX_NAME_CHARACTERS = 100
_MARKUP = set("<>")
"""Qt takes a text with these for HTML."""

_FP16 = "fp16"
_ENDINGS = {weights.SUFFIX, *weights.PICKLE_SUFFIXES}


def all_presets(own: Path | None, home: Path, on_bad: OnBad) -> dict[str, Preset]:
    """All presets by name: those of `load_presets`, of which the painter's own lie in `own`, then one for each checkpoint in
    the folder `models` of the bridge's `home`. What cannot be used is left out, and `on_bad` told why."""
    presets, shipped = load_presets(own, on_bad=on_bad), load_presets()
    root, most = home / MODELS, len(presets) + _MOST
    for path in _checkpoints_below(root):
        try:
            name = _name(path, root)
            if name in presets:
                _refuse_another(path, presets[name])
                continue
            found = _preset(name, path, shipped)
        except OSError as error:
            on_bad(weights.corrupt(path, f"cannot be read ({error})"))
        except BridgeError as error:
            on_bad(error)
        else:
            if len(presets) == most:
                on_bad(_too_many(root))
                break
            presets[name] = found
    return presets


def _checkpoints_below(root: Path) -> list[Path]:
    """Files of weights and folders in diffusers layout, by name; pickled files last, as one with a safe twin does not count.

    Of links to folders only those to a model are followed, so no ring of links is walked.
    """
    found: list[Path] = []
    for parent, folders, files in os.walk(root):
        here = Path(parent)
        shown = {name for name in folders if not name.startswith(".")}
        models = {name for name in shown if _is_model(here / name)}
        found += (here / name for name in models)
        found += (here / name for name in files if _is_weights(here / name))
        folders[:] = shown - models
    return sorted(found, key=lambda path: (_is_pickle(path), str(path).casefold(), path))


def _is_model(path: Path) -> bool:
    try:
        return (path / folder.UNET).is_dir() or (path / "model_index.json").is_file()
    except OSError:  # it may not be entered
        return False


def _is_weights(path: Path) -> bool:
    """What cannot be looked at, as a link that leads nowhere, is one too, for the sentence that it deserves; a pipe is not."""
    if path.suffix.lower() not in _ENDINGS or path.name.startswith("."):
        return False
    try:
        return path.is_file() or not path.exists()
    except OSError:
        return True


def _is_pickle(path: Path) -> bool:
    return path.suffix.lower() in weights.PICKLE_SUFFIXES


def _name(path: Path, root: Path) -> str:
    """The path below `root`, without the ending of a file. Raises BridgeError when it cannot be shown or sent."""
    below = path.relative_to(root)
    name = (below if path.is_dir() else below.with_suffix("")).as_posix()
    if not name.isprintable() or len(name) > _MAX_NAME_CHARACTERS or _MARKUP & set(name):
        raise BridgeError(
            Code.BAD_INPUT,
            f"The model {name[:60]!a} in {root} has a name that cannot be used.",
            f"Rename it: {_MAX_NAME_CHARACTERS} characters at most with its folders, none of them < or > or invisible.",
        )
    return name


def _refuse_another(path: Path, preset: Preset) -> None:
    """Raises BridgeError unless `preset`, which has the name of what lies at `path`, is for this model."""
    source = preset.model
    named = source.path if isinstance(source, ModelFile | ModelFolder) else None
    if not _is_pickle(path) and (named is None or not named.samefile(path)):
        raise BridgeError(
            Code.BAD_INPUT,
            f"{path} is not listed: there is a preset of the name “{preset.name}” already.",
            "Rename it.",
        )


def _preset(name: str, path: Path, shipped: Mapping[str, Preset]) -> Preset:
    """One that samples as the shipped preset of the model's family does. Raises BridgeError."""
    if path.is_dir():
        return _of_folder(name, path, shipped)
    model = look(path).checkpoint
    if isinstance(model, BridgeError):
        raise model.with_traceback(None)  # it is kept: the frames of an earlier time must not be
    usual = folder.read_json(model.config / folder.UNET / "config.json")
    if model.width != usual["block_out_channels"][0]:
        raise BridgeError(
            Code.BAD_INPUT,
            f"{path} is not of the usual size of a {model.family.label} model.",
            "Write a preset that names its “config” too (presets/README.md).",
        )
    like = _like(model.family, shipped)
    source = ModelFile(path, tiny_vae=like.model.tiny_vae)
    return replace(like, name=name, label=name, model=source, native=model.native)


def _like(family: Family, shipped: Mapping[str, Preset]) -> Preset:
    """The shipped preset that models of `family` sample as. SD 2 has none: SD 1.5's, but for the networks that hang on what
    the text encoder makes of words."""
    if family is SD2:
        return replace(shipped[SD15.name], controls={}, ip_adapter=None)
    return shipped[family.name]


def _of_folder(name: str, path: Path, shipped: Mapping[str, Preset]) -> Preset:
    """The networks beside the model, as ControlNets, are those of the shipped preset where the model has the usual sizes and
    does not bring its own."""
    variant = _variant(path)
    model = folder.inspect_folder(path, variant, weights.glance)
    family, config = model.family, model.unet.config
    usual = folder.read_json(single_file.CONFIGS / family.name / folder.UNET / "config.json")
    like = _like(family, shipped)
    if any(config.get(key) != usual[key] for key in ("block_out_channels", "cross_attention_dim")):
        like = replace(like, controls={}, depth_estimator=None, ip_adapter=None)
        tiny_vae = None
    else:
        tiny_vae = None if model.preview is not None else like.model.tiny_vae
    return replace(
        like,
        name=name,
        label=name,
        model=ModelFolder(path, variant, tiny_vae=tiny_vae),
        native=min(max(family.side(config, model.vae.config), MIN_NATIVE), MAX_NATIVE),
        controls={
            kind: net
            for kind, net in like.controls.items()
            if not (path / f"{folder.CONTROLNET}_{kind.value}").is_dir()
        },
        depth_estimator=None if (path / folder.DEPTH).is_dir() else like.depth_estimator,
    )


def _variant(root: Path) -> str | None:
    """That of half precision where the folder has no other."""
    unet = root / folder.UNET
    present = {path.name for path in unet.iterdir()} if unet.is_dir() else set()
    return None if folder.weight_names(folder.UNET, present, None) else _FP16


def _too_many(root: Path) -> BridgeError:
    return BridgeError(
        Code.BAD_INPUT,
        f"{root} holds more than {_MOST} models; those beyond are not listed.",
        "Take some out, or write presets for them.",
    )

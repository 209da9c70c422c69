"""A model in diffusers layout: which files of a folder are the model, and loading them.

`inspect_folder` reads only JSON and headers, and says everything that can be said before gigabytes are
read. `load_folder` reads the weights.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from bridge.errors import BridgeError, Code
from bridge.models import weights
from bridge.models.families import SD2, SD15, SDXL, Family

EMBEDDED_FOLDER = Path(__file__).parent / "embedded"
"""Where the model that comes with the bridge lies."""

UNET, VAE, TEXT, TEXT_2 = "unet", "vae", "text_encoder", "text_encoder_2"
PREVIEW = "preview_decoder"
"""Optional: an AutoencoderTiny for the same latents (as TAESD is), which shows the picture as it forms."""
DEPTH = "depth_estimator"
"""Optional: what `transformers` loads as a model for depth estimation. Painting does not need it: it is no part of the
model's hash."""
SEGMENTER, POSE, PERSONS = "segmenter", "pose_estimator", "person_detector"
"""Networks of their own: what `transformers` loads to tell classes, joints and persons apart."""
CONTROLNET = "controlnet"
"""Not a part of a model, but a network of its own in the same layout."""

MODEL_PARTS = (UNET, VAE, TEXT, TEXT_2, PREVIEW, DEPTH)
"""What is fetched of a repository that holds a model."""

WEIGHT_STEMS = {
    UNET: "diffusion_pytorch_model",
    VAE: "diffusion_pytorch_model",
    TEXT: "model",
    TEXT_2: "model",
    PREVIEW: "diffusion_pytorch_model",
    DEPTH: "model",
    SEGMENTER: "model",
    POSE: "model",
    PERSONS: "model",
    CONTROLNET: "diffusion_pytorch_model",
}
TOKENIZER_FILES = (
    "vocab.json",
    "merges.txt",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
)
PREPROCESSOR = "preprocessor_config.json"
FEATURE_EXTRACTOR = "feature_extractor"
"""Where a model keeps the PREPROCESSOR of its DEPTH."""
SCHEDULER_CONFIG = "scheduler/scheduler_config.json"

_MAX_JSON_BYTES = 64 << 20
_CLASSES = {
    UNET: ("UNet2DConditionModel",),
    VAE: ("AutoencoderKL", "AutoencoderTiny"),
    TEXT: ("CLIPTextModel", "CLIPTextModelWithProjection"),
    TEXT_2: ("CLIPTextModelWithProjection",),
    PREVIEW: ("AutoencoderTiny",),
    DEPTH: ("DPTForDepthEstimation", "DepthAnythingForDepthEstimation"),
    SEGMENTER: ("UperNetForSemanticSegmentation", "SegformerForSemanticSegmentation"),
    POSE: ("VitPoseForPoseEstimation",),
    PERSONS: ("RTDetrForObjectDetection", "RTDetrV2ForObjectDetection"),
    CONTROLNET: ("ControlNetModel",),
}


@dataclass(frozen=True)
class Component:
    """A network of the model: its folder, class, config.json and weights (more than one: shards)."""

    folder: Path
    class_name: str
    config: Mapping[str, Any]
    weights: tuple[Path, ...]
    variant: str | None


@dataclass(frozen=True)
class FolderModel:
    """The files that make up a model in diffusers layout."""

    root: Path
    family: Family
    unet: Component
    vae: Component
    text: tuple[Component, ...]
    tokenizers: tuple[Path, ...]
    scheduler_config: Mapping[str, Any]
    files: tuple[Path, ...]
    """Everything that decides what is painted, in a fixed order."""
    preview: Component | None = None


def weight_names(component: str, present: set[str], variant: str | None) -> list[str]:
    """The names in a component's folder that hold its weights, of those `present`: the one file or the
    index of its shards; of the `variant` where there is one. Empty when there is none."""
    stem = WEIGHT_STEMS[component]
    names = [f"{stem}{weights.SUFFIX}", f"{stem}{weights.SUFFIX}.index.json"]
    if variant is not None:
        names = [
            f"{stem}.{variant}{weights.SUFFIX}",
            f"{stem}{weights.SUFFIX}.index.{variant}.json",
            *names,
        ]
    return [name for name in names if name in present][:1]


def shard_names(index: Mapping[str, Any], source: str) -> list[str]:
    """The shards that an index file names. Raises BridgeError when one is not a plain safetensors name:
    an index must not lead out of its folder, nor to a pickle."""
    mapping = index.get("weight_map")
    names = sorted(set(map(str, mapping.values()))) if isinstance(mapping, dict) else []
    for name in names:
        plain = PurePosixPath(name).name == name and "\\" not in name
        if not plain or not name.endswith(weights.SUFFIX):
            raise BridgeError(
                Code.MODEL_UNSAFE,
                f"{source} names “{name[:100]}” as weights, which is no safetensors file beside it.",
                weights.HOW_TO_CONVERT,
            )
    if not names:
        raise BridgeError(Code.MODEL_CORRUPT, f"{source} names no weights.", weights.HOW_TO_MEND)
    return names


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object. Raises BridgeError when the file is missing or something else."""
    try:
        if path.stat().st_size > _MAX_JSON_BYTES:
            raise ValueError("too large")
        content = json.loads(path.read_bytes())
    except FileNotFoundError as error:
        raise weights.missing(path) from error
    except (OSError, ValueError, RecursionError) as error:
        raise weights.corrupt(path, f"cannot be read as JSON ({error})") from error
    if not isinstance(content, dict):
        raise weights.corrupt(path, "is not a JSON object")
    return content


def inspect_folder(
    root: Path,
    variant: str | None = None,
    read_header: weights.ReadHeader = weights.read_header,
) -> FolderModel:
    """Finds the parts of a model in diffusers layout and checks them as far as headers go,
    with `weights.read_header`, or `weights.glance` where torch may not be loaded.

    Raises BridgeError: MODEL_MISSING, MODEL_CORRUPT, MODEL_UNSAFE, or BAD_INPUT for a model of a kind
    that the bridge does not know.
    """
    if root.is_file():
        if root.suffix.lower() in weights.PICKLE_SUFFIXES:
            raise weights.unsafe(root)
        raise BridgeError(
            Code.BAD_INPUT, f"{root} is a file.", "Write “file” for “folder” in the preset."
        )
    if not root.is_dir():
        raise weights.missing(root)
    if not (root / UNET).is_dir():
        raise BridgeError(
            Code.MODEL_MISSING,
            f"{root} is not a model in diffusers layout: it has no folder “{UNET}”.",
            "Name the folder that holds model_index.json, or use “file” for a single-file checkpoint.",
        )
    unet = _component(root, UNET, variant, read_header)
    vae = _component(root, VAE, variant, read_header)
    text_names = [name for name in (TEXT, TEXT_2) if (root / name).is_dir()]
    text = tuple(_component(root, name, variant, read_header) for name in text_names)
    family = _family(root, unet, text_names)
    tokenizers = tuple(root / name.replace(TEXT, "tokenizer") for name in text_names)
    scheduler = read_json(root / SCHEDULER_CONFIG)
    files = [root / SCHEDULER_CONFIG]
    for component in (unet, vae, *text):
        files += [component.folder / "config.json", *component.weights]
    for folder in tokenizers:
        files += _tokenizer_files(folder)
    return FolderModel(
        root=root,
        family=family,
        unet=unet,
        vae=vae,
        text=text,
        tokenizers=tokenizers,
        scheduler_config=scheduler,
        files=tuple(files),
        preview=_preview(root, vae, variant, read_header),
    )


def _preview(
    root: Path, vae: Component, variant: str | None, read_header: weights.ReadHeader
) -> Component | None:
    if not (root / PREVIEW).is_dir():
        return None
    found = _component(root, PREVIEW, variant, read_header)
    if found.config.get("latent_channels", 4) != vae.config.get("latent_channels", 4):
        raise weights.corrupt(found.folder, "is for latents of another kind than the model's")
    return found


def inspect_part(folder: Path, name: str, variant: str | None = None) -> Component:
    """A network in a folder of its own; `name` says of what kind it is to be: CONTROLNET, PREVIEW, DEPTH,
    SEGMENTER, POSE or PERSONS.

    Raises BridgeError as `inspect_folder`, and BAD_INPUT for a network of another kind.
    """
    if not folder.is_dir():
        raise weights.missing(folder)
    class_name = _class_name(read_json(folder / "config.json"))
    if class_name not in _CLASSES[name]:
        raise BridgeError(
            Code.BAD_INPUT,
            f"{folder} holds a {class_name[:60] or 'nameless class'}, not a {_CLASSES[name][0]}.",
            "Correct the preset.",
        )
    return _read_component(folder, name, variant)


def _component(
    root: Path, name: str, variant: str | None, read_header: weights.ReadHeader
) -> Component:
    folder = root / name
    class_name = _class_name(read_json(folder / "config.json"))
    if class_name not in _CLASSES[name]:
        raise unknown_kind(root, f"its {name} is a {class_name[:60] or 'nameless class'}")
    return _read_component(folder, name, variant, read_header)


def refuse_adapter(folder: Path) -> None:
    """Raises BridgeError (BAD_INPUT) where `transformers` would load an adapter along with the weights, from a pickle if
    need be."""
    if (folder / "adapter_config.json").exists():
        raise BridgeError(
            Code.BAD_INPUT,
            f"{folder} has an adapter beside its weights, which the bridge does not load.",
            "Take adapter_config.json and the adapter's weights out of the folder.",
        )


def _read_component(
    folder: Path,
    name: str,
    variant: str | None,
    read_header: weights.ReadHeader = weights.read_header,
) -> Component:
    refuse_adapter(folder)
    config = read_json(folder / "config.json")
    present = {path.name for path in folder.iterdir()}
    found = weight_names(name, present, variant)
    if not found:
        raise _no_weights(folder, name, present)
    chosen_variant = variant if variant is not None and f".{variant}." in found[0] else None
    files = [folder / found[0]]
    if found[0].endswith(".json"):
        files += [folder / shard for shard in shard_names(read_json(files[0]), str(files[0]))]
    for path in files:
        if path.suffix == weights.SUFFIX:
            read_header(path)
    return Component(folder, _class_name(config), config, tuple(files), chosen_variant)


def _class_name(config: Mapping[str, Any]) -> str:
    """diffusers writes `_class_name`, transformers `architectures`."""
    architectures = config.get("architectures")
    if isinstance(architectures, list) and architectures:
        return str(architectures[0])
    return str(config.get("_class_name", ""))


def _family(root: Path, unet: Component, text_names: Sequence[str]) -> Family:
    if list(text_names) == [TEXT, TEXT_2] and unet.config.get("addition_embed_type") == "text_time":
        family = SDXL
    elif list(text_names) == [TEXT] and unet.config.get("addition_embed_type") is None:
        family = SD2 if unet.config.get("use_linear_projection") else SD15
    else:
        raise unknown_kind(root, f"it has the text encoders {', '.join(text_names) or 'none'}")
    channels = unet.config.get("in_channels")
    if channels not in family.inputs:
        raise unknown_kind(root, f"its unet takes {channels} channels")
    return family


def _tokenizer_files(folder: Path) -> list[Path]:
    files = [folder / name for name in TOKENIZER_FILES if (folder / name).is_file()]
    names = {path.name for path in files}
    if "tokenizer.json" not in names and not {"vocab.json", "merges.txt"} <= names:
        raise BridgeError(
            Code.MODEL_MISSING,
            f"{folder} has no tokenizer (vocab.json and merges.txt, or tokenizer.json).",
            "Copy the folder “tokenizer” of the model it was made from.",
        )
    return files


def _no_weights(folder: Path, name: str, present: set[str]) -> BridgeError:
    pickles = sorted(n for n in present if Path(n).suffix.lower() in weights.PICKLE_SUFFIXES)
    if pickles:
        return weights.unsafe(folder / pickles[0])
    return weights.missing(folder / f"{WEIGHT_STEMS[name]}{weights.SUFFIX}")


def unknown_kind(path: Path | str, why: str) -> BridgeError:
    return BridgeError(
        Code.BAD_INPUT,
        f"The model {path} is of a kind that the bridge cannot run: {why}.",
        "Use a Stable Diffusion 1.5, 2 or SDXL model, plain, for inpainting or with depth.",
    )

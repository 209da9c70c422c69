"""A model in one .safetensors file in the original layout of SD 1.5, SD 2 or SDXL: what it is, told by its header.

The file has the weights only. What else a model is (configurations, scheduler, tokenizer) comes from
configs/ beside this module, or from the folder that the preset names, so no network is needed.
Nothing here loads torch: the server process lists the painter's checkpoints.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bridge.errors import BridgeError, Code
from bridge.models import folder, weights
from bridge.models.families import SD2, SD15, SDXL, Family

CONFIGS = Path(__file__).parent / "configs"

UNET, VAE = "model.diffusion_model.", "first_stage_model."
_CLIP, _SDXL_CLIP, _SDXL_OPEN_CLIP = (
    "cond_stage_model.",
    "conditioner.embedders.0.",
    "conditioner.embedders.1.",
)
_FIRST_CONV = f"{UNET}input_blocks.0.0.weight"
_CLIP_WEIGHT = "cond_stage_model.transformer.text_model.embeddings.position_embedding.weight"
_OPEN_CLIP_WEIGHT = "cond_stage_model.model.positional_embedding"
_LABELS = f"{UNET}label_emb.0.0.weight"
TEXT_ENCODERS: Mapping[str, tuple[str, ...]] = {
    SD15.name: (_CLIP,),
    SD2.name: (_CLIP,),
    SDXL.name: (_SDXL_CLIP, _SDXL_OPEN_CLIP),
}
_PREDICTIONS = {"epsilon": "epsilon", "v": "v_prediction", "v_prediction": "v_prediction"}


@dataclass(frozen=True)
class FileModel:
    """A checkpoint and what its header says it is. `config`: the folder that describes it.

    `width`: channels that the UNet's first layer puts out. `native`: the side, px, that it was trained at, a guess where
    `scheduler_config` has no `prediction_type`: of SD 2 the header need not tell.
    """

    path: Path
    family: Family
    config: Path
    in_channels: int
    width: int
    native: int
    scheduler_config: Mapping[str, Any]


def inspect_file(
    path: Path,
    config: Path | None = None,
    read_header: weights.ReadHeader = weights.read_header,
    prediction: str | None = None,
) -> FileModel:
    """What the checkpoint at `path` is, by its header alone: read with `weights.read_header`, or with `weights.glance`
    where torch may not be loaded. `prediction`: what a preset says that it predicts, which is taken for true.

    Raises BridgeError as `weights.read_header`, and BAD_INPUT for a file that is no SD 1.5, SD 2 or SDXL
    checkpoint.
    """
    if path.is_dir():
        raise BridgeError(
            Code.BAD_INPUT, f"{path} is a folder.", "Write “folder” for “file” in the preset."
        )
    header = read_header(path)
    family = _family(path, header)
    shape = header.tensors[_FIRST_CONV].shape
    width, in_channels = shape[:2] if len(shape) == 4 else (0, 0)
    if in_channels not in family.inputs:
        raise folder.unknown_kind(path, f"its unet takes {in_channels} channels")
    root = config or CONFIGS / family.name
    scheduler = folder.read_json(root / folder.SCHEDULER_CONFIG) | _said(header)
    if prediction is not None:
        scheduler["prediction_type"] = prediction
    native = native_side(family, in_channels, scheduler.get("prediction_type"))
    return FileModel(path, family, root, in_channels, width, native, scheduler)


def native_side(family: Family, in_channels: int, prediction: str | None) -> int:
    """The side, px, that a model was trained at; a guess without `prediction`. SD 2 was published for inpainting and with depth at SD 1.5's side only, and so were plain ones that predict noise."""
    is_small = (
        in_channels != family.latent_channels if prediction is None else prediction == "epsilon"
    )
    return SD15.native if family is SD2 and is_small else family.native


def _family(path: Path, header: weights.WeightsHeader) -> Family:
    names = header.tensors
    has_unet, has_vae = _FIRST_CONV in names, any(name.startswith(VAE) for name in names)
    if has_unet and has_vae and f"{_SDXL_OPEN_CLIP}model.positional_embedding" in names:
        return SDXL
    if has_unet and has_vae and _CLIP_WEIGHT in names:
        return SD15
    if has_unet and has_vae and _OPEN_CLIP_WEIGHT in names and _LABELS not in names:
        return SD2
    raise folder.unknown_kind(path, _what_it_is(names, has_unet, has_vae))


def _what_it_is(names: Mapping[str, object], has_unet: bool, has_vae: bool) -> str:
    if any("lora_" in name for name in names):
        return "it is a LoRA, not a whole checkpoint"
    if has_unet and _OPEN_CLIP_WEIGHT in names and _LABELS in names:
        return "it is a Stable Diffusion 2 unCLIP checkpoint, which paints from pictures"
    if f"{_SDXL_CLIP}model.positional_embedding" in names:
        return "it is the SDXL refiner"
    if any(
        name.startswith(("double_blocks.", "model.diffusion_model.double_blocks."))
        for name in names
    ):
        return "it is a Flux checkpoint"
    if has_unet and not has_vae:
        return "it has no VAE in it"
    if has_unet:
        return "it has no text encoder in it"
    return "it has no UNet in the original layout in it"


def _said(header: weights.WeightsHeader) -> dict[str, Any]:
    """What checkpoints say of what they predict: empty tensors of these names by custom,
    or the metadata of the model spec (github.com/Stability-AI/ModelSpec)."""
    said = _PREDICTIONS.get(header.metadata.get("modelspec.prediction_type", ""))
    facts: dict[str, Any] = {} if said is None else {"prediction_type": said}
    if "v_pred" in header.tensors:
        facts["prediction_type"] = "v_prediction"
    if "ztsnr" in header.tensors:
        facts["rescale_betas_zero_snr"] = True
        facts["timestep_spacing"] = "trailing"
    return facts

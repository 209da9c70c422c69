"""The parts of a model in memory, before they become a LoadedModel, and the checks they share."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import torch
from diffusers import AutoencoderKL, AutoencoderTiny, UNet2DConditionModel
from diffusers.models.autoencoders.vae import AutoencoderTinyBlock
from diffusers.models.resnet import ResnetBlock2D
from torch import nn

from bridge.errors import BridgeError, Code
from bridge.models import weights
from bridge.models.brake import Brake
from bridge.models.device import memory_format
from bridge.models.families import SDXL, Family
from bridge.models.loaded import TextEncoder

Network = TypeVar("Network", bound=nn.Module)

OnPart = Callable[[str], None]
"""Called with the name of a part ("unet") just before it is read."""


@dataclass(frozen=True, eq=False)
class TinyVae:
    """An AutoencoderTiny for the latents of a larger VAE (as TAESD is), with the name and the sha256 of its weights."""

    network: AutoencoderTiny
    name: str
    sha256: str


@dataclass(frozen=True, eq=False)
class Parts:
    """What every layout yields. `scheduler_config` as in scheduler_config.json. `tiny`: beside `vae`."""

    family: Family
    unet: UNet2DConditionModel
    vae: AutoencoderKL | AutoencoderTiny
    text: tuple[TextEncoder, ...]
    scheduler_config: Mapping[str, Any]
    tiny: TinyVae | None = None


def finished(part: Network, source: Path, device: torch.device, dtype: torch.dtype) -> Network:
    """`part` on its device, for inference, after the checks that need the weights themselves.

    Raises BridgeError (MODEL_CORRUPT) when a weight is missing from `source`, or is NaN or infinite.
    """
    absent = [name for name, weight in part.named_parameters() if weight.is_meta]
    if absent:
        raise incomplete(source, absent)
    if any(weight.dtype != dtype for weight in part.parameters()):
        part = part.to(dtype=dtype)
    part = part.to(device=device, memory_format=memory_format(device))  # type: ignore[call-overload]
    part = part.eval().requires_grad_(False)
    for name, weight in part.named_parameters():
        if not all(torch.isfinite(bound).item() for bound in torch.aminmax(weight)):
            raise weights.corrupt(source, f"has NaN or infinite weights ({name})")
    return part


def with_brake(network: nn.Module, brake: Brake) -> None:
    """Ask `brake` before each block of `network`."""
    for module in network.modules():
        if isinstance(module, (ResnetBlock2D, AutoencoderTinyBlock)):
            module.register_forward_pre_hook(brake)


def text_encoder(tokenizer: Any, network: Any, source: Path) -> TextEncoder:
    """The pair of both. Raises BridgeError (MODEL_CORRUPT) when the tokenizer, which came from
    `source`, can say words that the encoder has no embedding for."""
    if len(tokenizer) > network.config.vocab_size:
        raise weights.corrupt(source, "knows more words than its text encoder")
    return TextEncoder(tokenizer, network)


def vae_dtype(config: Mapping[str, Any], family: Family, dtype: torch.dtype) -> torch.dtype:
    """float32 for a VAE that overflows float16, as SDXL's own does and says (`force_upcast`).

    SD 1.5 configurations inherit the flag as a default without needing it.
    """
    overflows = family is SDXL and config.get("force_upcast", True)
    return torch.float32 if dtype == torch.float16 and overflows else dtype


def incomplete(source: Path, absent: list[str]) -> BridgeError:
    return BridgeError(
        Code.MODEL_CORRUPT,
        f"{source} lacks {len(absent)} of the weights its model needs, {absent[0]} among them.",
        weights.HOW_TO_MEND,
    )


def is_out_of_memory(error: Exception) -> bool:
    """Whether torch (on a GPU, or on the CPU, where it has no type of its own) or Python ran out."""
    typed = isinstance(error, MemoryError | torch.OutOfMemoryError)
    return typed or "can't allocate memory" in str(error)


@contextmanager
def reading(source: Path, what: str) -> Iterator[None]:
    """Turns whatever a library raises over `source` into BridgeError (MODEL_CORRUPT) with `what` is wrong: a file of another
    shape can make a converter raise anything. Out of memory stays as it is, and so does a BridgeError."""
    try:
        yield
    except BridgeError:
        raise
    except Exception as error:
        if is_out_of_memory(error):
            raise
        raise weights.corrupt(source, f"{what} ({brief(error)})") from error


def brief(error: Exception) -> str:
    """A library's complaint, short enough for a sentence; the log has the whole of it."""
    return " ".join(str(error).split())[:200]

"""Which device and number format a model gets, and what a device can do for it."""

from __future__ import annotations

from functools import lru_cache

import torch

from bridge.errors import BridgeError, Code
from bridge.models.graphed import CudaRecorder, Recorder

AUTO = "auto"
_ORDER = ("cuda", "mps", "xpu")


def choose_device(wish: str = AUTO) -> torch.device:
    """`auto`: the first of CUDA, Apple's GPU, Intel's GPU and the CPU that is there.

    Raises BridgeError (BAD_INPUT) for a device that this computer or this torch does not have.
    """
    if wish == AUTO:
        return torch.device(next((kind for kind in _ORDER if _is_there(kind)), "cpu"))
    try:
        device = torch.device(wish)
    except RuntimeError as error:
        raise _no_device(wish) from error
    if device.type != "cpu" and not (device.type in _ORDER and _is_there(device.type)):
        raise _no_device(wish)
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise _no_device(wish)
    return device


def choose_dtype(device: torch.device) -> torch.dtype:
    """float16 where it is fast and right, otherwise float32.

    CUDA below compute capability 7 runs float16 at a fraction of float32's speed, and the GTX 16 cards
    (7.5 without tensor cores) return NaN for convolutions in it.
    """
    if device.type in ("mps", "xpu"):
        return torch.float16
    if device.type == "cuda":
        slow = torch.cuda.get_device_capability(device) < (7, 0)
        wrong = "GTX 16" in torch.cuda.get_device_name(device)
        return torch.float32 if slow or wrong else torch.float16
    return torch.float32


def memory_format(device: torch.device) -> torch.memory_format:
    """How weights lie in memory: channels last where the device's fast convolutions read them so, else as they come."""
    return torch.channels_last if device.type == "cuda" else torch.preserve_format


def recorder(device: torch.device) -> Recorder | None:
    """What records graphs of calls on this device; None where nothing can."""
    return CudaRecorder(device) if device.type == "cuda" else None


@lru_cache(maxsize=64)
def scalars(
    numbers: tuple[float, ...], device: torch.device, dtype: torch.dtype = torch.float32
) -> tuple[torch.Tensor, ...]:
    """A scalar each. Kept, because copying to a GPU waits for it."""
    return torch.tensor(numbers, dtype=dtype, device=device).unbind()


def _is_there(kind: str) -> bool:
    if kind == "cuda":
        return torch.cuda.is_available()
    if kind == "mps":
        return torch.backends.mps.is_available()
    return torch.xpu.is_available()


def _no_device(wish: str) -> BridgeError:
    there = ", ".join([kind for kind in _ORDER if _is_there(kind)] + ["cpu"])
    return BridgeError(
        Code.BAD_INPUT,
        f"There is no device “{wish[:60]}” here (there is: {there}).",
        "Use “auto”, or see “krita-bridge doctor” for what torch finds.",
    )

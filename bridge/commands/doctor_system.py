"""Checks of the computer: Python, torch and its device, memory."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import sys
from collections.abc import Iterator
from pathlib import Path

from bridge.commands.doctor import Finding, Level

_PACKAGES = ("diffusers", "transformers", "safetensors", "aiohttp", "numpy", "pillow", "tqdm")
_LEAST_MEMORY = 4.0


def python(home: Path) -> Iterator[Finding]:
    version = platform.python_version()
    missing = [name for name in _PACKAGES if not _installed(name)]
    if missing:
        yield Finding(
            Level.PROBLEM,
            "Python",
            f"{version}, but {', '.join(missing)} cannot be found.",
            "Install krita-bridge again: python -m pip install krita-bridge",
        )
        return
    yield Finding(Level.OK, "Python", f"{version} in {sys.prefix}")


def torch(home: Path) -> Iterator[Finding]:
    try:
        import torch as library
    except (ImportError, OSError) as error:
        reason = str(error).splitlines()[0]
        yield Finding(
            Level.PROBLEM,
            "torch",
            f"It cannot be loaded: {reason}.",
            "Install it again as pytorch.org says for this computer.",
        )
        return
    version = library.__version__
    if library.cuda.is_available():
        for index in range(library.cuda.device_count()):
            free, total = (size / 2**30 for size in library.cuda.mem_get_info(index))
            name = library.cuda.get_device_name(index)
            sentence = f"{version} on {name}, {free:.1f} of {total:.1f} GiB free"
            scarce = free < _LEAST_MEMORY
            remedy = "Close what else uses the GPU for large models." if scarce else ""
            yield Finding(Level.WARN if scarce else Level.OK, "torch", sentence, remedy)
    elif library.backends.mps.is_available():
        yield Finding(Level.OK, "torch", f"{version} on Apple's GPU")
    else:
        yield Finding(
            Level.WARN,
            "torch",
            f"{version} on the CPU ({os.cpu_count()} cores); no GPU that it can use.",
            "The embedded model is quick enough; larger ones want a GPU and a torch built for it.",
        )


def memory(home: Path) -> Iterator[Finding]:
    free = _free_memory()
    if free is None:
        return
    scarce = free < _LEAST_MEMORY
    remedy = "Close other programs before you use a large model." if scarce else ""
    level = Level.WARN if scarce else Level.OK
    yield Finding(level, "memory", f"{free:.1f} GiB free", remedy)


def _installed(name: str) -> bool:
    try:
        importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


def _free_memory() -> float | None:
    """GiB that programs can have without swapping; None where the system does not say."""
    try:
        lines = Path("/proc/meminfo").read_text("ascii").splitlines()
    except OSError:
        return None
    found = [line.split()[1] for line in lines if line.startswith("MemAvailable:")]
    return int(found[0]) / 2**20 if found else None

"""Looking into a weights file before anything is loaded from it: safetensors only, and whole.

The format: https://github.com/huggingface/safetensors#format (eight bytes of header length, little
endian; a JSON header; the tensors' bytes). A pickle is recognised by its content as well, whatever
its name, and never opened.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from safetensors import SafetensorError, safe_open

from bridge.errors import BridgeError, Code

SUFFIX = ".safetensors"
PICKLE_SUFFIXES = frozenset({".ckpt", ".pt", ".pth", ".bin", ".pkl", ".pickle"})

HOW_TO_CONVERT = (
    "Take a .safetensors version from where you got it, or convert it on a computer you do not mind "
    "risking: diffusers' from_single_file(...) or from_pretrained(...), then "
    "save_pretrained(folder, safe_serialization=True)."
)
HOW_TO_MEND = "Fetch the file again, or compare its size and hash with those where you got it."

MAX_HEADER_BYTES = 100_000_000
"""safetensors' own limit: a file with a longer header is none of its format. That of SDXL has 0.4 MB."""

_MALFORMED = (
    OSError,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    ArithmeticError,
    RecursionError,
)
_ZIP = b"PK\x03\x04"
_LFS_POINTER = b"version https://git-lfs"


class TensorInfo(NamedTuple):
    """A tensor's dtype as safetensors names it ("F16") and its shape."""

    dtype: str
    shape: tuple[int, ...]


@dataclass(frozen=True)
class WeightsHeader:
    """What a weights file says of itself: its tensors by name, and free text by key."""

    tensors: Mapping[str, TensorInfo]
    metadata: Mapping[str, str]


ReadHeader = Callable[[Path], WeightsHeader]
"""`read_header` or `glance`."""


def read_header(path: Path) -> WeightsHeader:
    """The header of a safetensors file, checked against the file's size; reads no tensor.

    Raises BridgeError: MODEL_MISSING when there is no such file, MODEL_UNSAFE for a pickle by name or
    by content, MODEL_CORRUPT for everything else that is not a whole safetensors file.
    """
    header = glance(path)
    try:
        with safe_open(path, framework="pt"):
            pass
    except (SafetensorError, OSError) as error:
        raise corrupt(path, f"is damaged ({error})") from error
    return header


def glance(path: Path) -> WeightsHeader:
    """The same without the checks of safetensors, which loads torch for them: for the server process, which may not. That
    the file is long enough is seen, that every tensor has the bytes its shape asks for is not."""
    if path.suffix.lower() in PICKLE_SUFFIXES:
        raise unsafe(path)
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            start = file.read(64)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise missing(path) from error
    except (OSError, ValueError) as error:
        raise corrupt(path, f"cannot be read ({error})") from error
    length = int.from_bytes(start[:8], "little")
    if len(start) < 9 or start[8:9] != b"{" or not 2 <= length <= MAX_HEADER_BYTES:
        raise _not_safetensors(path, start)
    if 8 + length > size:
        raise corrupt(path, f"is incomplete: it ends within its header, at {size} bytes")
    try:
        with path.open("rb") as file:
            file.seek(8)
            header = json.loads(file.read(length))
        metadata = dict(header.pop("__metadata__", None) or {})
        tensors = {
            name: TensorInfo(str(entry["dtype"]), tuple(map(int, entry["shape"])))
            for name, entry in header.items()
        }
        end = max((int(entry["data_offsets"][1]) for entry in header.values()), default=0)
    except _MALFORMED as error:
        raise corrupt(path, f"is damaged ({error})") from error
    if not tensors:
        raise corrupt(path, "holds no weights")
    if 8 + length + end > size:
        raise corrupt(path, f"is incomplete: it has {size} of {8 + length + end} bytes")
    return WeightsHeader(tensors, metadata)


def missing(path: Path) -> BridgeError:
    return BridgeError(
        Code.MODEL_MISSING,
        f"There is no model at {path}.",
        "Put it there, or correct the path in the preset.",
    )


def unsafe(path: Path) -> BridgeError:
    return BridgeError(
        Code.MODEL_UNSAFE,
        f"{path} holds pickled data, which can run any program when it is opened; it was not opened.",
        HOW_TO_CONVERT,
    )


def corrupt(path: Path, problem: str) -> BridgeError:
    """`problem` completes the sentence "FILE ..."."""
    return BridgeError(Code.MODEL_CORRUPT, f"{path} {problem}.", HOW_TO_MEND)


def _not_safetensors(path: Path, start: bytes) -> BridgeError:
    if start.startswith(_ZIP) or _looks_pickled(start):
        return unsafe(path)
    if start.startswith(_LFS_POINTER):
        return BridgeError(
            Code.MODEL_CORRUPT,
            f"{path} is only git's pointer to the weights, not the weights.",
            "Run “git lfs pull” in its folder.",
        )
    if not start:
        return corrupt(path, "is empty")
    if start.lstrip()[:1] == b"<":
        return corrupt(path, "is a web page, not weights")
    return corrupt(path, "is not a safetensors file, or its beginning is damaged")


def _looks_pickled(start: bytes) -> bool:
    """Pickle protocols 2 to 5 start with PROTO and the number; 0 and 1 with one of a few opcodes, and
    name what they call (GLOBAL) in plain text within their first lines."""
    if start[:1] == b"\x80" and start[1:2] in (b"\x02", b"\x03", b"\x04", b"\x05"):
        return True
    return start[:1] in (b"c", b"(", b"]", b"}", b")", b"l", b"d") and b"\n" in start

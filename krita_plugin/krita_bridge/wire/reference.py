"""Reference images: pictures that a result is to resemble, and how much."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from .checks import check_range

MAX_WEIGHT = 2.0


class ReferenceMode(Enum):
    """What is taken from a reference: all of it, its style, or its composition."""

    BOTH = "both"
    STYLE = "style"
    COMPOSITION = "composition"


@dataclass(frozen=True)
class Reference:
    """One reference. `weight` 0 to 2: 0 is as if it were not there, 1 as its adapter was trained; less leaves more to the
    prompt. Its picture comes along, named by `reference_tensor`."""

    weight: float = 0.6
    mode: ReferenceMode = ReferenceMode.BOTH

    def __post_init__(self) -> None:
        check_range("weight of a reference", self.weight, 0.0, MAX_WEIGHT)


@dataclass(frozen=True)
class UsedReference:
    """A reference that a result was made with; `sha256` is that of its picture's bytes R G B A, row by row."""

    sha256: str
    weight: float
    mode: ReferenceMode


def reference_tensor(index: int) -> str:
    """The name of the tensor of a request's reference number `index`, from 0: H x W x 4 like `image`, of a size
    of its own up to `limits.MAX_REFERENCE_SIDE`."""
    return f"reference-{index}"

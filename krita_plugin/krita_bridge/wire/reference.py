"""Reference images: pictures that a result is to resemble, and how much."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from .checks import check_range, check_span

MAX_WEIGHT = 2.0


class ReferenceMode(Enum):
    """What is taken from a reference: all of it, its style, or its composition."""

    BOTH = "both"
    STYLE = "style"
    COMPOSITION = "composition"


@dataclass(frozen=True)
class Reference:
    """One reference. `weight` 0 to 2: 0 is as if it were not there, 1 as its adapter was trained; less leaves more to the
    prompt. It is heard from `start` to `end` of the steps that are run, 0 to 1. Its picture comes along, named by
    `reference_tensor`."""

    weight: float = 0.6
    mode: ReferenceMode = ReferenceMode.BOTH
    start: float = 0.0
    end: float = 1.0

    def __post_init__(self) -> None:
        check_range("weight of a reference", self.weight, 0.0, MAX_WEIGHT)
        check_span("reference", self.start, self.end)


@dataclass(frozen=True)
class UsedReference:
    """A reference that a result was made with; `sha256` is that of its picture's bytes R G B A, row by row."""

    sha256: str
    weight: float
    mode: ReferenceMode
    start: float = 0.0
    end: float = 1.0


def reference_tensor(index: int) -> str:
    """The name of the tensor of a request's reference number `index`, from 0: H x W x 4 like `image`, of a size
    of its own up to `limits.MAX_REFERENCE_SIDE`."""
    return f"reference-{index}"

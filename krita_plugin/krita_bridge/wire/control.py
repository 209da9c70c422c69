"""Control layers: pictures that say what goes where, and how strongly they are heard."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from .checks import check_range, check_span

MAX_STRENGTH = 2.0


class ControlKind(Enum):
    """What a control's map shows. Each kind has a ControlNet of its own (Zhang et al., 2023)."""

    DEPTH = "depth"
    SCRIBBLE = "scribble"
    LINEART = "lineart"
    SOFTEDGE = "softedge"
    CANNY = "canny"
    NORMAL = "normal"
    POSE = "pose"
    SEGMENTATION = "segmentation"
    TILE = "tile"


class ControlSource(Enum):
    """Where the map comes from: worked out from the job's `image`, worked out from a picture that comes with the
    control, or ready-made with it."""

    CANVAS = "canvas"
    PICTURE = "picture"
    MAP = "map"


@dataclass(frozen=True)
class Control:
    """One control. `strength` 0 to 2: 0 is as if it were not there. It is heard from `start` to `end` of the steps that
    are run, 0 to 1. `keep`: send the map back with the result.
    """

    kind: ControlKind
    source: ControlSource = ControlSource.CANVAS
    strength: float = 1.0
    start: float = 0.0
    end: float = 1.0
    keep: bool = False

    def __post_init__(self) -> None:
        check_range("strength of a control", self.strength, 0.0, MAX_STRENGTH)
        check_span("control", self.start, self.end)

    @property
    def brings_picture(self) -> bool:
        """Whether a tensor comes with it."""
        return self.source is not ControlSource.CANVAS

    @property
    def suits_parts(self) -> bool:
        """Whether the map of a part of the picture is that part of the map: what is worked out looks at all there is."""
        return self.source is ControlSource.MAP or self.kind is ControlKind.TILE


@dataclass(frozen=True)
class UsedControl:
    """A control that a result was made with: its ControlNet's name and sha256, and the sha256 of its map's bytes R G B,
    row by row, at the resolution of the job's bounds."""

    kind: ControlKind
    source: ControlSource
    strength: float
    start: float
    end: float
    model: str
    model_sha256: str
    map_sha256: str


def control_tensor(index: int) -> str:
    """The name of the tensor of a request's control number `index`, from 0: H x W x 4 like `image`."""
    return f"control-{index}"

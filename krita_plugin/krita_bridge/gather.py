"""Reading the pictures that a job's controls and references bring, beside the canvas and by the same rules. Knows neither Krita nor Qt."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Dict, Generator, Optional, Protocol, Sequence, Tuple

from .capture import CannotCapture, Plan, Snapshot, capture, read_strips
from .capture import Pixels as CanvasPixels
from .conditions import ChosenControl, ChosenReference
from .link import Pixels
from .text import tr
from .wire.geometry import Bounds

LAYER_IS_GONE = (
    "A layer that the picture was to be made with is gone: undo what removed it, or choose another."
)


class Layer(Protocol):
    """One layer of the document. `strip_bytes`: how much of it may be read in one go, in bytes of BGRA."""

    strip_bytes: int

    def is_idle(self) -> bool:
        """Whether no stroke is being painted."""

    def read(self, area: Bounds) -> bytes:
        """BGRA uint8, straight alpha, sRGB, rows from the top. Raises CannotCapture once the layer is gone."""

    def reduced(self) -> Generator[float, None, Pixels]:
        """All that is on it, BGRA, small enough for a reference. Raises CannotCapture when it is gone or empty."""


class Sources(Protocol):
    """Where pictures come from beside the canvas."""

    def layer(self, unique_id: str) -> Optional[Layer]:
        """None when the document has no such layer."""

    def file(self, path: Path) -> Generator[float, None, Pixels]:
        """The picture in a file, BGRA, small enough for a reference. Raises CannotCapture when it cannot be read."""


def capture_all(
    pixels: CanvasPixels,
    plan: Plan,
    controls: Sequence[ChosenControl],
    references: Sequence[ChosenReference],
    sources: Sources,
) -> Generator[float, None, Snapshot]:
    """What `plan` asks for, and the pictures that come with controls and references. Raises CannotCapture.

    A control that is worked out from the canvas needs its image, even where the painting keeps nothing of it.
    """
    if any(not chosen.control.brings_picture for chosen in controls):
        plan = replace(plan, reads_image=True)
    snapshot = yield from capture(pixels, plan)
    maps = yield from _of_controls(controls, plan.bounds, sources)
    pictures = []
    for chosen in references:
        if chosen.file:
            picture = yield from sources.file(Path(chosen.file))
        else:
            picture = yield from _layer(sources, chosen.layer).reduced()
        pictures.append(picture)
    return replace(snapshot, controls=maps, references=tuple(pictures))


def _of_controls(
    controls: Sequence[ChosenControl], area: Bounds, sources: Sources
) -> Generator[float, None, Dict[int, Tuple[bytes, ...]]]:
    """By the control's number; controls of one layer share what was read."""
    by_layer: Dict[str, Tuple[bytes, ...]] = {}
    found: Dict[int, Tuple[bytes, ...]] = {}
    for number, chosen in enumerate(controls):
        if not chosen.control.brings_picture:
            continue
        if chosen.layer not in by_layer:
            layer = _layer(sources, chosen.layer)
            by_layer[chosen.layer] = yield from read_strips(
                layer.is_idle, layer.read, area, 4, layer.strip_bytes
            )
        found[number] = by_layer[chosen.layer]
    return found


def _layer(sources: Sources, unique_id: str) -> Layer:
    layer = sources.layer(unique_id)
    if layer is None:
        raise CannotCapture(tr(LAYER_IS_GONE))
    return layer

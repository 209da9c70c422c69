"""What is to be painted live of a document, with the controls and references that are chosen for it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Dict, Tuple

from ..capture import CannotCapture, plan_capture
from ..conditions import ChosenReference, with_conditions
from ..document import CanvasDocument
from ..gather import LAYER_IS_GONE
from ..layers import DocumentSources, LayerPixels
from ..notes import Form
from ..text import tr
from ..wire.control import control_tensor
from ..wire.messages import PaintRequest, check_live_area
from ..wire.modes import Mode
from .follow import Wanted
from .references import ReferenceSource
from .watch import Layer


def aim(
    document: CanvasDocument, form: Form, mode: Mode, native: int, request: PaintRequest
) -> Wanted:
    """What Generate would paint of `request`, as it is to be painted live. `native`: the model's own side, px.

    Raises MessageError or CannotCapture with a sentence.
    """
    canvas, selection = document.canvas(), document.selection_bounds()
    plan = plan_capture(canvas, selection, native, request.strength, mode)
    check_live_area(plan.bounds)
    request = with_conditions(request, form.controls, form.references, keeps_maps=False)
    if any(not control.brings_picture for control in request.controls):
        plan = replace(plan, reads_image=True)
    sources = DocumentSources(document)
    controls: Dict[str, Tuple[str, Layer]] = {
        control_tensor(index): (chosen.layer, _layer(sources, chosen.layer))
        for index, chosen in enumerate(form.controls)
        if chosen.control.brings_picture
    }
    references = [_source(sources, chosen) for chosen in form.references]
    return Wanted(document.key, plan, request, controls, references, form)


def _source(sources: DocumentSources, chosen: ChosenReference) -> ReferenceSource:
    if chosen.file:
        path = Path(chosen.file)
        return ReferenceSource(chosen.file, False, lambda: sources.file(path))
    return ReferenceSource(chosen.layer, True, lambda: _layer(sources, chosen.layer).reduced())


def _layer(sources: DocumentSources, unique_id: str) -> LayerPixels:
    found = sources.layer(unique_id)
    if found is None:
        raise CannotCapture(tr(LAYER_IS_GONE))
    return found

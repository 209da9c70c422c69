"""What is written down about a document: where a job's result belongs, and what the painter last asked for."""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass, fields, replace
from typing import Any, Dict, Optional, Tuple

from .conditions import ChosenControl, ChosenReference, read_chosen
from .plain import read_object
from .sampling import AS_PRESET, Sampling, read_sampling
from .wire import limits
from .wire.control import ControlKind
from .wire.geometry import Bounds
from .wire.messages import MessageError, from_fields, to_fields
from .wire.modes import Blend, Mode


@dataclass(frozen=True)
class DocumentNote:
    """Travels with a job as `Submit.document`.

    `document` is the id kept inside the document, `layer` the uniqueId of the job's preview layer, `epoch` counts
    the painter's presses of Generate: variations made by one press share it. `area` is the part of the canvas that was
    captured, and `controls` are the kinds of the request's controls: where a control's map belongs, and what it is called.
    """

    document: str
    layer: str
    epoch: int
    area: Bounds
    controls: Tuple[ControlKind, ...] = ()

    def dumps(self) -> str:
        return json.dumps(to_fields(self))


def read_note(text: str) -> Optional[DocumentNote]:
    """The note of a job; None when it is somebody else's."""
    try:
        return from_fields(DocumentNote, read_object(text))
    except MessageError:
        return None


@dataclass(frozen=True)
class Form:
    """What the painter has set in the docker.

    `strength` 0 to 1. `seed_locked`: the next picture uses `seed` again, instead of a new one. `mode`: the name
    of the mode that was chosen by hand; empty while it is found from selection and canvas. `blend`: the name of a Blend.
    """

    prompt: str = ""
    negative_prompt: str = ""
    preset: str = ""
    strength: float = 1.0
    seed: int = 0
    seed_locked: bool = False
    mode: str = ""
    blend: str = Blend.SOFT.value
    match_colors: bool = True
    controls: Tuple[ChosenControl, ...] = ()
    references: Tuple[ChosenReference, ...] = ()
    sampling: Sampling = AS_PRESET

    def dumps(self) -> str:
        return json.dumps(to_fields(self))


def read_form(text: str) -> Form:
    """A form as `Form.dumps` wrote it; whatever is missing or odd keeps its default."""
    return form_of(read_object(text))


def form_of(values: object) -> Form:
    """A form out of what `to_fields` made of it; whatever is missing or odd keeps its default."""
    values = values if isinstance(values, dict) else {}
    kept: Dict[str, Any] = {}
    for field in fields(Form):
        value = values.get(field.name)
        if type(value) is type(field.default):
            kept[field.name] = value
    kept["controls"] = read_chosen(ChosenControl, values.get("controls"), limits.MAX_CONTROLS)
    kept["references"] = read_chosen(
        ChosenReference, values.get("references"), limits.MAX_REFERENCES
    )
    kept["sampling"] = read_sampling(values.get("sampling"))
    form = Form(**kept)
    if not 0.0 < form.strength <= 1.0:
        form = replace(form, strength=1.0)
    if form.mode not in {mode.value for mode in Mode}:
        form = replace(form, mode="")
    if form.blend not in {blend.value for blend in Blend}:
        form = replace(form, blend=Blend.SOFT.value)
    return form if 0 <= form.seed < 2**63 else replace(form, seed=0)


def without_files(form: Form) -> Form:
    """For what is written into a document: the paths of files say something about the painter's computer, and a stranger's
    document must not have files opened here."""
    references = tuple(chosen for chosen in form.references if not chosen.file)
    return replace(form, references=references)


@dataclass(frozen=True)
class DocumentMemory:
    """Kept inside the document: an id that survives saving, and the painter's form, `without_files`."""

    document: str
    form: Form

    def __post_init__(self) -> None:
        object.__setattr__(self, "form", without_files(self.form))

    def dumps(self) -> bytes:
        return json.dumps({"document": self.document, "form": to_fields(self.form)}).encode("utf-8")


def new_memory(form: Form) -> DocumentMemory:
    return DocumentMemory(uuid.uuid4().hex, form)


def read_memory(data: bytes) -> Optional[DocumentMemory]:
    """The memory of a document; None when there is none, or none that can be read."""
    values = read_object(data.decode("utf-8", "replace"))
    document = values.get("document")
    if not isinstance(document, str) or not 0 < len(document) <= 64:
        return None
    return DocumentMemory(document, form_of(values.get("form")))

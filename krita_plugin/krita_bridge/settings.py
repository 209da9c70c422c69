"""What is remembered across documents, in Krita's own settings file."""

from __future__ import annotations

import json
import shlex
import uuid
from dataclasses import dataclass, replace
from typing import List, Optional, Tuple

from krita import Krita

from .notes import Form, read_form

GROUP = "krita_bridge"


@dataclass(frozen=True)
class Settings:
    """The painter's choices. `bridge_command` empty: the launcher finds the bridge by itself."""

    previews_on_canvas: bool = True
    previews_in_docker: bool = True
    bridge_command: str = ""

    def command(self) -> Optional[List[str]]:
        """The command in words; raises ValueError when its quotes do not match."""
        return shlex.split(self.bridge_command) or None


def load() -> Settings:
    return Settings(
        previews_on_canvas=_read("previews_on_canvas", "true") == "true",
        previews_in_docker=_read("previews_in_docker", "true") == "true",
        bridge_command=_read("bridge_command", ""),
    )


def save(settings: Settings) -> None:
    _write("previews_on_canvas", "true" if settings.previews_on_canvas else "false")
    _write("previews_in_docker", "true" if settings.previews_in_docker else "false")
    _write("bridge_command", settings.bridge_command)


def client_id() -> str:
    """The name of this Krita at the bridge, made once: results are kept for it."""
    found = _read("client_id", "")
    if not found:
        found = uuid.uuid4().hex
        _write("client_id", found)
    return found


def load_last_form() -> Form:
    return read_form(_read("form", ""))


def load_prompts() -> List[str]:
    try:
        prompts = json.loads(_read("prompts", "[]"))
    except ValueError:
        return []
    return [p for p in prompts if isinstance(p, str)] if isinstance(prompts, list) else []


def save_used(form: Form, prompts: List[str]) -> None:
    """The values of the latest job, for new documents and for Alt+Up."""
    # A mode chosen by hand, and its strength with it, belongs to its selection alone; layers, and how a picture is
    # sampled other than its preset says, belong to their document.
    kept = replace(form, mode="", strength=Form.strength) if form.mode else form
    kept = replace(kept, controls=(), references=(), sampling=Form.sampling)
    _write("form", kept.dumps())
    _write("prompts", json.dumps(prompts))


def load_margins(sides: int, default: int) -> List[int]:
    """How far the canvas grew last, px, for so many sides."""
    found = [int(word) for word in _read("margins", "").split(",") if word.isdecimal()]
    return found if len(found) == sides else [default] * sides


def save_margins(margins: List[int]) -> None:
    _write("margins", ",".join(map(str, margins)))


@dataclass(frozen=True)
class Enlargement:
    """How the painter upscales: so many times as large, and how much the model may change, 0 to 1."""

    factor: float = 2.0
    strength: float = 0.3


def load_enlargement() -> Enlargement:
    try:
        factor, strength = map(float, _read("enlargement", "").split(","))
    except ValueError:
        return Enlargement()
    return Enlargement(factor, strength)


def save_enlargement(enlargement: Enlargement) -> None:
    _write("enlargement", f"{enlargement.factor},{enlargement.strength}")


def load_open_parts(parts: Tuple[str, ...]) -> List[str]:
    """Which folded parts of the docker were open."""
    found = _read("open_parts", "").split(",")
    return [part for part in parts if part in found]


def save_open_parts(parts: List[str]) -> None:
    _write("open_parts", ",".join(parts))


def redraw_proven_with() -> str:
    """The version of Krita with which the quick way to redraw a layer was proven; "" for none (see redraw.py)."""
    return _read("redraw_proven_with", "")


def save_redraw_proven_with(version: str) -> None:
    _write("redraw_proven_with", version)


def is_first_run() -> bool:
    """True once: Krita from 5.2.9 on hides new dockers, so the first run shows ours."""
    if _read("shown", ""):
        return False
    _write("shown", "true")
    return True


def _read(name: str, default: str) -> str:
    return str(Krita.instance().readSetting(GROUP, name, default))


def _write(name: str, value: str) -> None:
    Krita.instance().writeSetting(GROUP, name, value)

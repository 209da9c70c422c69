"""The latest results and the latest prompts. Pure bookkeeping."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Dict, List, Optional, Tuple

from .notes import DocumentNote
from .wire.control import ControlKind
from .wire.frames import Buffer
from .wire.geometry import Bounds, Extent
from .wire.messages import ResultFacts

MOST_RESULTS = 48
MOST_BYTES = 256 << 20
MOST_PROMPTS = 50


@dataclass(frozen=True)
class KeptMap:
    """The map that a control of this kind, the request's control `number`, was heard with: opaque BGRA uint8 of the size of
    `bounds`."""

    number: int
    kind: ControlKind
    bounds: Bounds
    image: Buffer


@dataclass(frozen=True)
class Entry:
    """A finished picture: `image` is BGRA uint8, straight alpha, of the size of `bounds` on `canvas`. `maps`: what becomes
    layers together with it, as long as it is in no document."""

    job: str
    bounds: Bounds
    canvas: Extent
    facts: ResultFacts
    note: Optional[DocumentNote]
    image: Buffer
    maps: Tuple[KeptMap, ...] = ()

    @property
    def press(self) -> str:
        """Names the press of Generate that the result comes from: by the layer that was meant for it."""
        return self.note.layer if self.note else self.job

    @property
    def size(self) -> int:
        """In bytes."""
        images = [self.image, *(kept.image for kept in self.maps)]
        return sum(memoryview(image).nbytes for image in images)


class History:
    """Results, oldest first. A result that is in no document yet is never dropped to make room."""

    def __init__(self) -> None:
        self._entries: Dict[str, Entry] = {}
        self._placed: Dict[str, bool] = {}

    def __len__(self) -> int:
        return len(self._entries)

    def entries(self) -> List[Entry]:
        return list(self._entries.values())

    def get(self, job: str) -> Optional[Entry]:
        return self._entries.get(job)

    def is_placed(self, job: str) -> bool:
        return self._placed.get(job, False)

    def add(self, entry: Entry) -> None:
        """Keep a result; one that is here already is not kept twice."""
        if entry.job in self._entries:
            return
        self._entries[entry.job] = entry
        self._placed[entry.job] = False
        self._make_room(entry.job)

    def placed(self, job: str) -> bool:
        """Note that a document holds the result; returns whether that is news."""
        if job not in self._entries or self._placed[job]:
            return False
        self._placed[job] = True
        self._entries[job] = replace(self._entries[job], maps=())
        return True

    def discard(self, job: str) -> None:
        self._entries.pop(job, None)
        self._placed.pop(job, None)

    def beside(self, job: str, step: int) -> Optional[Entry]:
        """The result `step` places after `job` among those of the same press of Generate, going round."""
        here = self._entries.get(job)
        if here is None:
            return None
        siblings = self.of_press(here)
        if len(siblings) < 2:
            return None
        return siblings[(siblings.index(here) + step) % len(siblings)]

    def of_press(self, entry: Entry) -> List[Entry]:
        """All results of its press of Generate, itself among them, oldest first."""
        return [each for each in self._entries.values() if each.press == entry.press]

    def _make_room(self, newest: str) -> None:
        for job in list(self._entries):
            size = sum(entry.size for entry in self._entries.values())
            if len(self._entries) <= MOST_RESULTS and size <= MOST_BYTES:
                return
            if self._placed[job] and job != newest:
                self.discard(job)


class PromptHistory:
    """Prompts as Alt+Up and Alt+Down walk through them; `draft` is what was typed before the walk."""

    def __init__(self, prompts: List[str]) -> None:
        self._prompts = prompts[-MOST_PROMPTS:]
        self._at = len(self._prompts)
        self._draft = ""

    def prompts(self) -> List[str]:
        return list(self._prompts)

    def used(self, prompt: str) -> None:
        """Remember a prompt as the latest one and end the walk."""
        if prompt.strip():
            others = [p for p in self._prompts if p != prompt]
            self._prompts = [*others[1 - MOST_PROMPTS :], prompt]
        self._at = len(self._prompts)

    def older(self, current: str) -> Optional[str]:
        """The prompt before `current`; None at the end."""
        if self._at == len(self._prompts):
            self._draft = current
        if self._at == 0:
            return None
        self._at -= 1
        if self._prompts[self._at] == current:
            return self.older(current)
        return self._prompts[self._at]

    def newer(self, current: str) -> Optional[str]:
        """The prompt after `current`, and the draft after the latest; None at the end."""
        if self._at == len(self._prompts):
            return None
        self._at += 1
        return self._draft if self._at == len(self._prompts) else self._prompts[self._at]

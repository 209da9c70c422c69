"""What the docker says, in the painter's words: mode, progress, time left, results."""

from __future__ import annotations

import re
from typing import Optional

from .text import tr
from .wire.messages import ResultFacts
from .wire.modes import MEANINGS, Mode

NAME_CHARACTERS = 40
_LAYER_NAME = re.compile(r"(.+ )?\([0-9]{1,19}\)")


def mode_name(mode: Mode) -> str:
    """The one word that the docker shows."""
    return tr(MEANINGS[mode].label)


def title(prompt: str, mode: Mode) -> str:
    """What a result is called: by its prompt, or by what was done when there is none."""
    return prompt.strip() or mode_name(mode)


def time_left(seconds: Optional[float]) -> str:
    """The time left in words; nothing when it is not known."""
    if seconds is None:
        return ""
    if seconds < 1.0:
        return tr("almost done")
    whole = int(seconds + 0.5)
    if whole < 60:
        return tr("{0} s left", whole)
    if whole < 3600:
        return tr("{0} min {1} s left", whole // 60, whole % 60)
    return tr("{0} h {1} min left", whole // 3600, whole % 3600 // 60)


def progress_line(step: int, steps: int, seconds_left: Optional[float], waiting: int) -> str:
    """Step, time left and how many more wait, as far as they are known."""
    parts = [tr("step {0} of {1}", step, steps) if steps else tr("waiting for its turn")]
    parts.append(time_left(seconds_left) if steps else "")
    parts.append(tr("{0} more waiting", waiting) if waiting else "")
    return " · ".join(part for part in parts if part)


def layer_name(prompt: str, seed: int) -> str:
    """The prompt and the seed: enough to find the picture again in the layers docker."""
    one_line = " ".join("".join(c if c.isprintable() else " " for c in prompt).split())
    if len(one_line) > NAME_CHARACTERS:
        one_line = one_line[: NAME_CHARACTERS - 1].rstrip() + "…"
    return f"{one_line} ({seed})" if one_line else f"({seed})"


def is_layer_name(name: str) -> bool:
    """Whether `layer_name` may have made this name: results of earlier runs are known by it."""
    return _LAYER_NAME.fullmatch(name) is not None


def result_tip(facts: ResultFacts, note: str) -> str:
    """What a result's tooltip says, as plain text."""
    lines = [facts.prompt.strip() or tr("no prompt"), tr("Seed {0}", facts.seed)]
    lines.append(
        tr(
            "{0} {1} %, {2}, {3} s",
            mode_name(facts.mode),
            round(100 * facts.strength),
            facts.model,
            round(facts.seconds, 1),
        )
    )
    if note:
        lines.append(note)
    return "\n".join(lines)


def snapped_strength(strength: float, steps: int) -> int:
    """The number of steps, 1 to `steps`, that comes closest to `strength` 0 to 1."""
    return min(max(1, int(strength * steps + 0.5)), max(1, steps))

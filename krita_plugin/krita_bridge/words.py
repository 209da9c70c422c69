"""What the docker says, in the painter's words: mode, progress, time left, results."""

from __future__ import annotations

import re
from typing import Optional

from .text import tr
from .wire.messages import ResultFacts
from .wire.modes import MEANINGS, Mode

NAME_CHARACTERS = 40
SELDOM = 0.1
"""Live pictures a second of which the docker does not speak: the pen rests."""

_LAYER_NAME = re.compile(r"(.+ )?\([0-9]{1,19}\)")


def mode_name(mode: Mode) -> str:
    """The one word that the docker shows."""
    return tr(MEANINGS[mode].label)


def mode_tip(mode: Mode) -> str:
    """What a mode does, in a line of its menu's."""
    return {
        Mode.FILL: tr("Something new in place of what is selected"),
        Mode.REFINE: tr(
            "A better version of what is there: the less strength, the more of it stays"
        ),
        Mode.EXPAND: tr("More of the picture, past its edge"),
        Mode.ADD: tr("A thing into the scene: describe only the thing"),
        Mode.REMOVE: tr("What is selected goes away, without a prompt"),
        Mode.REPLACE_BACKGROUND: tr("Select the background, and describe the new one"),
        Mode.VARIATION: tr("Another one of what is there"),
    }[mode]


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


def progress_line(
    step: int, steps: int, seconds_left: Optional[float], waiting: int, in_tiles: bool = False
) -> str:
    """Step, time left and how many more wait, as far as they are known. `in_tiles`: a step is a tile of a larger picture."""
    done = tr("tile {0} of {1}", step, steps) if in_tiles else tr("step {0} of {1}", step, steps)
    parts = [done if steps else tr("waiting for its turn")]
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
            "{0} {1}\u00a0%, {2}, {3}\u00a0s",
            mode_name(facts.mode),
            round(100 * facts.strength),
            facts.model,
            round(facts.seconds, 1),
        )
    )
    if note:
        lines.append(note)
    return "\n".join(lines)


def pace_line(
    rate: Optional[float], latency: Optional[float], full: bool = True, scale: float = 1.0
) -> str:
    """For live painting: pictures a second, seconds behind the brush, and what a slow machine leaves out.

    `full` and `scale` are those of the latest picture (`messages.LivePicture`).
    """
    often = rate is not None and rate >= SELDOM
    parts = [tr("{0} a second", f"{rate:.1f}")] if often else []
    if latency is not None:
        parts.append(tr("{0} s after the brush", f"{latency:.2f}"))
    if not full:
        parts.append(tr("{0} while you paint", _what_is_less(scale)))
    return ", ".join(parts)


def _what_is_less(scale: float) -> str:
    if scale == 1.0:
        return tr("fewer steps")
    return tr("half size") if scale == 0.5 else tr("{0} % of the size", round(100 * scale))


def snapped_strength(strength: float, steps: int) -> int:
    """The number of steps, 1 to `steps`, that comes closest to `strength` 0 to 1."""
    return min(max(1, int(strength * steps + 0.5)), max(1, steps))

"""What can be asked of a selection, each mode in one row, and which mode a look at the canvas suggests."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Mode(Enum):
    """What happens to what is selected."""

    FILL = "fill"
    REFINE = "refine"
    EXPAND = "expand"
    ADD = "add"
    REMOVE = "remove"
    REPLACE_BACKGROUND = "replace_background"
    VARIATION = "variation"


class Prefill(Enum):
    """What stands in the selection before the model paints; the strength says how much of that may change."""

    KEEP = "keep"
    """What is there already."""
    SURROUNDINGS = "surroundings"
    """The colours around it, blurred into it."""
    INPAINT = "inpaint"
    """Lines and colours around it, continued into it."""
    NEUTRAL = "neutral"
    """One colour: the mean of all that is kept."""


class Blend(Enum):
    """How the new meets the old at the edge of a selection. Outside it nothing changes either way."""

    SOFT = "soft"
    """Just inside the edge the new goes over into what was there."""
    EXACT = "exact"
    """All that is selected is new, up to its edge."""


@dataclass(frozen=True)
class Meaning:
    """A row of the table. `strength`: the default, 0 to 1. `margin`: how much of the surroundings the model
    is shown, in sides of the selection."""

    label: str
    prefill: Prefill
    strength: float
    margin: float
    needs_selection: bool = False
    takes_prompt: bool = True


MEANINGS = {
    Mode.FILL: Meaning("Fill", Prefill.SURROUNDINGS, 1.0, 0.25),
    Mode.REFINE: Meaning("Refine", Prefill.KEEP, 0.4, 0.25),
    Mode.EXPAND: Meaning("Expand", Prefill.INPAINT, 0.7, 0.5, needs_selection=True),
    Mode.ADD: Meaning("Add", Prefill.KEEP, 0.9, 0.5),
    # What is to go must not be asked for again: the prompt is often still that of the job before.
    Mode.REMOVE: Meaning(
        "Remove", Prefill.INPAINT, 0.6, 0.5, needs_selection=True, takes_prompt=False
    ),
    # The selection is the background; a blur would smear the subject's colours into it.
    Mode.REPLACE_BACKGROUND: Meaning(
        "Replace background", Prefill.NEUTRAL, 1.0, 0.25, needs_selection=True
    ),
    Mode.VARIATION: Meaning("Variation", Prefill.KEEP, 0.6, 0.25),
}


class Situation(Enum):
    """What selection and canvas look like; a mode chosen by hand lasts while this stays the same."""

    BLANK = "blank"
    """Nothing is painted yet."""
    WHOLE = "whole"
    """Something is painted, nothing is selected."""
    INSIDE = "inside"
    """What is selected is painted."""
    BEYOND = "beyond"
    """The selection reaches past what is painted, or past the canvas."""


REACH = 0.1
"""Of a selection at least this share must be unpainted: a hand that slips over the edge means no expanding."""

_SUGGESTED = {
    Situation.BLANK: Mode.FILL,
    Situation.WHOLE: Mode.REFINE,
    Situation.INSIDE: Mode.FILL,
    Situation.BEYOND: Mode.EXPAND,
}


def situation(has_selection: bool, is_blank: bool, unpainted: float) -> Situation:
    """`unpainted`: share of the selection that is transparent or off the canvas, 0 to 1."""
    if is_blank:
        return Situation.BLANK
    if not has_selection:
        return Situation.WHOLE
    return Situation.BEYOND if unpainted >= REACH else Situation.INSIDE


def default_strength(found: Situation) -> float:
    """Where the slider stands until the painter moves it."""
    return MEANINGS[_SUGGESTED[found]].strength


def choose_mode(found: Situation, strength: float) -> Mode:
    """The mode to suggest. Over paint the strength decides: at 1 nothing is kept, so it is a fill."""
    if found in (Situation.BLANK, Situation.BEYOND):
        return _SUGGESTED[found]
    return implied_mode(strength)


def implied_mode(strength: float) -> Mode:
    """What a request that names no mode means."""
    return Mode.FILL if strength >= 1.0 else Mode.REFINE

"""What every field of a message is held against: sentences for what does not fit."""

from __future__ import annotations

import math


class MessageError(ValueError):
    """The JSON is not a message of this protocol; the text is a sentence that says why."""


def check_text(name: str, text: str, most: int) -> None:
    """At most so many characters, all of them valid text."""
    if len(text) > most:
        raise MessageError(
            f"The {name} has {len(text):,} characters; shorten it to {most:,} at most."
        )
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise MessageError(f"The {name} has characters that are not valid text.") from error


def check_name(name: str, text: str) -> None:
    """Ids become file names in the store: letters, digits, `-` and `_` only."""
    plain = text.replace("-", "").replace("_", "")
    if not (0 < len(text) <= 64 and plain.isascii() and plain.isalnum()):
        raise MessageError(f"The {name} must be 1 to 64 letters, digits, '-' or '_'.")


def check_range(name: str, value: float, least: float, most: float) -> None:
    """A finite number from `least` to `most`."""
    if not (math.isfinite(value) and least <= value <= most):
        raise MessageError(f"The {name} must be between {least:g} and {most:g}.")


def check_span(name: str, start: float, end: float) -> None:
    """The part of the steps in which something is heard: both 0 to 1, in this order."""
    check_range(f"start of a {name}", start, 0.0, 1.0)
    check_range(f"end of a {name}", end, 0.0, 1.0)
    if start > end:
        raise MessageError(f"A {name} must not start after its end.")

"""Numbers inside an option's text, as in `depth:strength=0.8`."""

from __future__ import annotations

import argparse


def read_number(text: str) -> float:
    """Raises argparse.ArgumentTypeError."""
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no number such as 0.6") from None

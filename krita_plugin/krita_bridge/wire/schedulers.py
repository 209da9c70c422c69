"""The schedulers by the names that painters know."""

from __future__ import annotations

from functools import lru_cache
from typing import Mapping, Optional

LABELS: Mapping[str, str] = {
    "euler": "Euler",
    "euler_karras": "Euler Karras",
    "euler_a": "Euler a",
    "heun": "Heun",
    "heun_karras": "Heun Karras",
    "lms": "LMS",
    "lms_karras": "LMS Karras",
    "dpmpp_2m": "DPM++ 2M",
    "dpmpp_2m_karras": "DPM++ 2M Karras",
    "dpmpp_2m_sde": "DPM++ 2M SDE",
    "dpmpp_2m_sde_karras": "DPM++ 2M SDE Karras",
    "dpmpp_sde": "DPM++ SDE",
    "dpmpp_sde_karras": "DPM++ SDE Karras",
    "unipc": "UniPC",
    "ddim": "DDIM",
    "ddpm": "DDPM",
    "lcm": "LCM",
}
"""By the name that facts and presets keep: what A1111's web UI calls it."""


@lru_cache(maxsize=64)
def identify(text: str) -> Optional[str]:
    """The name of what `text` means, however it is spelled: "DPM++ 2M Karras", "dpmpp 2m karras", "k_euler"."""
    return _BY_SPELLING.get(_spelled(text))


def _spelled(text: str) -> str:
    folded = text.casefold()
    folded = folded[2:] if folded.startswith("k_") else folded
    folded = folded.replace("++", "pp").replace("ancestral", "a")
    return "".join(letter for letter in folded if letter.isalnum())


_BY_SPELLING = {_spelled(name): name for name in LABELS}

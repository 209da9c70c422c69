"""The named colours of the painter, in sRGB, and what light does to them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

Rgb = tuple[int, int, int]

NAMED: dict[str, Rgb] = {
    "red": (208, 38, 38),
    "orange": (242, 138, 28),
    "yellow": (248, 218, 48),
    "green": (58, 152, 58),
    "teal": (28, 152, 152),
    "blue": (42, 88, 205),
    "purple": (122, 56, 165),
    "pink": (242, 148, 182),
    "brown": (122, 76, 42),
    "white": (246, 246, 242),
    "grey": (136, 136, 138),
    "black": (28, 28, 34),
}

SYNONYMS: dict[str, tuple[str, ...]] = {
    "grey": ("gray",),
    "purple": ("violet",),
    "teal": ("turquoise", "cyan"),
}


@dataclass(frozen=True)
class Paint:
    """A colour with the words a caption may use for it. ``words`` is empty when nobody would name it."""

    rgb: Rgb
    words: str = ""


def mix(a: Rgb, b: Rgb, share_of_b: float) -> Rgb:
    """Linear mix in sRGB values, rounded to 8 bits."""
    return (
        round(a[0] + (b[0] - a[0]) * share_of_b),
        round(a[1] + (b[1] - a[1]) * share_of_b),
        round(a[2] + (b[2] - a[2]) * share_of_b),
    )


def shade(rgb: Rgb, factor: float) -> Rgb:
    """Darker below 1 (towards black), lighter above 1 (towards white); 1 changes nothing."""
    if factor <= 1:
        return mix((0, 0, 0), rgb, factor)
    return mix(rgb, (255, 255, 255), min(1.0, factor - 1))


def _jitter(rng: np.random.Generator, rgb: Rgb, amount: int = 10) -> Rgb:
    r, g, b = (int(np.clip(c + rng.integers(-amount, amount + 1), 0, 255)) for c in rgb)
    return (r, g, b)


def pick(rng: np.random.Generator, among: tuple[str, ...] | None = None) -> Paint:
    """A named colour, slightly varied; one in ten is a light or dark shade and named so."""
    name = str(rng.choice(among if among else tuple(NAMED)))
    rgb = NAMED[name]
    words = name
    if name in SYNONYMS and rng.random() < 0.25:
        words = str(rng.choice(SYNONYMS[name]))
    if name not in ("white", "black") and rng.random() < 0.1:
        if rng.random() < 0.5:
            rgb, words = shade(rgb, 1.45), f"light {words}"
        else:
            rgb, words = shade(rgb, 0.6), f"dark {words}"
    return Paint(_jitter(rng, rgb), words)

"""How a painter would ask for a scene: from two words to a whole sentence."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np

FILLERS = (
    "beautiful", "nice", "small", "lovely", "simple", "detailed", "bright", "soft", "pretty",
    "old", "quiet", "calm", "big", "little", "happy", "good",
)  # fmt: skip
OPENINGS = (
    "a painting of", "a picture of", "painting of",
    "a photo of", "an illustration of", "an image of", "there is", "paint",
)  # fmt: skip
ENDINGS = (
    "masterpiece", "best quality", "highly detailed", "digital art", "concept art", "in the style "
    "of an old master", "on canvas", "wide view", "in the distance", "for my friend", "please",
)  # fmt: skip


@dataclass(frozen=True)
class Mention:
    """One thing of the scene in words. ``place`` is "left", "right" or empty; it may be unsaid."""

    noun: str
    colour: str = ""
    place: str = ""
    count: int = 1

    def bare(self) -> str:
        """Without an article. ``noun`` is a plural where ``count`` is above 1, and that is then said."""
        number = f"{NUMBERS[self.count]} " if self.count > 1 else ""
        return f"{number}{self.colour} {self.noun}".replace("  ", " ").strip()

    def phrase(self) -> str:
        """With its article: "a red boat", "an apple", "blue water"."""
        text = self.bare()
        if self.noun in UNCOUNTED or (self.noun.endswith("s") and self.noun != "grass"):
            return text
        if self.noun in ("sun", "moon") and not self.colour:
            return f"the {text}"
        return f"{'an' if text[0] in 'aeiou' else 'a'} {text}"


NUMBERS = ("no", "one", "two", "three")
UNCOUNTED = ("water", "ground", "grass", "sand", "snow")
JOINTS = {"sky": "under", "table": "on", "background": "on", "wall": "in front of"}


@dataclass(frozen=True)
class Scene:
    """What can be said of a painting. ``things``: nearest or largest first; may be empty."""

    things: tuple[Mention, ...]
    setting: tuple[Mention, ...]
    time: str = ""
    medium: str = ""


def _chance(rng: np.random.Generator, p: float) -> bool:
    return bool(rng.random() < p)


def _place(rng: np.random.Generator, thing: Mention, likely: float = 0.5) -> str:
    if not thing.place or not _chance(rng, likely):
        return ""
    side = thing.place
    return str(rng.choice([f"on the {side}", f"on the {side} side", f"at the {side}"]))


def _joined(setting: Mention) -> str:
    return f"{JOINTS.get(setting.noun, 'on')} {setting.phrase()}"


def _only_the_thing(rng: np.random.Generator, scene: Scene) -> str:
    thing = scene.things[0]
    text = str(rng.choice([thing.phrase(), thing.phrase(), thing.bare(), f"the {thing.bare()}"]))
    return f"{text} {_place(rng, thing, 0.35)}".strip()


def _thing_and_setting(rng: np.random.Generator, scene: Scene) -> str:
    text = _only_the_thing(rng, scene)
    if scene.setting:
        setting = scene.setting[int(rng.integers(len(scene.setting)))]
        joint = f"{_joined(setting)}" if _chance(rng, 0.75) else f", {setting.phrase()}"
        text = f"{text} {joint}".replace(" ,", ",")
    return text


def _everything(rng: np.random.Generator, scene: Scene) -> str:
    shown = scene.things[: int(rng.integers(1, 4))]
    parts = [f"{t.phrase()} {_place(rng, t)}".strip() for t in shown]
    sides = {thing.place for thing in shown}
    if len(shown) == 2 and sides == {"left", "right"} and _chance(rng, 0.4):
        relation = f"{'to the ' if _chance(rng, 0.5) else ''}{shown[0].place} of"
        parts = [f"{shown[0].phrase()} {relation} {shown[1].phrase()}"]
    text = ", ".join(parts[:-1]) + (" and " if len(parts) > 1 else "") + parts[-1]
    settings = [s for s in scene.setting if _chance(rng, 0.75)]
    rng.shuffle(settings)
    if _chance(rng, 0.3) and settings:
        return ", ".join([s.phrase() for s in settings] + [text])
    return " ".join([text] + [_joined(s) for s in settings])


def _nothing_but_setting(rng: np.random.Generator, scene: Scene) -> str:
    names = [s.phrase() for s in scene.setting] or ["a landscape"]
    rng.shuffle(names)
    if _chance(rng, 0.3):
        names = names[:1]
    return str(rng.choice([" and ", ", ", " over "])).join(names)


MEDIA = {
    "watercolour": ("a watercolour of", "watercolour of", "watercolor painting of"),
    "oil": ("an oil painting of", "oil painting of", "oil on canvas of"),
    "line drawing": ("a line drawing of", "a drawing of", "a pencil sketch of"),
}
"""What a painting can be painted with, and how that is said. Plain flat colour is never said."""


def _in_medium(rng: np.random.Generator, medium: str, text: str) -> str:
    if _chance(rng, 0.25):
        return f"{text}, {medium}{' painting' if medium == 'oil' else ''}"
    return f"{rng.choice(MEDIA[medium])} {text}"


def describe(rng: np.random.Generator, scene: Scene) -> str:
    """One caption. Never empty: captions are dropped for guidance by the training, not here."""
    if not scene.things:
        text = _nothing_but_setting(rng, scene)
    else:
        kinds = (_only_the_thing, _thing_and_setting, _everything)
        text = kinds[int(rng.choice(3, p=[0.36, 0.28, 0.36]))](rng, scene)
    if scene.time and _chance(rng, 0.8):
        text = f"{text} {scene.time}"
    if scene.medium:
        text = _in_medium(rng, scene.medium, text)
    elif _chance(rng, 0.22):
        text = f"{rng.choice(OPENINGS)} {text}"
    if _chance(rng, 0.12):
        words = text.split(" ")
        words.insert(int(rng.integers(len(words) + 1)), str(rng.choice(FILLERS)))
        text = " ".join(words)
    if _chance(rng, 0.1):
        text = f"{text}, {rng.choice(ENDINGS)}"
    if _chance(rng, 0.08):
        letters = rng.integers(ord("a"), ord("z") + 1, int(rng.integers(3, 9)))
        text = f"{text} {''.join(map(chr, letters))}"
    return text


def mirrored(caption: str) -> str:
    """The caption of the picture flipped left to right."""
    return re.sub(
        r"\b(left|right)\b", lambda m: "right" if m.group() == "left" else "left", caption
    )

"""The prompt language: what a painter types, read as weighted stretches of text and the weights it names.

    (red:1.3) (red) [red]    weighs 1.3, 1.1 or 1/1.1; nested weights multiply
    {oak|elm|}               one of them, chosen by the seed
    <lora:name:0.8>          a LoRA with its strength, 1 when none is given
    <hypernet:name:0.8>      a hypernetwork likewise
    # words                  a comment, to the end of the line
    \\(                       the character itself; so too for ) [ ] { } | < > : # and the backslash

The brackets mean what they mean in A1111's web UI, whose prompts painters share. Reading never fails: whatever is
not well formed is text. No torch here, and no recursion: ten thousand brackets are read like ten.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from krita_plugin.krita_bridge.wire.messages import PLACE

STEP = 1.1
"""The weight of a pair of round brackets; one of square brackets divides by it."""

MAX_WEIGHT = 10.0
"""Nested brackets stop here."""

_COMMENT = re.compile(r"(?<!\S)#(?=[\s#]|$).*$", re.MULTILINE)
_BRACES = re.compile(r"\\.|[{}|]|[^\\{}|]+|\\", re.DOTALL)
_BRACKETS = re.compile(r"\\.|[()\[\]]|[^\\()\[\]]+|\\", re.DOTALL)
_USE = re.compile(
    r"(?<!\\)<(lora|hypernet):([^:<>\n]{1,200})(?::(-?(?:\d{1,2}(?:\.\d{0,6})?|\.\d{1,6})))?>"
)
_WEIGHT = re.compile(r":\s*(\d{1,2}(?:\.\d{0,6})?|\.\d{1,6})\s*\Z")
_ESCAPE = re.compile(r"\\([()\[\]{}|<>:#\\])")
_OPENING = {")": "(", "]": "["}


@dataclass(frozen=True)
class Span:
    """A stretch of text, and how much it counts: 1 as it is, 0 not at all."""

    text: str
    weight: float = 1.0


@dataclass(frozen=True)
class Use:
    """A LoRA or hypernetwork that a prompt names: the file's name without its ending, and the strength."""

    name: str
    strength: float


@dataclass(frozen=True)
class Prompt:
    """A prompt as it was read.

    `text` is what is left for a given seed, in the preset's template, with weights, LoRAs and hypernetworks still written out.
    `spans` is the text that the model is given; neighbours have different weights.
    """

    text: str
    spans: tuple[Span, ...] = ()
    loras: tuple[Use, ...] = ()
    hypernetworks: tuple[Use, ...] = ()


def plain(text: str) -> Prompt:
    """`text` as it stands: no bracket means anything."""
    return Prompt(text, (Span(text),) if text else ())


@lru_cache(maxsize=64)
def read(typed: str, seed: int, template: str = PLACE) -> Prompt:
    """What was typed, for one seed, put into a preset's template. Kept: live painting reads the same again and again."""
    own = _COMMENT.sub("", typed).strip()
    text = _choose(template.replace(PLACE, own), seed).strip()
    loras, hypernetworks = (_uses(text, kind) for kind in ("lora", "hypernet"))
    return Prompt(text, tuple(_spans(_USE.sub("", text))), loras, hypernetworks)


def _choose(text: str, seed: int) -> str:
    """`text` with one alternative of each {...|...}; which, depends on the seed and on how many groups open before."""
    groups: list[list[str]] = [[""]]
    numbers = [0]
    opened = 0
    for token in _BRACES.findall(text):
        if token == "{":
            groups.append([""])
            numbers.append(opened)
            opened += 1
        elif token == "|" and len(groups) > 1:
            groups[-1].append("")
        elif token == "}" and len(groups) > 1:
            options, number = groups.pop(), numbers.pop()
            chosen = options[_draw(seed, number) % len(options)]
            groups[-1][-1] += chosen if len(options) > 1 else f"{{{chosen}}}"
        else:
            groups[-1][-1] += token
    return "{".join("|".join(options) for options in groups)


def _draw(seed: int, number: int) -> int:
    """A number that is the same on every machine and in every version of Python."""
    digest = hashlib.sha256(f"{seed}/{number}".encode()).digest()
    return int.from_bytes(digest[:8], "little")


def _uses(text: str, kind: str) -> tuple[Use, ...]:
    """Each of that kind once, in order: the same one named twice counts twice."""
    total: dict[str, float] = {}
    for found, name, strength in _USE.findall(text):
        if found == kind:
            total[name.strip()] = total.get(name.strip(), 0.0) + float(strength or 1)
    return tuple(Use(name, round(strength, 6)) for name, strength in total.items())


@dataclass
class _Piece:
    text: str
    weight: float = 1.0
    closed: bool = False
    """Within brackets that are closed: a number at its end is no weight of the brackets around them."""


def _spans(text: str) -> Iterator[Span]:
    """Neighbours of one weight are joined, so that weights of 1 leave the text as if nobody had weighed it."""
    joined: list[tuple[list[str], float]] = []
    for piece in _weigh(text):
        weight = min(piece.weight, MAX_WEIGHT)
        if joined and (weight == joined[-1][1] or not piece.text.strip()):
            joined[-1][0].append(piece.text)
        elif piece.text.strip():
            joined.append(([piece.text], weight))
    return (Span(_ESCAPE.sub(r"\1", "".join(texts)), weight) for texts, weight in joined)


def _weigh(text: str) -> list[_Piece]:
    """Brackets that pair up become weights; those that do not stay where they are, as text."""
    pieces: list[_Piece] = []
    opened: list[tuple[str, int]] = []
    waiting = {"(": 0, "[": 0}
    for token in _BRACKETS.findall(text):
        if token in waiting:
            opened.append((token, len(pieces)))
            waiting[token] += 1
            pieces.append(_Piece(token))
        elif waiting.get(_OPENING.get(token, "")):
            kind, begin = "", 0
            while kind != _OPENING[token]:
                kind, begin = opened.pop()
                waiting[kind] -= 1
            _close(pieces, kind, begin)
        else:
            pieces.append(_Piece(token))
    return pieces


def _close(pieces: list[_Piece], kind: str, begin: int) -> None:
    """Weigh what follows the bracket at `begin`, which is taken out, as is the number at the end."""
    weight = 1 / STEP if kind == "[" else STEP
    last = pieces[-1]
    number = _WEIGHT.search(last.text) if kind == "(" and not last.closed else None
    if number is not None:
        weight = float(number[1])
        last.text = last.text[: number.start()]
    del pieces[begin]
    for piece in pieces[begin:]:
        piece.weight *= weight
        piece.closed = True

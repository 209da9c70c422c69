"""A byte-pair vocabulary in CLIP's own file format, small enough to train a text encoder on.

Byte-pair encoding after Sennrich et al. 2016 in CLIP's byte-level form. It is trained on the words
of the painter's captions until each of them is a single token; every other text falls back to
pieces and at last to bytes, so nothing is ever refused.
"""

from __future__ import annotations

import json
from collections import Counter
from itertools import pairwise
from pathlib import Path

from tokenizers.pre_tokenizers import ByteLevel
from transformers import CLIPTokenizer

from bridge.models.training import captions, colours, scenes, things

MAX_TOKENS = 77
START, END = "<|startoftext|>", "<|endoftext|>"


def caption_words() -> list[str]:
    """Every word a caption can contain (random letters aside), and some that painters use."""
    nouns = [t.noun for t in things.ALL] + [t.plural for t in things.ALL]
    phrases = [
        *nouns, *colours.NAMED, *(s for names in colours.SYNONYMS.values() for s in names),
        *captions.FILLERS, *captions.OPENINGS, *captions.NUMBERS, *captions.MEDIA,
        *(opening for openings in captions.MEDIA.values() for opening in openings),
        *captions.ENDINGS, *scenes.SKIES, *scenes.GROUNDS,
        *captions.JOINTS, *captions.JOINTS.values(), "a an the and over on of to in with left right "
        "side light dark water field hill lake sea landscape clouds mountains one two three by at "
        "no not near behind dawn dusk day morning evening midday sunrise moonlight beach meadow",
    ]  # fmt: skip
    return sorted({word for phrase in phrases for word in phrase.split()})


def _merges(words: list[str]) -> list[tuple[str, str]]:
    pieces = {word: [*word[:-1], word[-1] + "</w>"] for word in words}
    merges: list[tuple[str, str]] = []
    while True:
        pairs = Counter(pair for p in pieces.values() for pair in pairwise(p))
        if not pairs:
            return merges
        best = min(pairs, key=lambda pair: (-pairs[pair], pair))
        merges.append(best)
        pieces = {word: _merged(p, best) for word, p in pieces.items()}


def _merged(pieces: list[str], pair: tuple[str, str]) -> list[str]:
    out: list[str] = []
    for piece in pieces:
        if out and (out[-1], piece) == pair:
            out[-1] += piece
        else:
            out.append(piece)
    return out


def write_tokenizer(folder: Path) -> None:
    """Writes vocab.json, merges.txt and the configuration of a ``CLIPTokenizer``."""
    folder.mkdir(parents=True, exist_ok=True)
    merges = _merges(caption_words())
    symbols = sorted(ByteLevel.alphabet())
    tokens = [*symbols, *(s + "</w>" for s in symbols)]
    tokens += list(dict.fromkeys(a + b for a, b in merges))
    tokens += [START, END]
    (folder / "vocab.json").write_text(
        json.dumps({token: i for i, token in enumerate(tokens)}, ensure_ascii=False) + "\n"
    )
    lines = ["#version: 0.2", *(f"{a} {b}" for a, b in merges)]
    (folder / "merges.txt").write_text("\n".join(lines) + "\n")
    special = {"bos_token": START, "eos_token": END, "unk_token": END, "pad_token": END}
    config = {"tokenizer_class": "CLIPTokenizer", "model_max_length": MAX_TOKENS, **special}
    (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=2) + "\n")
    (folder / "special_tokens_map.json").write_text(json.dumps(special, indent=2) + "\n")


def load_tokenizer(folder: Path) -> CLIPTokenizer:
    return CLIPTokenizer.from_pretrained(str(folder))

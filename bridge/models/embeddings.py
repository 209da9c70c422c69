"""Textual inversions (Gal et al., An Image is Worth One Word, 2022): words that a file has the vectors of.

The layouts in use: one tensor n x D under any name (A1111 says `emb_params`, diffusers the token), for a model of
one text encoder; `clip_l` and `clip_g` for SDXL. A file for another kind of model is left alone: its name is then
a word like any other.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import torch
from safetensors.torch import load_file

from bridge.errors import BridgeError
from bridge.models import weights
from bridge.models.library import Library

_BOTH = ("clip_l", "clip_g")
_MOST_VECTORS = 75

log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Embedding:
    """`name` as the file is called; `vectors` n x D float, one tensor for each text encoder of the model."""

    name: str
    path: Path
    vectors: tuple[torch.Tensor, ...]


class Embeddings:
    """The textual inversions of a folder that fit a model whose text encoders are `widths` wide."""

    def __init__(self, library: Library, widths: Sequence[int]) -> None:
        self._library = library
        self._widths = tuple(widths)
        self._changed: int | None = None
        self._pattern: re.Pattern[str] | None = None
        self._read = lru_cache(256)(self._read_file)
        self.refresh()

    def refresh(self) -> bool:
        """Look at the folder again; returns whether files came or went since the last time."""
        try:
            changed = self._library.folder.stat().st_mtime_ns
        except OSError:
            changed = 0
        if changed == self._changed:
            return False
        self._changed = changed
        self._read.cache_clear()
        names = [re.escape(name) for name in sorted(self._library.files(), key=len, reverse=True)]
        any_name = "|".join(names)
        self._pattern = (
            re.compile(rf"<({any_name})>|(?<![\w-])({any_name})(?![\w-])", re.IGNORECASE)
            if names
            else None
        )
        return True

    def split(self, text: str) -> Iterator[str | Embedding]:
        """`text` in order: plain words, and in between the embeddings that it names."""
        plain = 0
        for match in self._pattern.finditer(text) if self._pattern is not None else ():
            found = self._read((match[1] or match[2]).casefold())
            if found is not None:
                yield text[plain : match.start()]
                yield found
                plain = match.end()
        yield text[plain:]

    def _read_file(self, name: str) -> Embedding | None:
        path = self._library.find(name)
        try:
            return read_embedding(path, self._widths)
        except BridgeError as error:
            log.warning("%s", error)
            return None


def read_embedding(path: Path, widths: Sequence[int]) -> Embedding | None:
    """The embedding in a file; None when it is for text encoders of other widths. Raises BridgeError."""
    weights.read_header(path)
    tensors = load_file(path)
    keys = _BOTH if set(_BOTH) <= tensors.keys() else tuple(tensors)
    named = (tensors[key] for key in keys)
    vectors = tuple(each[None] if each.ndim == 1 else each for each in named)
    if any(not torch.isfinite(each).all() for each in vectors):
        raise weights.corrupt(path, "has NaN or infinite weights")
    if [each.shape[1:] for each in vectors] != [(width,) for width in widths]:
        return None
    if any(not 1 <= len(each) <= _MOST_VECTORS for each in vectors):
        raise weights.corrupt(path, f"has more than {_MOST_VECTORS} vectors, or none")
    return Embedding(path.stem, path, vectors)

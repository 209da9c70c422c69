"""Prompts as the UNet's conditioning, each prompt encoded once."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import torch

from bridge.models.families import TextEncoding
from bridge.models.loaded import LoadedModel, TextEncoder

_KEPT = 64
"""Encoded prompts kept in memory: about 0.6 MB each for SDXL in half precision."""


@dataclass(frozen=True, eq=False)
class Conditioning:
    """`tokens`: 1 x T x D, T a multiple of the encoder's window of 77. `pooled`: 1 x P for SDXL."""

    tokens: torch.Tensor
    pooled: torch.Tensor | None = None


class PromptEncoder:
    """Encodes prompts for one model; the same prompt again costs no encoder call.

    A prompt longer than the encoder's window is read in windows of 75 tokens, whose states stand
    one after the other: nothing of it is dropped.
    """

    def __init__(self, model: LoadedModel) -> None:
        self._model = model
        self.encode = lru_cache(_KEPT)(self._encode)
        """`encode(prompt)`: a prompt alone."""
        self.pair = lru_cache(_KEPT)(self._pair)
        """`pair(positive, negative)`: both with the same number of windows, to share a batch."""

    def _pair(self, positive: str, negative: str) -> tuple[Conditioning, Conditioning]:
        windows = max(self._windows(positive), self._windows(negative))
        first = self.encode(positive, windows)
        if not negative and self._model.family.text is TextEncoding.TWO_CLIPS_PENULTIMATE:
            # SDXL was trained with zeros, not with an encoded empty text, where it had no prompt.
            return first, _zeros_like(first)
        return first, self.encode(negative, windows)

    def _windows(self, prompt: str) -> int:
        return max(
            -(-len(_ids(text, prompt)) // (_window(text) - 2)) or 1 for text in self._model.text
        )

    def _encode(self, prompt: str, windows: int = 0) -> Conditioning:
        windows = windows or self._windows(prompt)
        if self._model.family.text is TextEncoding.CLIP_LAST:
            (text,) = self._model.text
            batch = self._batch(text, prompt, windows)
            return Conditioning(self._side_by_side(text.model(batch).last_hidden_state))
        states, pooled = [], None
        for text in self._model.text:
            output = text.model(self._batch(text, prompt, windows), output_hidden_states=True)
            states.append(self._side_by_side(output.hidden_states[-2]))
            pooled = output[0][:1]
        assert pooled is not None  # a family of two encoders has two
        return Conditioning(torch.cat(states, dim=-1), pooled.to(self._model.dtype))

    def _batch(self, text: TextEncoder, prompt: str, windows: int) -> torch.Tensor:
        """Token ids, windows x 77: begin, up to 75 tokens, end, padding."""
        ids, room = _ids(text, prompt), _window(text) - 2
        tokenizer = text.tokenizer
        rows = []
        for start in range(0, windows * room, room):
            row = [tokenizer.bos_token_id, *ids[start : start + room], tokenizer.eos_token_id]
            rows.append(row + [tokenizer.pad_token_id] * (room + 2 - len(row)))
        return torch.tensor(rows, device=self._model.device)

    def _side_by_side(self, states: torch.Tensor) -> torch.Tensor:
        return states.reshape(1, -1, states.shape[-1]).to(self._model.dtype)


def _ids(text: TextEncoder, prompt: str) -> list[int]:
    ids: list[int] = text.tokenizer(prompt, add_special_tokens=False, verbose=False).input_ids
    return ids


def _window(text: TextEncoder) -> int:
    return int(text.model.config.max_position_embeddings)


def _zeros_like(conditioning: Conditioning) -> Conditioning:
    pooled = conditioning.pooled
    zeros = None if pooled is None else torch.zeros_like(pooled)
    return Conditioning(torch.zeros_like(conditioning.tokens), zeros)

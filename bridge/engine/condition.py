"""Prompts as the UNet's conditioning, each prompt encoded once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Protocol

import torch

from bridge.engine.prompt import Prompt, Span
from bridge.errors import BridgeError, Code
from bridge.models.embeddings import Embedding, Embeddings
from bridge.models.families import TextEncoding
from bridge.models.loaded import LoadedModel, TextEncoder

_KEPT = 64
"""Encoded prompts kept in memory: about 0.6 MB each for SDXL in half precision."""


@dataclass(frozen=True, eq=False)
class Pictures:
    """Reference images beside a prompt (bridge/engine/reference.py). `tokens`: 1 x R x D of each. `look(index, steps)`
    is to be called before the UNet is evaluated at the step `index` of `steps`: it looks at those that are heard then."""

    tokens: tuple[torch.Tensor, ...]
    look: Callable[[int, int], None]


@dataclass(frozen=True, eq=False)
class Conditioning:
    """`tokens`: 1 x T x D, T a multiple of the encoder's window of 77. `pooled`: 1 x P for SDXL."""

    tokens: torch.Tensor
    pooled: torch.Tensor | None = None
    pictures: Pictures | None = None


class Encoder(Protocol):
    """What makes conditioning of prompts: `PromptEncoder`, and what adds to its."""

    def encode(self, prompt: Prompt, clip_skip: int = 1) -> Conditioning: ...

    def pair(
        self, positive: Prompt, negative: Prompt, clip_skip: int = 1
    ) -> tuple[Conditioning, Conditioning]: ...


@dataclass(frozen=True, eq=False)
class _Token:
    """`vector`, of a textual inversion, stands in for the embedding of `id`."""

    id: int
    weight: float = 1.0
    vector: torch.Tensor | None = None


_STAND_IN = 0
"""The token in whose place a vector is put: not the one that ends a prompt, which the encoder looks for."""


class PromptEncoder:
    """Encodes prompts for one model; the same prompt again costs no encoder call.

    A prompt longer than the encoder's window is read in windows of 75 tokens, whose states stand
    one after the other: nothing of it is dropped. Of a token with a weight, the state lies on the line from
    the state at its place in an empty prompt (weight 0) through its own (weight 1, which is exact).
    """

    def __init__(self, model: LoadedModel, words: Embeddings | None = None) -> None:
        """`words`: the textual inversions that a prompt may name."""
        self._model = model
        self._words = words
        self._encoded = lru_cache(_KEPT)(self._encode)
        self._paired = lru_cache(_KEPT)(self._pair)

    def encode(self, prompt: Prompt, clip_skip: int = 1) -> Conditioning:
        """A prompt alone. `clip_skip` as in `bridge/engine/request.py`; raises BridgeError when the encoder has
        fewer layers."""
        return self._encoded(prompt.spans, clip_skip, 0)

    def pair(
        self, positive: Prompt, negative: Prompt, clip_skip: int = 1
    ) -> tuple[Conditioning, Conditioning]:
        """Both with the same number of windows, to share a batch."""
        return self._paired(positive.spans, negative.spans, clip_skip)

    def embeddings(self, *prompts: Prompt) -> tuple[Embedding, ...]:
        """The textual inversions that are named in `prompts`, each once.

        Looks for new files, which `encode` and `pair` do not: once a job is enough.
        """
        if self._words is not None and self._words.refresh():
            self.forget()
        pieces = [
            piece for prompt in prompts for span in prompt.spans for piece in self._split(span.text)
        ]
        return tuple(dict.fromkeys(piece for piece in pieces if isinstance(piece, Embedding)))

    def forget(self) -> None:
        """The text encoders have changed."""
        self._encoded.cache_clear()
        self._paired.cache_clear()

    def _split(self, text: str) -> Iterator[str | Embedding]:
        return iter((text,)) if self._words is None else self._words.split(text)

    def _pair(
        self, positive: Sequence[Span], negative: Sequence[Span], clip_skip: int
    ) -> tuple[Conditioning, Conditioning]:
        windows = max(self._windows(positive), self._windows(negative))
        first = self._encoded(positive, clip_skip, windows)
        if not negative and self._model.family.text is TextEncoding.TWO_CLIPS_PENULTIMATE:
            # SDXL was trained with zeros, not with an encoded empty text, where it had no prompt.
            return first, _zeros_like(first)
        return first, self._encoded(negative, clip_skip, windows)

    def _windows(self, spans: Sequence[Span]) -> int:
        return max(len(self._rows(number, spans)) for number in range(len(self._model.text)))

    def _encode(self, spans: Sequence[Span], clip_skip: int, windows: int) -> Conditioning:
        windows = windows or self._windows(spans)
        encoders = range(len(self._model.text))
        encoded = [self._read(number, spans, clip_skip, windows) for number in encoders]
        tokens = torch.cat([states for states, _ in encoded], dim=-1).to(self._model.dtype)
        pooled = encoded[-1][1]
        return Conditioning(tokens, None if pooled is None else pooled.to(self._model.dtype))

    def _read(
        self, number: int, spans: Sequence[Span], clip_skip: int, windows: int
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """States 1 x (windows * 77) x D of encoder `number`, and the pooled state of the first window, if it has one."""
        text, device = self._model.text[number], self._model.device
        rows = self._rows(number, spans)
        rows += [_row([], text)] * (windows - len(rows))
        weights = torch.tensor([[token.weight for token in row] for row in rows])
        is_weighed = bool((weights != 1).any())
        if is_weighed:
            rows = [*rows, _row([], text)]
        ids = torch.tensor([[token.id for token in row] for row in rows], device=device)
        with _vectors_in_place(text.model, rows):
            states, pooled = _run(text.model, ids, clip_skip, self._model.family.text)
        if is_weighed:
            weights = weights.to(device, states.dtype)[..., None]
            states = torch.lerp(states[-1:], states[:-1], weights)
        return states.reshape(1, -1, states.shape[-1]), pooled

    def _rows(self, number: int, spans: Sequence[Span]) -> list[list[_Token]]:
        """Windows of 77 tokens for encoder `number`, one of padding for an empty prompt. A textual inversion is not
        cut in two."""
        text = self._model.text[number]
        room = _window(text) - 2
        windows: list[list[_Token]] = [[]]
        for group in self._groups(number, spans):
            if len(windows[-1]) + len(group) > room:
                windows.append([])
            windows[-1].extend(group)
        return [_row(window, text) for window in windows]

    def _groups(self, number: int, spans: Sequence[Span]) -> Iterator[list[_Token]]:
        """Tokens that stay together: one of the vocabulary, or all those of a textual inversion."""
        for span in spans:
            for piece in self._split(span.text):
                if isinstance(piece, Embedding):
                    yield [_Token(_STAND_IN, span.weight, v) for v in piece.vectors[number]]
                else:
                    ids = _ids(self._model.text[number], piece) if piece.strip() else []
                    yield from ([_Token(id_, span.weight)] for id_ in ids)


@contextmanager
def _vectors_in_place(model: Any, rows: Sequence[Sequence[_Token]]) -> Iterator[None]:
    """While it lasts, tokens with a vector are embedded as that vector; the model itself is not changed."""
    places = [
        (row, column, token.vector)
        for row, tokens in enumerate(rows)
        for column, token in enumerate(tokens)
        if token.vector is not None
    ]
    if not places:
        yield
        return
    in_rows, columns, vectors = zip(*places, strict=True)

    def put(module: object, given: object, embedded: torch.Tensor) -> torch.Tensor:
        changed = embedded.clone()
        changed[list(in_rows), list(columns)] = torch.stack(vectors).to(changed)
        return changed

    hook = model.get_input_embeddings().register_forward_hook(put)
    try:
        yield
    finally:
        hook.remove()


def _run(
    model: Any, ids: torch.Tensor, clip_skip: int, encoding: TextEncoding
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """The states that the family's UNet was trained with (N x 77 x D), of `clip_skip` - 1 layers before.

    Counting from the last layer skips that of a text encoder's own norm, so it is applied here.
    """
    if encoding is TextEncoding.CLIP_LAST and clip_skip == 1:
        return model(ids).last_hidden_state, None
    output = model(ids, output_hidden_states=True)
    back = clip_skip if encoding is TextEncoding.CLIP_LAST else clip_skip + 1
    if back >= len(output.hidden_states):
        raise _too_few_layers(len(output.hidden_states) - 1 - back + clip_skip)
    states = output.hidden_states[-back]
    if encoding is TextEncoding.CLIP_LAST:
        return model.final_layer_norm(states), None
    return states, output[0][:1]


def _row(tokens: Sequence[_Token], text: TextEncoder) -> list[_Token]:
    """Begin, up to 75 tokens, end, padding."""
    tokenizer = text.tokenizer
    row = [_Token(tokenizer.bos_token_id), *tokens, _Token(tokenizer.eos_token_id)]
    return row + [_Token(tokenizer.pad_token_id)] * (_window(text) - len(row))


def _ids(text: TextEncoder, words: str) -> list[int]:
    ids: list[int] = text.tokenizer(words, add_special_tokens=False, verbose=False).input_ids
    return ids


def _window(text: TextEncoder) -> int:
    return int(text.model.config.max_position_embeddings)


def _zeros_like(conditioning: Conditioning) -> Conditioning:
    pooled = conditioning.pooled
    zeros = None if pooled is None else torch.zeros_like(pooled)
    return Conditioning(torch.zeros_like(conditioning.tokens), zeros)


def _too_few_layers(most: int) -> BridgeError:
    return BridgeError(
        Code.BAD_INPUT,
        f"The model's text encoder is too small for this clip skip: {most} is the most.",
        "Set a smaller clip skip.",
    )

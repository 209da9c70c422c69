"""The measure of whether a word is heard, on denoisers that hear everything and nothing."""

from __future__ import annotations

import re
from collections.abc import Iterator
from types import SimpleNamespace

import pytest
import torch

from bridge.models.training import hearing
from bridge.models.training.networks import build_scheduler, build_vae
from bridge.models.training.obey import SHAPES


def _words(told: str, true: str) -> Iterator[tuple[str, str]]:
    return zip(told.split(), true.split(), strict=True)


class Denoiser:
    """Right up to one per wrong word: told the true captions, it counts the words that differ."""

    def __init__(self, hears: bool) -> None:
        self.hears = hears
        self.true: list[str] = []

    def __call__(self, given: torch.Tensor, times: torch.Tensor, context: list[str]) -> object:
        self.true = self.true or context
        off = [
            sum(a != b and a not in ("a", "an") for a, b in _words(told, true)) + 1.0
            for told, true in zip(context, self.true, strict=True)
        ]
        sample = torch.tensor(off if self.hears else [1.0] * len(off))
        return SimpleNamespace(sample=sample[:, None, None, None].expand(given[:, :4].shape))


@pytest.mark.parametrize(("hears", "low", "high"), [(True, 3.9, 4.1), (False, 0.99, 1.01)])
def test_a_wrong_word_costs_loss_only_where_it_is_heard(
    monkeypatch: pytest.MonkeyPatch, hears: bool, low: float, high: float
) -> None:
    monkeypatch.setattr(hearing, "tokenize", lambda tokenizer, texts: texts)
    scheduler = build_scheduler()
    monkeypatch.setattr(scheduler, "get_velocity", lambda latents, noise, times: 0 * latents)
    pipe = SimpleNamespace(
        vae=build_vae(),
        scheduler=scheduler,
        tokenizer=None,
        unet=Denoiser(hears),
        text_encoder=lambda texts: SimpleNamespace(last_hidden_state=texts),
    )
    figures = hearing.hearing(pipe, 6)
    assert len(figures) == 3
    assert all(low < figure.value < high for figure in figures)


def test_only_the_word_in_question_is_wrong() -> None:
    paintings = hearing._single_shapes(8)
    right, wrong = (hearing._captions(paintings, word) for word in ("", "shape"))
    shape = "|".join(SHAPES)
    for one, other in zip(right, wrong, strict=True):
        assert one != other
        assert re.sub(shape, "", one) == re.sub(shape, "", other)

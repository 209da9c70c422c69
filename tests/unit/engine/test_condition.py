from __future__ import annotations

import torch

from bridge.engine.condition import PromptEncoder
from tests.fake_models import fake_model, tiny_model


def encoder() -> tuple[PromptEncoder, object]:
    model = fake_model(lambda given, call: given)
    return PromptEncoder(model), model.text[0].model


def test_the_same_prompt_is_encoded_once() -> None:
    prompts, text = encoder()
    first = prompts.pair("a red circle", "blurry")
    calls = text.calls
    second = prompts.pair("a red circle", "blurry")
    assert text.calls == calls == 2
    assert first[0] is second[0] and first[1] is second[1]


def test_memory_for_prompts_is_bounded() -> None:
    prompts, text = encoder()
    for number in range(200):
        prompts.encode(str(number))
    prompts.encode("199")
    assert text.calls == 200
    prompts.encode("0")
    assert text.calls == 201


def test_nothing_of_a_long_prompt_is_dropped() -> None:
    prompts, _ = encoder()
    states = prompts.encode("a" * 74 + "z" + "b" * 10).tokens
    assert states.shape[1] == 2 * 77
    ids = (states[0, :, 0] * 100).round().int().tolist()
    assert ids[0] == ids[77] == 1
    assert ids[75] == 3 + ord("z") % 90
    assert ids[76] == 2
    assert ids[78:88] == [3 + ord("b") % 90] * 10
    assert ids[88:90] == [2, 0]


def test_both_prompts_get_the_same_length() -> None:
    prompts, _ = encoder()
    positive, negative = prompts.pair("short", "long " * 40)
    assert positive.tokens.shape == negative.tokens.shape


def test_sdxl_without_a_negative_prompt_gets_zeros() -> None:
    positive, negative = PromptEncoder(tiny_model("sdxl")).pair("a red circle", "")
    assert positive.pooled is not None and negative.pooled is not None
    assert positive.tokens.shape == negative.tokens.shape == (1, 77, 64)
    assert not negative.tokens.any() and not negative.pooled.any()
    assert torch.isfinite(positive.tokens).all() and positive.pooled.any()

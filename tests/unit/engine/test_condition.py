from __future__ import annotations

import copy
from dataclasses import replace
from functools import cache
from typing import Any

import diffusers
import pytest
import torch

from bridge.engine.condition import PromptEncoder
from bridge.engine.prompt import Prompt, plain, read
from bridge.errors import BridgeError, Code
from bridge.models.folder import EMBEDDED_FOLDER
from bridge.models.load import load
from bridge.models.loaded import LoadedModel
from bridge.presets import EmbeddedModel
from tests.fake_models import fake_model, tiny_folder, tiny_model


def encoder() -> tuple[PromptEncoder, object]:
    model = fake_model(lambda given, call: given)
    return PromptEncoder(model), model.text[0].model


def test_the_same_prompt_is_encoded_once() -> None:
    prompts, text = encoder()
    first = prompts.pair(plain("a red circle"), plain("blurry"))
    calls = text.calls
    second = prompts.pair(plain("a red circle"), plain("blurry"))
    assert text.calls == calls == 2
    assert first[0] is second[0] and first[1] is second[1]


def test_memory_for_prompts_is_bounded() -> None:
    prompts, text = encoder()
    for number in range(200):
        prompts.encode(plain(str(number)))
    prompts.encode(plain("199"))
    assert text.calls == 200
    prompts.encode(plain("0"))
    assert text.calls == 201


def test_nothing_of_a_long_prompt_is_dropped() -> None:
    prompts, _ = encoder()
    states = prompts.encode(plain("a" * 74 + "z" + "b" * 10)).tokens
    assert states.shape[1] == 2 * 77
    ids = (states[0, :, 0] * 100).round().int().tolist()
    assert ids[0] == ids[77] == 1
    assert ids[75] == 3 + ord("z") % 90
    assert ids[76] == 2
    assert ids[78:88] == [3 + ord("b") % 90] * 10
    assert ids[88:90] == [2, 0]


def test_both_prompts_get_the_same_length() -> None:
    prompts, _ = encoder()
    positive, negative = prompts.pair(plain("short"), plain("long " * 40))
    assert positive.tokens.shape == negative.tokens.shape


def test_sdxl_without_a_negative_prompt_gets_zeros() -> None:
    positive, negative = PromptEncoder(tiny_model("sdxl")).pair(plain("a red circle"), plain(""))
    assert positive.pooled is not None and negative.pooled is not None
    assert positive.tokens.shape == negative.tokens.shape == (1, 77, 64)
    assert not negative.tokens.any() and not negative.pooled.any()
    assert torch.isfinite(positive.tokens).all() and positive.pooled.any()


KINDS = pytest.mark.parametrize("kind", ["sd15", "sdxl", "embedded"])


def model_of(kind: str) -> LoadedModel:
    return embedded_model() if kind == "embedded" else tiny_model(kind)


@cache
def embedded_model() -> LoadedModel:
    return load(EmbeddedModel(), "cpu", torch.float32)


def encode(kind: str, prompt: Prompt, clip_skip: int = 1) -> torch.Tensor:
    with torch.inference_mode():
        return PromptEncoder(model_of(kind)).encode(prompt, clip_skip).tokens


def of_the_pipeline(kind: str, prompt: str) -> torch.Tensor:
    """What diffusers' own pipeline encodes the prompt as."""
    name = "StableDiffusionXLPipeline" if kind == "sdxl" else "StableDiffusionPipeline"
    folder = EMBEDDED_FOLDER if kind == "embedded" else tiny_folder(kind)
    made: Any = getattr(diffusers, name).from_pretrained(
        folder, safety_checker=None, dtype=torch.float32
    )
    with torch.inference_mode():
        tokens: torch.Tensor = made.encode_prompt(
            prompt=prompt,
            device="cpu",
            num_images_per_prompt=1,
            do_classifier_free_guidance=False,
        )[0]
    return tokens


@KINDS
@pytest.mark.parametrize("words", [0, 9, 75])
def test_a_prompt_without_weights_is_encoded_as_the_pipeline_does(kind: str, words: int) -> None:
    text = "x " * words
    assert torch.equal(encode(kind, read(text, 0)), of_the_pipeline(kind, text))


@KINDS
def test_weights_of_one_change_nothing(kind: str) -> None:
    weighed = encode(kind, read("a (red:1.0) ([circle]:1)", 0))
    assert not torch.equal(weighed, encode(kind, plain("a red circle")))  # [circle] is weighed
    assert torch.equal(encode(kind, read("a (red:1.0) (circle:1)", 0)), encode(kind, plain("a red circle")))  # fmt: skip


@KINDS
def test_a_weight_moves_its_own_tokens_away_from_an_empty_prompt(kind: str) -> None:
    # Each letter is a token in every one of these vocabularies: begin, x, then y and z, then the rest.
    plainly, empty = encode(kind, plain("x y z x")), encode(kind, plain(""))
    for weight in (0.0, 0.5, 1.5):
        weighed = encode(kind, read(f"x (y z:{weight}) x", 0))
        expected = empty[:, 2:4] + weight * (plainly[:, 2:4] - empty[:, 2:4])
        torch.testing.assert_close(weighed[:, 2:4], expected, rtol=0, atol=1e-5)
        torch.testing.assert_close(weighed[:, :2], plainly[:, :2], rtol=0, atol=1e-6)
        torch.testing.assert_close(weighed[:, 4:], plainly[:, 4:], rtol=0, atol=1e-6)


@KINDS
def test_a_weight_in_a_later_window_moves_only_that(kind: str) -> None:
    long = "x " * 75
    with_, without = encode(kind, read(f"{long} (y z:1.4)", 0)), encode(kind, plain(f"{long} y z"))
    assert with_.shape == without.shape == (1, 154, with_.shape[-1])
    torch.testing.assert_close(with_[:, :78], without[:, :78], rtol=0, atol=1e-6)
    assert not torch.allclose(with_[:, 78:80], without[:, 78:80], atol=1e-3)


@KINDS
def test_windows_are_read_each_for_itself(kind: str) -> None:
    both = encode(kind, plain("x " * 75 + "y " * 9))
    torch.testing.assert_close(both[:, :77], encode(kind, plain("x " * 75)), rtol=0, atol=1e-6)
    torch.testing.assert_close(both[:, 77:], encode(kind, plain("y " * 9)), rtol=0, atol=1e-6)


def test_clip_skip_1_is_the_plain_encoding() -> None:
    model = tiny_model("sd15").text[0].model
    ids = torch.tensor([[5, 6, 7]])
    with torch.inference_mode():
        output = model(ids, output_hidden_states=True)
        last = model.final_layer_norm(output.hidden_states[-1])
    assert torch.equal(last, output.last_hidden_state)


def deep_model(kind: str, layers: int) -> LoadedModel:
    """The tiny model with text encoders of more layers."""
    model = tiny_model(kind)
    text = []
    for encoder in model.text:
        torch.manual_seed(1)
        config = copy.deepcopy(encoder.model.config)
        config.num_hidden_layers = layers
        text.append(replace(encoder, model=type(encoder.model)(config).eval()))
    return replace(model, text=tuple(text))


@pytest.mark.parametrize("kind", ["sd15", "sdxl"])
def test_clip_skip_takes_the_states_of_an_earlier_layer(kind: str) -> None:
    model, prompt = deep_model(kind, 4), plain("a red circle")
    expected = []
    with torch.inference_mode():
        for text in model.text:
            ids = text.tokenizer(prompt.text, padding="max_length", return_tensors="pt").input_ids
            states = text.model(ids, output_hidden_states=True).hidden_states
            # SDXL takes the second last states anyway, and without the norm.
            earlier = text.model.final_layer_norm(states[-3]) if kind == "sd15" else states[-4]
            expected.append(earlier)
        found = PromptEncoder(model).encode(prompt, clip_skip=3).tokens
    assert torch.equal(found, torch.cat(expected, dim=-1))


@pytest.mark.parametrize(("kind", "most"), [("sd15", 4), ("sdxl", 3)])
def test_clip_skip_beyond_the_encoder_names_the_most(kind: str, most: int) -> None:
    encoder = PromptEncoder(deep_model(kind, 4))
    with torch.inference_mode():
        encoder.encode(plain("a"), most)
        with pytest.raises(BridgeError, match=f"{most} is the most") as caught:
            encoder.encode(plain("a"), most + 1)
    assert caught.value.code is Code.BAD_INPUT

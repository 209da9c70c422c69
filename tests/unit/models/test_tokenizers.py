"""CLIP's shared vocabulary against token ids known from the original."""

from __future__ import annotations

from pathlib import Path

import pytest
from transformers import CLIPTokenizer

from bridge.errors import BridgeError, Code
from bridge.models.tokenizers import (
    CLIP_VOCABULARY,
    byte_letters,
    clip_tokenizer,
    read_tokenizer,
)


@pytest.fixture(scope="module")
def tokenizer() -> CLIPTokenizer:
    return clip_tokenizer()


@pytest.mark.parametrize(
    ("text", "ids"),
    [
        (
            "a photograph of an astronaut riding a horse",
            [320, 8853, 539, 550, 18376, 6765, 320, 4558],
        ),
        ("a photo of a cat", [320, 1125, 539, 320, 2368]),
        ("A  CAT", [320, 2368]),
        ("!", [256]),
        ("", []),
    ],
)
def test_words_have_the_numbers_that_clip_was_trained_with(
    tokenizer: CLIPTokenizer, text: str, ids: list[int]
) -> None:
    assert tokenizer(text).input_ids == [49406, *ids, 49407]


def test_the_vocabulary_is_complete(tokenizer: CLIPTokenizer) -> None:
    assert len(tokenizer) == CLIP_VOCABULARY
    assert len(set(byte_letters())) == 256


@pytest.mark.parametrize(("pad", "number"), [("<|endoftext|>", 49407), ("!", 0)])
def test_prompts_are_filled_up_as_each_encoder_expects(pad: str, number: int) -> None:
    ids = clip_tokenizer(pad)("cat", padding="max_length").input_ids
    assert ids == [49406, 2368, 49407] + [number] * 74


def test_any_text_can_be_tokenized(tokenizer: CLIPTokenizer) -> None:
    ids = tokenizer("🎨 кот \x00 \u202e ﷽").input_ids
    assert all(0 <= number < CLIP_VOCABULARY for number in ids)


def test_a_folder_without_a_readable_tokenizer_is_corrupt(tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_text('{"version": 7}')
    with pytest.raises(BridgeError) as caught:
        read_tokenizer(tmp_path)
    assert caught.value.code is Code.MODEL_CORRUPT

"""The vocabulary: every caption word one token, every other text accepted."""

from __future__ import annotations

from pathlib import Path

import pytest

from bridge.models.training.painter import paint
from bridge.models.training.tokens import caption_words, load_tokenizer, write_tokenizer


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tokenizer")
    write_tokenizer(path)
    return path


def test_every_caption_word_is_one_token(folder: Path) -> None:
    tokenizer = load_tokenizer(folder)
    assert [word for word in caption_words() if len(tokenizer.tokenize(word)) != 1] == []


def test_the_words_of_real_captions_are_known() -> None:
    known = set(caption_words())
    unknown = [
        word
        for seed in range(150)
        for word in paint(seed, 32, 32).captions[0].replace(",", " ").split()
        if word not in known
    ]
    # One caption in twelve ends with random letters on purpose.
    assert len(unknown) < 30


@pytest.mark.parametrize(
    "text", ["", "a RED boat", "zxqw", "émile, 日本 🎨", "((red:1.2)) <lora>", "x" * 5000, "\0\n\t"]
)
def test_any_text_becomes_77_known_ids(folder: Path, text: str) -> None:
    tokenizer = load_tokenizer(folder)
    ids = tokenizer(text, padding="max_length", truncation=True, max_length=77).input_ids
    assert len(ids) == 77
    assert ids[0] == tokenizer.bos_token_id
    assert ids[-1] == tokenizer.eos_token_id
    assert all(0 <= i < len(tokenizer) for i in ids)


def test_case_makes_no_difference(folder: Path) -> None:
    tokenizer = load_tokenizer(folder)
    assert tokenizer("A Red BOAT").input_ids == tokenizer("a red boat").input_ids


def test_writing_twice_gives_the_same_files(folder: Path, tmp_path: Path) -> None:
    write_tokenizer(tmp_path)
    for file in folder.iterdir():
        assert (tmp_path / file.name).read_bytes() == file.read_bytes()

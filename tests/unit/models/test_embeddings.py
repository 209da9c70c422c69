from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch

from bridge.engine.condition import PromptEncoder
from bridge.engine.prompt import Prompt, plain, read
from bridge.errors import BridgeError, Code
from bridge.models.embeddings import Embedding, Embeddings, read_embedding
from bridge.models.library import Library
from tests.fake_models import tiny_model
from tests.tiny_loras import write
from tests.tiny_models import WIDTH

KINDS = pytest.mark.parametrize("kind", ["sd15", "sdxl"])


def widths(kind: str) -> list[int]:
    return [WIDTH] * len(tiny_model(kind).text)


def write_words(folder: Path, kind: str, name: str, ids: list[int]) -> Path:
    """A textual inversion whose vectors are those of the tokens `ids`: it must read as they do."""
    vectors = [
        text.model.get_input_embeddings().weight.detach()[ids].clone()
        for text in tiny_model(kind).text
    ]
    keys = ["clip_l", "clip_g"] if kind == "sdxl" else ["emb_params"]
    return write(folder / f"{name}.safetensors", dict(zip(keys, vectors, strict=True)))


def ids_of(kind: str, words: str) -> list[int]:
    tokenizer = tiny_model(kind).text[0].tokenizer
    ids: list[int] = tokenizer(words, add_special_tokens=False).input_ids
    return ids


def encode(kind: str, folder: Path, prompt: Prompt) -> torch.Tensor:
    words = Embeddings(Library(folder, "textual inversion"), widths(kind))
    with torch.inference_mode():
        return PromptEncoder(tiny_model(kind), words).encode(prompt).tokens


@KINDS
def test_a_word_with_the_vectors_of_others_reads_as_they_do(kind: str, tmp_path: Path) -> None:
    write_words(tmp_path, kind, "My-Style", ids_of(kind, "red sea"))
    for typed in ("a my-style boat", "a <My-Style> boat"):
        found = encode(kind, tmp_path, read(typed, 0))
        torch.testing.assert_close(found, encode(kind, tmp_path, plain("a red sea boat")))
    weighed = encode(kind, tmp_path, read("a (my-style:1.4) boat", 0))
    torch.testing.assert_close(weighed, encode(kind, tmp_path, read("a (red sea:1.4) boat", 0)))


@KINDS
def test_the_pooled_state_is_still_that_of_the_end(kind: str, tmp_path: Path) -> None:
    write_words(tmp_path, kind, "style", ids_of(kind, "red sea"))
    words = Embeddings(Library(tmp_path, "textual inversion"), widths(kind))
    with torch.inference_mode():
        encoder = PromptEncoder(tiny_model(kind), words)
        named, written = (encoder.encode(plain(t)).pooled for t in ("a style", "a red sea"))
    if kind == "sdxl":
        assert named is not None and written is not None
        torch.testing.assert_close(named, written)
    else:
        assert named is None and written is None


def test_the_model_is_as_it_was_afterwards(tmp_path: Path) -> None:
    write_words(tmp_path, "sd15", "style", ids_of("sd15", "red"))
    before = encode("sd15", tmp_path / "none", plain("a boat"))
    encode("sd15", tmp_path, plain("a style"))
    assert torch.equal(encode("sd15", tmp_path, plain("a boat")), before)
    embedding = tiny_model("sd15").text[0].model.get_input_embeddings()
    assert not embedding._forward_hooks


def test_an_embedding_is_not_cut_in_two(tmp_path: Path) -> None:
    write_words(tmp_path, "sd15", "style", ids_of("sd15", "red"))
    found = encode("sd15", tmp_path, plain("x " * 73 + "style"))
    assert found.shape[1] == 154
    expected = encode("sd15", tmp_path / "none", plain("red"))
    torch.testing.assert_close(found[:, 77:], expected, rtol=0, atol=1e-6)


def test_only_whole_words_are_meant_and_the_longest_name_wins(tmp_path: Path) -> None:
    for name in ("ink", "ink wash"):
        write_words(tmp_path, "sd15", name, [5])
    words = Embeddings(Library(tmp_path, "textual inversion"), widths("sd15"))
    words.refresh()

    def split(text: str) -> list[str]:
        pieces = words.split(text)
        return [f"[{p.name}]" if isinstance(p, Embedding) else p for p in pieces]

    assert split("inkling, pink, ink-well") == ["inkling, pink, ink-well"]
    assert split("INK, ink wash.") == ["", "[ink]", ", ", "[ink wash]", "."]


def test_files_that_come_and_go_are_noticed(tmp_path: Path) -> None:
    def touched(seconds: int) -> None:
        """Some file systems count in steps of 10 ms, which this test may be faster than."""
        os.utime(tmp_path, (seconds, seconds))

    words = Embeddings(Library(tmp_path, "textual inversion"), widths("sd15"))
    encoder = PromptEncoder(tiny_model("sd15"), words)
    with torch.inference_mode():
        before = encoder.encode(plain("a style")).tokens
        path = write_words(tmp_path, "sd15", "style", ids_of("sd15", "red"))
        touched(1)
        assert [found.name for found in encoder.embeddings(plain("a style, style"))] == ["style"]
        assert not torch.equal(encoder.encode(plain("a style")).tokens, before)
        path.unlink()
        touched(2)
        assert encoder.embeddings(plain("a style")) == ()
        assert torch.equal(encoder.encode(plain("a style")).tokens, before)


def test_a_file_for_another_model_or_none_at_all_leaves_the_word_a_word(tmp_path: Path) -> None:
    write(tmp_path / "wide.safetensors", {"emb_params": torch.zeros(2, 768)})
    write_words(tmp_path, "sdxl", "both", [5])
    (tmp_path / "broken.safetensors").write_bytes(b"nothing")
    (tmp_path / "old.pt").write_bytes(b"\x80\x02")
    typed = plain("wide both broken old")
    assert torch.equal(encode("sd15", tmp_path, typed), encode("sd15", tmp_path / "none", typed))


def test_one_vector_may_stand_alone(tmp_path: Path) -> None:
    path = write(tmp_path / "cat.safetensors", {"<cat>": torch.ones(WIDTH)})
    found = read_embedding(path, [WIDTH])
    assert found is not None and found.vectors[0].shape == (1, WIDTH)


def test_damaged_files_are_named(tmp_path: Path) -> None:
    for tensor in (torch.full((1, WIDTH), float("nan")), torch.zeros(76, WIDTH)):
        path = write(tmp_path / "x.safetensors", {"emb_params": tensor})
        with pytest.raises(BridgeError, match=r"x\.safetensors") as caught:
            read_embedding(path, [WIDTH])
        assert caught.value.code is Code.MODEL_CORRUPT

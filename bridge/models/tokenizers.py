"""CLIP's tokenizer: from a model's own files, or the vocabulary that all CLIP models share.

The shared vocabulary is CLIP's byte-pair merges (configs/clip/merges.txt, MIT licence, see the note
beside it); the numbered vocabulary follows from their order (Radford et al. 2021; OpenAI's
simple_tokenizer): 256 bytes, the same ending a word, one token per merge, start and end of text.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from transformers import CLIPTokenizer

from bridge.models import weights

CLIP_VOCABULARY = 49_408
START, END = "<|startoftext|>", "<|endoftext|>"

_MERGES = Path(__file__).parent / "configs" / "clip" / "merges.txt"
_MAX_TOKENS = 77


def read_tokenizer(folder: Path) -> CLIPTokenizer:
    """The tokenizer in `folder`; nothing is fetched. Raises BridgeError (MODEL_CORRUPT)."""
    try:
        return CLIPTokenizer.from_pretrained(str(folder), local_files_only=True)
    except Exception as error:  # the tokenizers library raises Exception itself
        raise weights.corrupt(folder, "holds no tokenizer that can be read") from error


def clip_tokenizer(pad: str = END) -> CLIPTokenizer:
    """CLIP's own tokenizer. `pad` fills up a prompt: END for SD 1.5, "!" for OpenCLIP, as in SD 2 and SDXL's second encoder."""
    merges = _merges()
    return CLIPTokenizer(
        vocab=_vocabulary(merges), merges=merges, pad_token=pad, model_max_length=_MAX_TOKENS
    )


@lru_cache(maxsize=1)
def _merges() -> list[tuple[str, str]]:
    lines = _MERGES.read_text(encoding="utf-8").split("\n")
    pairs = (line.split(" ") for line in lines[1:] if line)
    return [(left, right) for left, right in pairs]


def _vocabulary(merges: list[tuple[str, str]]) -> dict[str, int]:
    letters = byte_letters()
    tokens = [*letters, *(letter + "</w>" for letter in letters)]
    tokens += [left + right for left, right in merges] + [START, END]
    return {token: number for number, token in enumerate(tokens)}


def byte_letters() -> list[str]:
    """The printable stand-ins for the 256 bytes, in the vocabulary's order: bytes that print as
    themselves first, then the others as the letters from U+0100 on."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = 256 - len(printable)
    return [chr(code) for code in printable] + [chr(0x100 + n) for n in range(others)]

"""The texts in a PNG, against what Pillow writes."""

from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, PngImagePlugin

from krita_plugin.krita_bridge import pngtext

LATIN = "a boat\nNegative prompt: fog\n\nSteps: 20, Seed: 1"
OTHER = "ein Boot, 船 \U0001f6a4\nzwei"


def png(*texts: tuple[str, str, bool]) -> bytes:
    """A PNG with texts by keyword, packed or not."""
    info = PngImagePlugin.PngInfo()
    for keyword, text, packed in texts:
        info.add_text(keyword, text, zip=packed)
    file = io.BytesIO()
    Image.new("RGB", (3, 2)).save(file, "PNG", pnginfo=info)
    return file.getvalue()


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("text", [LATIN, OTHER])
def test_texts_are_read_line_by_line(text: str, packed: bool) -> None:
    data = png(("parameters", text, packed), ("Software", "x", False))
    assert pngtext.read_texts(io.BytesIO(data)) == {"parameters": text, "Software": "x"}


def test_texts_that_are_added_are_read_by_all() -> None:
    given = {"parameters": LATIN, "krita-bridge": OTHER}
    data = pngtext.add_texts(png(("Software", "x", False)), given)
    assert pngtext.read_texts(io.BytesIO(data)) == {**given, "Software": "x"}
    with Image.open(io.BytesIO(data)) as picture:
        picture.load()  # checks every checksum
        assert picture.size == (3, 2)
        assert picture.text == {**given, "Software": "x"}  # type: ignore[attr-defined]


def test_a_text_that_unpacks_to_too_much_is_left_out() -> None:
    bomb = "a" * (pngtext.MOST_BYTES + 1)
    found = pngtext.read_texts(io.BytesIO(png(("bomb", bomb, True), ("ok", "1", False))))
    assert found == {"ok": "1"}


def test_another_file_has_no_texts() -> None:
    assert pngtext.read_texts(io.BytesIO(b"GIF89a" + bytes(100))) == {}


@given(st.data())
def test_a_damaged_file_is_no_accident(data: st.DataObject) -> None:
    whole = png(("parameters", OTHER, True), ("more", LATIN, True), ("plain", LATIN, False))
    at = data.draw(st.integers(8, len(whole) - 1))
    value = data.draw(st.integers(0, 255))
    end = data.draw(st.integers(at, len(whole)))
    damaged = whole[:at] + bytes([value]) + whole[at + 1 : end]
    found = pngtext.read_texts(io.BytesIO(damaged))
    assert all(isinstance(text, str) for text in found.values())

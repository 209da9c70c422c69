"""What is in the Krita files that the plugin writes. That Krita reads them: tests/krita/test_live.py."""

from __future__ import annotations

import zipfile
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from krita_plugin.krita_bridge import kra
from krita_plugin.krita_bridge.wire.geometry import Bounds, Extent

LAYERS = "picture/layers/"
DRAWN = "{http://www.calligra.org/DTD/krita}"


def picture(width: int, height: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 4), np.uint8)


def pixels_of(data: bytes, width: int, height: int) -> np.ndarray:
    """Reads a layer's file as Krita does: height x width x 4."""
    lines = data.split(b"\n", 5)
    sizes = dict(line.split(b" ") for line in lines[:5])
    assert (sizes[b"TILEWIDTH"], sizes[b"TILEHEIGHT"], sizes[b"PIXELSIZE"]) == (b"64", b"64", b"4")
    found, rest = np.zeros((height + 64, width + 64, 4), np.uint8), lines[5]
    for _ in range(int(sizes[b"DATA"])):
        head, rest = rest.split(b"\n", 1)
        x, y, _, length = head.split(b",")
        tile, rest = rest[: int(length)], rest[int(length) :]
        assert tile[0] == 0, "not marked as raw"
        at = np.frombuffer(tile[1:], np.uint8).reshape(64, 64, 4)
        found[int(y) : int(y) + 64, int(x) : int(x) + 64] = at
    assert not rest and not found[height:].any() and not found[:, width:].any()
    return found[:height, :width]


@pytest.mark.parametrize("size", [(1, 1), (64, 64), (65, 3), (130, 190)])
def test_every_frame_is_there_with_every_pixel(tmp_path: Path, size: tuple[int, int]) -> None:
    frames = [(Bounds(5 * n, 7, *size), picture(*size, n)) for n in range(3)]
    kra.write_animated(tmp_path / "frames.kra", "Live", Extent(300, 200), iter(frames))
    with zipfile.ZipFile(tmp_path / "frames.kra") as file:
        assert file.testzip() is None
        keyframes = ElementTree.fromstring(file.read(f"{LAYERS}layer.keyframes.xml"))
        found = [dict(key.attrib) for key in keyframes.iter() if key.tag.endswith("keyframe")]
        offsets = [dict(key.attrib) for key in keyframes.iter() if key.tag.endswith("offset")]
        assert [int(key["time"]) for key in found] == [0, 1, 2]
        assert [int(offset["x"]) for offset in offsets] == [0, 5, 10]
        for key, (_, image) in zip(found, frames, strict=True):
            data = file.read(LAYERS + key["frame"])
            assert np.array_equal(pixels_of(data, *size), image)
            assert file.read(f"{LAYERS}{key['frame']}.defaultpixel") == bytes(4)


def test_the_document_says_how_large_it_is_and_what_the_layer_is_called(tmp_path: Path) -> None:
    name = '"ponds" & <hills>'
    frames = [(Bounds(0, 0, 2, 2), picture(2, 2, 0))]
    kra.write_animated(tmp_path / "named.kra", name, Extent(30, 20), frames)
    with zipfile.ZipFile(tmp_path / "named.kra") as file:
        document = ElementTree.fromstring(file.read("maindoc.xml"))
    image, layer = document.find(f"{DRAWN}IMAGE"), document.find(f".//{DRAWN}layer")
    assert image is not None and layer is not None
    assert (image.get("width"), image.get("height")) == ("30", "20")
    assert layer.get("name") == name


def test_the_mask_of_a_masked_layer_selects_nothing(tmp_path: Path) -> None:
    kra.write_masked(tmp_path / "masked.kra", "White & Black")
    with zipfile.ZipFile(tmp_path / "masked.kra") as file:
        document = ElementTree.fromstring(file.read("maindoc.xml"))
        selection = file.read(f"{LAYERS}mask.pixelselection")
        assert file.read(f"{LAYERS}mask.pixelselection.defaultpixel") == b"\0"
    mask = document.find(f".//{DRAWN}layer/{DRAWN}masks/{DRAWN}mask")
    assert mask is not None and mask.get("name") == "White & Black"
    assert selection.endswith(b"PIXELSIZE 1\nDATA 0\n")

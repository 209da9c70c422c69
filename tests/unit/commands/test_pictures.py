from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms

from bridge.commands.pictures import lay_over, read_mask, read_picture, write_picture
from bridge.errors import BridgeError, Code
from krita_plugin.krita_bridge.wire.geometry import Bounds, Extent

RNG = np.random.default_rng(3)


def test_eight_bit_pictures_are_read_as_they_are(tmp_path: Path) -> None:
    pixels = RNG.integers(0, 256, (9, 7, 4), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    picture = read_picture(tmp_path / "a.png")
    assert np.array_equal(picture.pixels, pixels)
    assert (picture.canvas, picture.opaque_kind, picture.notes) == (Extent(7, 9), False, ())


def test_a_palette_keeps_its_transparency(tmp_path: Path) -> None:
    image = Image.new("P", (4, 2), 1)
    image.putpalette([0, 0, 0, 250, 10, 20])
    image.putpixel((0, 0), 0)
    image.save(tmp_path / "a.png", transparency=0)
    picture = read_picture(tmp_path / "a.png")
    assert picture.pixels[0, 0, 3] == 0
    assert picture.pixels[1, 1].tolist() == [250, 10, 20, 255]


def test_16_bit_grey_is_scaled_with_a_note(tmp_path: Path) -> None:
    values = np.array([[0, 257 * 100, 65535]], np.uint16)
    Image.fromarray(values).save(tmp_path / "a.png")
    picture = read_picture(tmp_path / "a.png")
    assert picture.pixels[0, :, 0].tolist() == [0, 100, 255]
    assert "16 bits" in picture.notes[0]


def test_cmyk_becomes_rgb_with_a_note(tmp_path: Path) -> None:
    Image.new("CMYK", (3, 3), (0, 255, 255, 0)).save(tmp_path / "a.tif")
    picture = read_picture(tmp_path / "a.tif")
    assert picture.pixels[0, 0].tolist() == [255, 0, 0, 255]
    assert "sRGB" in picture.notes[0]


def test_a_turned_photograph_stands_upright(tmp_path: Path) -> None:
    image = Image.new("RGB", (8, 4))
    exif = Image.Exif()
    exif[0x0112] = 6
    image.save(tmp_path / "a.jpg", exif=exif)
    picture = read_picture(tmp_path / "a.jpg")
    assert picture.canvas == Extent(4, 8)
    assert "upright" in picture.notes[0]


def test_an_srgb_profile_changes_nothing_and_a_broken_one_is_ignored(tmp_path: Path) -> None:
    pixels = RNG.integers(0, 256, (5, 5, 3), np.uint8)
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    for profile in (srgb, b"not a profile"):
        Image.fromarray(pixels).save(tmp_path / "a.png", icc_profile=profile)
        picture = read_picture(tmp_path / "a.png")
        assert np.array_equal(picture.pixels[..., :3], pixels)
    assert "ignored" in picture.notes[0]


def test_a_picture_in_another_colour_space_is_converted_and_keeps_its_alpha(
    tmp_path: Path,
) -> None:
    pixels = RNG.integers(0, 256, (5, 5, 4), np.uint8)
    grey = Image.fromarray(pixels).convert("LA")
    xyz = ImageCms.ImageCmsProfile(ImageCms.createProfile("XYZ")).tobytes()
    Image.fromarray(pixels).save(tmp_path / "a.png", icc_profile=xyz)
    assert np.array_equal(read_picture(tmp_path / "a.png").pixels[..., 3], pixels[..., 3])
    grey.save(tmp_path / "b.png")
    assert np.array_equal(read_picture(tmp_path / "b.png").pixels[..., 3], pixels[..., 3])


def test_a_bomb_is_refused_by_its_claim(tmp_path: Path) -> None:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    header = struct.pack(">IIBBBBB", 60000, 60000, 8, 6, 0, 0, 0)
    body = zlib.compress(bytes(1000))
    (tmp_path / "bomb.png").write_bytes(
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", body) + chunk(b"IEND", b"")
    )
    with pytest.raises(BridgeError, match="60000 x 60000") as caught:
        read_picture(tmp_path / "bomb.png")
    assert caught.value.code is Code.BAD_INPUT


def test_a_picture_cut_off_anywhere_is_an_error_or_a_picture(tmp_path: Path) -> None:
    Image.fromarray(RNG.integers(0, 256, (40, 40, 3), np.uint8)).save(tmp_path / "a.png")
    data = (tmp_path / "a.png").read_bytes()
    refused = 0
    for part in range(64):
        (tmp_path / "cut.png").write_bytes(data[: len(data) * part // 64])
        try:
            read_picture(tmp_path / "cut.png")
        except BridgeError as error:
            assert error.code is Code.BAD_INPUT
            refused += 1
    assert refused >= 60


def test_a_coloured_mask_counts_by_its_brightness(tmp_path: Path) -> None:
    Image.new("RGB", (4, 4), (255, 255, 255)).save(tmp_path / "m.png")
    mask, notes = read_mask(tmp_path / "m.png", Extent(4, 4))
    assert mask.min() == 255
    assert "brightness" in notes[0]


def test_transparent_parts_of_a_mask_are_not_selected(tmp_path: Path) -> None:
    mask = Image.new("RGBA", (4, 4), (255, 255, 255, 0))
    mask.putpixel((1, 2), (255, 255, 255, 255))
    mask.save(tmp_path / "m.png")
    read, _ = read_mask(tmp_path / "m.png", Extent(4, 4))
    assert (int(read[2, 1]), int(read.astype(int).sum())) == (255, 255)


def test_laying_over_keeps_every_bit_under_zero_alpha() -> None:
    below = RNG.integers(0, 256, (600, 8, 4), np.uint8)
    layer = RNG.integers(0, 256, (500, 5, 4), np.uint8)
    layer[::2, :, 3] = 0
    result = below.copy()
    lay_over(layer, Bounds(2, 50, 5, 500), result)
    inside = result[50:550, 2:7]
    assert np.array_equal(inside[::2], below[50:550, 2:7][::2])
    result[50:550, 2:7] = below[50:550, 2:7]
    assert np.array_equal(result, below)


def test_laying_over_is_porter_duff_over() -> None:
    below = np.array([[[10, 20, 30, 255], [10, 20, 30, 0], [100, 0, 0, 128]]], np.uint8)
    layer = np.array([[[200, 100, 0, 128], [200, 100, 0, 128], [0, 0, 0, 255]]], np.uint8)
    lay_over(layer, Bounds(0, 0, 3, 1), below)
    assert below[0, 0].tolist() == [105, 60, 15, 255]
    assert below[0, 1].tolist() == [200, 100, 0, 128]
    assert below[0, 2].tolist() == [0, 0, 0, 255]


@pytest.mark.parametrize("suffix", [".png", ".webp", ".tiff"])
def test_what_is_written_is_read_back_bit_for_bit(suffix: str, tmp_path: Path) -> None:
    pixels = RNG.integers(0, 256, (33, 17, 4), np.uint8)
    write_picture(tmp_path / f"a{suffix}", pixels)
    assert np.array_equal(np.asarray(Image.open(tmp_path / f"a{suffix}")), pixels)

"""Picture files in and out, and laying a result layer over a picture. RGBA uint8, straight alpha, sRGB."""

from __future__ import annotations

import io
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms, ImageOps, UnidentifiedImageError
from PIL.PngImagePlugin import PngImageFile, PngInfo

from bridge.commands.files import write_atomically
from bridge.errors import BridgeError, Code
from krita_plugin.krita_bridge.recipe import PARAMETERS
from krita_plugin.krita_bridge.wire.geometry import Bounds, Extent

if TYPE_CHECKING:
    from bridge.engine.types import ImageU8, MaskU8

MAX_FILE_PIXELS = 1 << 29
"""Largest picture read from a file: 23000 x 23000 and a bit. Decoding takes four bytes a pixel."""

# No format that needs another program or runs scripts to be decoded.
_FORMATS = ("PNG", "JPEG", "WEBP", "TIFF", "BMP", "GIF", "PPM", "TGA", "JPEG2000", "AVIF")
_EXIF, _USER_COMMENT = 0x8769, 0x9286
_LARGE_BYTES = 1 << 28
"""From here on compressing a PNG well takes minutes."""

_LOSSLESS: dict[str, dict[str, Any]] = {
    ".png": {"format": "PNG"},
    ".webp": {"format": "WEBP", "lossless": True, "exact": True, "quality": 50},
    ".tif": {"format": "TIFF", "compression": "tiff_lzw"},
    ".tiff": {"format": "TIFF", "compression": "tiff_lzw"},
}


@dataclass(frozen=True)
class Picture:
    """`pixels` H x W x 4 uint8 RGBA. `opaque_kind`: the file could hold no transparency. `notes` say what
    reading it changed, a sentence each."""

    pixels: ImageU8
    opaque_kind: bool
    notes: tuple[str, ...]

    @property
    def canvas(self) -> Extent:
        return Extent(self.pixels.shape[1], self.pixels.shape[0])


def read_picture(path: Path) -> Picture:
    """Decode a picture; raises BridgeError (BAD_INPUT) for anything that is none."""
    image, notes = _open(path)
    opaque_kind = not image.has_transparency_data
    alpha = None if opaque_kind else image.convert("RGBA").getchannel("A")
    image = _to_8_bit(image, notes)
    colours = _to_srgb(image, notes)
    if alpha is not None:
        colours.putalpha(alpha)
    pixels = np.array(colours.convert("RGBA"))
    return Picture(pixels, opaque_kind, tuple(notes))


def read_mask(path: Path, canvas: Extent) -> tuple[MaskU8, tuple[str, ...]]:
    """H x W uint8, 255 selected; raises BridgeError when it is not of the canvas' size or selects nothing."""
    image, notes = _open(path)
    if image.size != (canvas.width, canvas.height):
        raise _bad(
            f"The mask {path} has {image.width} x {image.height} px, but the image has "
            f"{canvas.width} x {canvas.height}.",
            "Give a mask of the image's size.",
        )
    image = _to_8_bit(image, notes)
    if image.mode not in ("L", "1"):
        if image.has_transparency_data:
            notes.append("The mask has transparency, which counts as not selected.")
            shown = image.convert("RGBA")
            image = Image.alpha_composite(Image.new("RGBA", shown.size, "black"), shown)
        elif image.mode != "P":
            notes.append("The mask has colours; its brightness was used.")
    mask = np.array(image.convert("L"))
    if not mask.any():
        raise _bad(
            f"The mask {path} selects nothing: all of it is black.",
            "Make it white where the picture may change.",
        )
    return mask, tuple(notes)


def lay_over(layer: ImageU8, bounds: Bounds, pixels: ImageU8) -> None:
    """Lay `layer`, which lies at `bounds`, over `pixels` in place: normal blending in float, rounded.

    Pixels under zero layer alpha keep every bit, colour under their own zero alpha included.
    """
    for top in range(0, bounds.height, 256):  # in strips: float takes four times the room
        above = layer[top : top + 256]
        rows = slice(bounds.y + top, bounds.y + top + len(above))
        below = pixels[rows, bounds.x : bounds.right]
        blended = _blend(above.astype(np.float32), below.astype(np.float32))
        below[:] = np.where(above[..., 3:] > 0, blended, below)


def crop(pixels: NDArray[np.uint8], bounds: Bounds) -> NDArray[np.uint8]:
    """A view of the part at `bounds`."""
    return pixels[bounds.y : bounds.bottom, bounds.x : bounds.right]


def check_target(path: Path) -> None:
    """Raise BridgeError for a file that could not be written, before any work is done."""
    if path.suffix.lower() not in _LOSSLESS:
        raise _bad(
            f"{path} cannot hold the result exactly.",
            "Name it .png, .webp (lossless) or .tiff.",
        )
    if path.is_dir():
        raise _bad(f"{path} is a folder.", "Give a file name.")


def write_picture(
    path: Path,
    pixels: ImageU8,
    *,
    opaque_kind: bool = False,
    texts: Mapping[str, str] | None = None,
) -> None:
    """Write a picture without loss, atomically. Without alpha when `opaque_kind` and nothing is transparent.

    `texts` go along in a PNG, by keyword (tEXt, or iTXt where a text needs it); other formats have no place for them.
    """
    image = Image.fromarray(pixels)
    # Without its alpha a picture is copied, so one that may not fit in memory keeps it.
    if opaque_kind and pixels.size <= _LARGE_BYTES and pixels[..., 3].min() == 255:
        image = image.convert("RGB")
    options = dict(_LOSSLESS[path.suffix.lower()])
    if options["format"] == "PNG" and pixels.size > _LARGE_BYTES:
        options["compress_level"] = 1
    if options["format"] == "PNG" and texts:
        options["pnginfo"] = PngInfo()
        for keyword, text in texts.items():
            options["pnginfo"].add_text(keyword, text)
    write_atomically(path, lambda file: image.save(file, **options))


def read_texts(path: Path) -> dict[str, str]:
    """What a PNG says in words, by keyword; of a JPEG or WebP the comment of its EXIF data, where A1111's web UI puts
    its parameters. Raises BridgeError (BAD_INPUT) for a file that is none of these."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(path, formats=("PNG", "JPEG", "WEBP")) as image:
                _check_size(path, image)
                if isinstance(image, PngImageFile):
                    return {str(keyword): str(text) for keyword, text in image.text.items()}
                comment = image.getexif().get_ifd(_EXIF).get(_USER_COMMENT)
    except FileNotFoundError as error:
        raise _bad(f"There is no file {path}.", "Check the name.") from error
    except UnidentifiedImageError as error:
        raise _bad(f"{path} is no PNG, JPEG or WebP.", "Only these carry settings.") from error
    except (OSError, SyntaxError, ValueError, EOFError, MemoryError) as error:
        raise _unreadable(path, error) from error
    return {PARAMETERS: _comment_text(comment)} if isinstance(comment, bytes) else {}


def _comment_text(comment: bytes) -> str:
    """An EXIF comment: eight bytes name its encoding. UTF-16 comes in either order of bytes, and without a mark: in
    the right one most of the text is ASCII."""
    kind, text = comment[:8], comment[8:]
    if kind != b"UNICODE\0":
        return text.decode("utf-8", "replace")
    read = (text.decode(order, "replace") for order in ("utf-16-be", "utf-16-le"))
    return max(read, key=lambda each: sum(letter.isascii() for letter in each))


def write_mask(path: Path, mask: MaskU8) -> None:
    """Write a mask as the 8-bit grey PNG that `read_mask` takes."""
    buffer = io.BytesIO()
    Image.fromarray(mask).save(buffer, format="PNG")
    write_atomically(path, buffer.getvalue())


def _blend(above: NDArray[np.float32], below: NDArray[np.float32]) -> ImageU8:
    alpha, below_alpha = above[..., 3:] / 255, below[..., 3:] / 255
    rest = below_alpha * (1 - alpha)
    total = alpha + rest
    colour = (above[..., :3] * alpha + below[..., :3] * rest) / np.maximum(total, 1e-6)
    blended = np.concatenate([colour, total * 255], axis=-1)
    rounded: ImageU8 = np.clip(np.rint(blended), 0, 255).astype(np.uint8)
    return rounded


def _open(path: Path) -> tuple[Image.Image, list[str]]:
    """A decoded image, upright, and an empty list for notes, or one that says that it was turned."""
    # The size is checked below, by our own limit, before anything is decoded.
    Image.MAX_IMAGE_PIXELS = None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            image = Image.open(path, formats=_FORMATS)
            _check_size(path, image)
            image.load()
            turned = image.getexif().get(0x0112, 1) not in (0, 1)
            upright = ImageOps.exif_transpose(image)
    except FileNotFoundError as error:
        raise _bad(f"There is no file {path}.", "Check the name.") from error
    except UnidentifiedImageError as error:
        raise _bad(
            f"{path} is not a picture of a known format.", "PNG, JPEG, WebP and TIFF will do."
        ) from error
    except (OSError, SyntaxError, ValueError, EOFError, MemoryError, ArithmeticError) as error:
        raise _unreadable(path, error) from error
    return upright, ["It was turned upright as its EXIF data says."] if turned else []


def _check_size(path: Path, image: Image.Image) -> None:
    if image.width * image.height > MAX_FILE_PIXELS:
        raise _bad(
            f"{path} claims {image.width} x {image.height} px, which is too large.",
            "Cut out the part that matters first.",
        )


def _unreadable(path: Path, error: Exception) -> BridgeError:
    why = getattr(error, "strerror", None) or "its data is damaged or cut off"
    return _bad(f"{path} cannot be read: {why}.", "Save it again and retry.")


def _to_8_bit(image: Image.Image, notes: list[str]) -> Image.Image:
    if image.mode.startswith("I;16"):
        notes.append("It has 16 bits a channel; 8 of them are used.")
        values = np.asarray(image).astype(np.float32) / 257
    elif image.mode in ("I", "F"):
        notes.append("It has 32 bits a channel; 8 of them are used.")
        values = np.asarray(image).astype(np.float32)
        top = float(np.nanmax(values, initial=0.0))
        # A float picture goes to 1, a whole-number one to what its largest value fits in.
        scale = 255.0 if top <= 1 and image.mode == "F" else 1.0 if top <= 255 else 1 / 257
        values = np.nan_to_num(values) * scale
    else:
        return image
    grey = Image.fromarray(np.clip(np.rint(values), 0, 255).astype(np.uint8))
    grey.info.update({k: v for k, v in image.info.items() if k == "icc_profile"})
    return grey


def _to_srgb(image: Image.Image, notes: list[str]) -> Image.Image:
    """RGB in sRGB, without alpha."""
    profile = image.info.get("icc_profile")
    if image.mode in ("P", "PA", "LA", "RGBA", "1"):
        flat = image.convert("L" if image.mode in ("LA", "1") else "RGBA")
        image = flat.convert("RGB") if flat.mode == "RGBA" else flat
    if profile:
        try:
            source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            if "srgb" in ImageCms.getProfileDescription(source).lower():
                return image.convert("RGB")
            converted = ImageCms.profileToProfile(
                image, source, ImageCms.createProfile("sRGB"), outputMode="RGB"
            )
        except (ImageCms.PyCMSError, OSError, ValueError):
            notes.append("Its colour profile cannot be used and was ignored.")
        else:
            notes.append("Its colours were converted to sRGB.")
            assert converted is not None  # only in-place conversion returns None
            return converted
    if image.mode in ("CMYK", "LAB", "HSV"):
        notes.append("Its colours were converted to sRGB without a profile.")
    return image.convert("RGB")


def _bad(message: str, hint: str) -> BridgeError:
    return BridgeError(Code.BAD_INPUT, message, hint)

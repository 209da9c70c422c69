"""Writes small Krita files (.kra) that hold one layer which Krita's Python has no way to make. Knows neither Krita nor Qt.

`kralayers.layer_from` opens such a file out of sight and copies its layer. Python knows transparency masks only from
Krita 5.2 on, and key frames not at all (docs/live.md says why not `importAnimation`).

A .kra is a zip file. The pixels of a layer are tiles of 64 x 64 px behind a header in words, each as it is in
memory after a byte 0 (other values stand for LZF, which zip makes needless).
"""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Iterable, List, Tuple
from xml.sax.saxutils import quoteattr

from .wire.frames import Buffer
from .wire.geometry import Bounds, Extent

SIDE = 64
"""Of a tile, px."""

_DOCUMENT = """\
<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE DOC PUBLIC '-//KDE//DTD krita 2.0//EN' 'http://www.calligra.org/DTD/krita-2.0.dtd'>
<DOC xmlns="http://www.calligra.org/DTD/krita" editor="Krita" syntaxVersion="2.0">
 <IMAGE name="picture" mime="application/x-kra" width="{width}" height="{height}" x-res="72" y-res="72" \
colorspacename="RGBA" profile="sRGB-elle-V2-srgbtrc.icc">
  <layers>
   <layer nodetype="paintlayer" name={name} filename="layer" colorspacename="RGBA" compositeop="normal" opacity="255" \
visible="{visible}"{attributes}>{masks}</layer>
  </layers>
 </IMAGE>
</DOC>
"""
_MASK = '<masks><mask nodetype="transparencymask" name={name} filename="mask" visible="1"/></masks>'
_KEYFRAMES = """\
<?xml version="1.0" encoding="UTF-8"?>
<keyframes xmlns="http://www.calligra.org/DTD/krita-keyframes"><channel name="content">
{frames}
</channel></keyframes>
"""
_KEYFRAME = '<keyframe frame="{name}" time="{time}" color-label="0"><offset type="point" x="{x}" y="{y}"/></keyframe>'
_TILES = "VERSION 2\nTILEWIDTH {side}\nTILEHEIGHT {side}\nPIXELSIZE {pixel_bytes}\nDATA {count}\n"
_TILE = "{x},{y},LZF,{length}\n"
_FOLDER = "picture/layers/"


def write_masked(path: Path, mask: str) -> None:
    """An empty layer with a transparency mask, called `mask`, that shows nothing of it."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as kra:
        masks = _MASK.format(name=quoteattr(mask))
        _write_document(kra, Extent(1, 1), "layer", masks=masks)
        _write_tiles(kra, "layer", 4, [])
        _write_tiles(kra, "mask.pixelselection", 1, [])


def write_animated(
    path: Path, name: str, canvas: Extent, frames: Iterable[Tuple[Bounds, Buffer]]
) -> None:
    """A layer called `name` whose key frames from time 0 on are `frames`: BGRA uint8, straight alpha, sRGB, at their
    bounds of a canvas of the size of `canvas`. At least one. The layer is hidden."""
    keyframes = []
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as kra:
        for time, (bounds, image) in enumerate(frames):
            file = f"layer.f{time}" if time else "layer"
            _write_tiles(kra, file, 4, _tiles(bounds.extent, image))
            keyframes.append(_KEYFRAME.format(name=file, time=time, x=bounds.x, y=bounds.y))
        keyed = ' keyframes="layer.keyframes.xml"'
        _write_document(kra, canvas, name, attributes=keyed, visible=False)
        kra.writestr(
            f"{_FOLDER}layer.keyframes.xml", _KEYFRAMES.format(frames="\n".join(keyframes))
        )


def _write_document(
    kra: zipfile.ZipFile,
    canvas: Extent,
    name: str,
    attributes: str = "",
    masks: str = "",
    visible: bool = True,
) -> None:
    kra.writestr("mimetype", "application/x-kra", zipfile.ZIP_STORED)
    text = _DOCUMENT.format(
        width=canvas.width,
        height=canvas.height,
        name=quoteattr(name),
        attributes=attributes,
        visible=int(visible),
        masks=masks,
    )
    kra.writestr("maindoc.xml", text)


def _write_tiles(
    kra: zipfile.ZipFile, name: str, pixel_bytes: int, tiles: List[Tuple[int, int, bytes]]
) -> None:
    """Pixels that are 0 wherever there is no tile."""
    parts = [_TILES.format(side=SIDE, pixel_bytes=pixel_bytes, count=len(tiles)).encode()]
    for x, y, data in tiles:
        parts += [_TILE.format(x=x, y=y, length=1 + len(data)).encode(), b"\0", data]
    kra.writestr(_FOLDER + name, b"".join(parts))
    kra.writestr(f"{_FOLDER}{name}.defaultpixel", bytes(pixel_bytes))


def _tiles(size: Extent, image: Buffer) -> List[Tuple[int, int, bytes]]:
    """The tiles of a BGRA picture by their corners; what hangs over its edges is transparent."""
    view = memoryview(image).cast("B")
    stride = size.width * 4
    found = []
    for y in range(0, size.height, SIDE):
        rows = range(y, min(y + SIDE, size.height))
        for x in range(0, size.width, SIDE):
            length = min(SIDE, size.width - x) * 4
            begins = (row * stride + x * 4 for row in rows)
            cut = (bytes(view[begin : begin + length]).ljust(SIDE * 4, b"\0") for begin in begins)
            found.append((x, y, b"".join(cut).ljust(SIDE * SIDE * 4, b"\0")))
    return found

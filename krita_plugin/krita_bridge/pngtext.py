"""The texts in a PNG (PNG specification, third edition, 11.3.3): Krita's Python has no library for them.

Qt reads and writes them too, but joins their lines, and how a picture was made is told in lines.
"""

from __future__ import annotations

import struct
import zlib
from typing import BinaryIO, Dict, Iterator, Mapping, Tuple

SIGNATURE = b"\x89PNG\r\n\x1a\n"
MOST_BYTES = 1 << 20
"""Of a text, also once it is unpacked: more is no description of a picture."""


def read_texts(file: BinaryIO) -> Dict[str, str]:
    """The texts of a PNG by their keywords, as far as they can be read; none of another file. May raise OSError."""
    found: Dict[str, str] = {}
    for kind, data in _chunks(file):
        keyword, separator, rest = data.partition(b"\0")
        if not separator:
            continue
        try:
            if kind == b"tEXt":
                text = rest.decode("latin-1")
            elif kind == b"zTXt":
                text = _unpacked(rest[1:]).decode("latin-1")
            else:
                text = _international(rest)
        except (ValueError, zlib.error):
            continue
        found[keyword.decode("latin-1")] = text
    return found


def add_texts(png: bytes, texts: Mapping[str, str]) -> bytes:
    """The PNG with these texts, by keywords of 1 to 79 Latin-1 letters, right after its header, which is its first chunk."""
    after = len(SIGNATURE) + 25
    return png[:after] + b"".join(_text_chunk(*each) for each in texts.items()) + png[after:]


def _text_chunk(keyword: str, text: str) -> bytes:
    """As plain text where Latin-1 is enough for it: not every program reads the other kind."""
    name = keyword.encode("latin-1") + b"\0"
    try:
        kind, data = b"tEXt", name + text.encode("latin-1")
    except UnicodeEncodeError:
        kind, data = b"iTXt", name + b"\0\0\0\0" + text.encode("utf-8")
    checksum = zlib.crc32(kind + data)
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", checksum)


def _chunks(file: BinaryIO) -> Iterator[Tuple[bytes, bytes]]:
    if file.read(len(SIGNATURE)) != SIGNATURE:
        return
    while True:
        head = file.read(8)
        if len(head) < 8 or head[4:] == b"IEND":
            return
        length = struct.unpack(">I", head[:4])[0]
        if head[4:] in (b"tEXt", b"zTXt", b"iTXt") and length <= MOST_BYTES:
            yield head[4:], file.read(length)
            length = 0
        file.seek(length + 4, 1)


def _international(rest: bytes) -> str:
    is_packed = rest[:1] == b"\x01"
    _language, _translated, text = rest[2:].split(b"\0", 2)
    return (_unpacked(text) if is_packed else text).decode("utf-8")


def _unpacked(data: bytes) -> bytes:
    unpacker = zlib.decompressobj()
    text = unpacker.decompress(data, MOST_BYTES)
    if unpacker.unconsumed_tail:
        raise ValueError("too long")
    return text

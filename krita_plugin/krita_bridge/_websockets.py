"""Where `websockets` comes from: vendored beside the installed plugin, from the environment in the repository.

Krita's own Python has no third-party packages, so `krita-bridge install` and `krita-bridge plugin-zip`
put the pure-Python release into `vendor/`.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING or not (Path(__file__).parent / "vendor" / "websockets").is_dir():
    from websockets.client import ClientProtocol
    from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus
    from websockets.frames import DATA_OPCODES, Frame, Opcode
    from websockets.streams import StreamReader
    from websockets.sync.client import ClientConnection
    from websockets.uri import parse_uri
else:
    from .vendor.websockets.client import ClientProtocol
    from .vendor.websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus
    from .vendor.websockets.frames import DATA_OPCODES, Frame, Opcode
    from .vendor.websockets.streams import StreamReader
    from .vendor.websockets.sync.client import ClientConnection
    from .vendor.websockets.uri import parse_uri

__all__ = [
    "DATA_OPCODES",
    "ClientConnection",
    "ClientProtocol",
    "ConnectionClosed",
    "Frame",
    "InvalidHandshake",
    "InvalidStatus",
    "Opcode",
    "StreamReader",
    "parse_uri",
]

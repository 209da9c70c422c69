"""Drives a real Krita under Xvfb with a painter's gestures and reads its documents back.

Reading order: `install` (which Krita), `home` (its throwaway profile), `display` (screen, pointer,
keys), `agent_client` (questions to Krita's own Python), `session` (one running Krita),
`document` (one open document), `painting` (something nice to look at), `bridge` (the real bridge
for it), `docker` (the plugin's docker), `live` (its part about live painting),
`compare` (what a result may change).
"""

from __future__ import annotations

from .bridge import HostBridge
from .compare import Before
from .docker import BridgeDocker, layers_of
from .document import Document, Layer
from .home import Home
from .install import KritaInstall, MissingKrita, find
from .live import Live
from .painting import paint_landscape
from .session import HarnessError, Krita

__all__ = [
    "Before",
    "BridgeDocker",
    "Document",
    "HarnessError",
    "Home",
    "HostBridge",
    "Krita",
    "KritaInstall",
    "Layer",
    "Live",
    "MissingKrita",
    "find",
    "layers_of",
    "paint_landscape",
]

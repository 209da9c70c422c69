"""The mutual handshake proof: each end shows that it knows the run file's token without sending it.

The client sends HMAC-SHA256 over the port and the handshake's Sec-WebSocket-Key in the header
PROOF_HEADER; the server answers with its own in the same header of the 101 response. The roles are part of
the text, so neither answer can be played back as the other, and the port is, so a squatter
on another port cannot pass a client's proof on to the bridge.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets

PROOF_HEADER = "X-Krita-Bridge-Proof"


def new_token() -> str:
    """A fresh secret for one run of the bridge: 256 random bits as 64 hexadecimal digits."""
    return secrets.token_hex(32)


def client_proof(token: str, port: int, key: str) -> str:
    """What a client sends; `key` is the value of its Sec-WebSocket-Key header."""
    return _proof("client", token, port, key)


def server_proof(token: str, port: int, key: str) -> str:
    """What the bridge answers to the same key."""
    return _proof("server", token, port, key)


def matches(expected: str, given: object) -> bool:
    """Constant-time comparison that takes whatever arrived, also nothing."""
    if not isinstance(given, str):
        return False
    return hmac.compare_digest(expected.encode("utf-8"), given.encode("utf-8", "replace"))


def _proof(role: str, token: str, port: int, key: str) -> str:
    text = f"krita-bridge {role}\n{port}\n{key}"
    return hmac.new(token.encode("utf-8"), text.encode("utf-8"), hashlib.sha256).hexdigest()

"""Who may open the websocket: a local program that knows this run's token, and never a browser."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from krita_plugin.krita_bridge.wire import proof

from .runfile import WEBSOCKET_PATH


@dataclass(frozen=True)
class Admitted:
    """The handshake may go on; `server_proof` goes into the answer's PROOF_HEADER."""

    server_proof: str


@dataclass(frozen=True)
class Refused:
    """The handshake is over; `sentence` is all the other side is told."""

    sentence: str


class Gate:
    """The rules of the handshake for one port and token."""

    def __init__(self, port: int, token: str) -> None:
        self._port = port
        self._token = token
        self._hosts = {f"127.0.0.1:{port}", f"localhost:{port}", f"[::1]:{port}"}

    def examine(
        self, method: str, target: str, headers: Iterable[tuple[str, str]]
    ) -> Admitted | Refused:
        """Judge a request by its raw header list (names in any case, duplicates kept).

        Browsers cannot leave out `Origin` on a websocket and mark other requests with `Sec-Fetch-*`, so either
        one is refused whatever it says. A rebound DNS name shows in `Host`. The proof is compared in constant
        time.
        """
        fields: dict[str, list[str]] = {}
        for name, value in headers:
            fields.setdefault(name.lower(), []).append(value)
        if "origin" in fields or any(name.startswith("sec-fetch-") for name in fields):
            return Refused("Web pages may not talk to the bridge.")
        hosts = fields.get("host", [])
        if len(hosts) != 1 or hosts[0] not in self._hosts:
            return Refused("The bridge answers to its own loopback address only.")
        if method != "GET" or target != WEBSOCKET_PATH:
            return Refused(f"The bridge offers nothing but its websocket at {WEBSOCKET_PATH}.")
        keys = fields.get("sec-websocket-key", [])
        proofs = fields.get(proof.PROOF_HEADER.lower(), [])
        if len(keys) != 1 or len(proofs) != 1:
            return Refused("The proof of the run file's token is missing.")
        if not proof.matches(proof.client_proof(self._token, self._port, keys[0]), proofs[0]):
            return Refused("The proof of the run file's token is wrong.")
        return Admitted(proof.server_proof(self._token, self._port, keys[0]))

"""The handshake's rules as a matrix, without sockets. Rows are those of the threat table."""

from __future__ import annotations

import pytest

from bridge.server.gate import Admitted, Gate, Refused
from krita_plugin.krita_bridge.wire import proof

PORT, TOKEN, KEY = 4242, "ab" * 32, "AAAAAAAAAAAAAAAAAAAAAA=="
GATE = Gate(PORT, TOKEN)
PROOF = proof.client_proof(TOKEN, PORT, KEY)


def headers(**changes: str | None) -> list[tuple[str, str]]:
    given: dict[str, str | None] = {
        "Host": f"127.0.0.1:{PORT}",
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": KEY,
        "X-Krita-Bridge-Proof": PROOF,
    }
    given |= {name.replace("_", "-"): value for name, value in changes.items()}
    return [(name, value) for name, value in given.items() if value is not None]


def refused(fields: list[tuple[str, str]], method: str = "GET", target: str = "/v1") -> bool:
    return isinstance(GATE.examine(method, target, fields), Refused)


@pytest.mark.parametrize("host", [f"127.0.0.1:{PORT}", f"localhost:{PORT}", f"[::1]:{PORT}"])
def test_a_local_program_with_the_token_is_admitted_and_gets_the_bridges_proof(host: str) -> None:
    verdict = GATE.examine("GET", "/v1", headers(Host=host))
    assert verdict == Admitted(proof.server_proof(TOKEN, PORT, KEY))


@pytest.mark.parametrize("name", ["Origin", "origin", "ORIGIN", "oRiGiN"])
@pytest.mark.parametrize(
    "value",
    [
        "", "null", f"http://127.0.0.1:{PORT}", f"http://localhost:{PORT}", "http://127.0.0.1",
        "https://example.org", "file://", "krita://", "chrome-extension://abc",
    ],
)  # fmt: skip
def test_any_origin_is_refused_whatever_it_says(name: str, value: str) -> None:
    assert refused([*headers(), (name, value)])


@pytest.mark.parametrize(
    "name", ["Sec-Fetch-Site", "sec-fetch-mode", "SEC-FETCH-DEST", "Sec-Fetch-User"]
)
@pytest.mark.parametrize("value", ["same-origin", "none", "websocket", ""])
def test_browser_metadata_is_refused(name: str, value: str) -> None:
    assert refused([*headers(), (name, value)])


@pytest.mark.parametrize(
    "host",
    [
        "", "127.0.0.1", "localhost", f"127.0.0.1.:{PORT}", f"localhost.:{PORT}", f"LOCALHOST:{PORT}",
        f"127.0.0.1:{PORT + 1}", f"127.0.0.1:0{PORT}", f"127.1:{PORT}", f"2130706433:{PORT}",
        f"0x7f.0.0.1:{PORT}", f"0.0.0.0:{PORT}", f"rebound.example.org:{PORT}", f"user@127.0.0.1:{PORT}",
        f"127.0.0.1:{PORT}@example.org", f"127.0.0.1:{PORT}, example.org", f"127.0.0.1:{PORT}/",
        f"[::ffff:127.0.0.1]:{PORT}", f"::1:{PORT}", f" 127.0.0.1:{PORT}", f"127.0.0.1:{PORT}\x00",
    ],
)  # fmt: skip
def test_any_other_host_is_refused(host: str) -> None:
    assert refused(headers(Host=host))


def test_a_missing_or_second_host_is_refused() -> None:
    assert refused(headers(Host=None))
    assert refused([*headers(), ("Host", f"127.0.0.1:{PORT}")])
    assert refused([*headers(), ("host", "example.org")])


OTHER_KEY = "BBBBBBBBBBBBBBBBBBBBBB=="


@pytest.mark.parametrize(
    "given",
    [
        None, "", PROOF[:-1], PROOF + "0", PROOF.upper(), PROOF[:-1] + "é", "0" * 64, TOKEN,
        proof.server_proof(TOKEN, PORT, KEY),
        proof.client_proof("cd" * 32, PORT, KEY),
        proof.client_proof(TOKEN, PORT + 1, KEY),
        proof.client_proof(TOKEN, PORT, OTHER_KEY),
    ],
)  # fmt: skip
def test_a_missing_or_wrong_proof_is_refused(given: str | None) -> None:
    assert refused(headers(X_Krita_Bridge_Proof=given))


def test_doubled_keys_and_proofs_are_refused() -> None:
    assert refused([*headers(), ("X-Krita-Bridge-Proof", PROOF)])
    assert refused([*headers(), ("Sec-WebSocket-Key", OTHER_KEY)])
    assert refused(headers(Sec_WebSocket_Key=None))


@pytest.mark.parametrize("method", ["POST", "OPTIONS", "HEAD", "get", "CONNECT"])
def test_no_other_method(method: str) -> None:
    assert refused(headers(), method=method)


@pytest.mark.parametrize(
    "target", ["/", "/v1/", "/v2", "/v1?x=1", "//v1", "/v1/../v1", "http://x/v1"]
)
def test_no_other_path(target: str) -> None:
    assert refused(headers(), target=target)


def test_no_refusal_tells_the_token_or_a_proof() -> None:
    for fields in (
        headers(Host="x"),
        headers(X_Krita_Bridge_Proof="x"),
        [*headers(), ("Origin", "x")],
    ):
        verdict = GATE.examine("GET", "/v1", fields)
        assert isinstance(verdict, Refused)
        for secret in (TOKEN, PROOF, proof.server_proof(TOKEN, PORT, KEY)):
            assert secret not in verdict.sentence

"""Neither end can be played by someone who has only listened."""

from __future__ import annotations

from krita_plugin.krita_bridge.wire import proof


def test_roles_ports_keys_and_tokens_all_matter() -> None:
    token = proof.new_token()
    made = {
        proof.client_proof(token, 1, "k"),
        proof.server_proof(token, 1, "k"),
        proof.client_proof(token, 2, "k"),
        proof.client_proof(token, 1, "l"),
        proof.client_proof(proof.new_token(), 1, "k"),
    }
    assert len(made) == 5
    assert all(token not in text for text in made)


def test_only_the_exact_proof_matches() -> None:
    right = proof.client_proof("t", 1, "k")
    assert proof.matches(right, right)
    for wrong in (None, "", right[:-1], right + "0", right.upper(), "\ud800", 3, b"x"):
        assert not proof.matches(right, wrong)

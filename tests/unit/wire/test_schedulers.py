from __future__ import annotations

import pytest

from bridge.engine.schedulers import SCHEDULERS
from krita_plugin.krita_bridge.wire.schedulers import LABELS, identify


def test_every_scheduler_has_a_name_and_is_known_by_it() -> None:
    assert list(LABELS) == list(SCHEDULERS)
    for name, label in LABELS.items():
        assert identify(name) == identify(label) == identify(label.upper()) == name


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("DPM++ 2M Karras", "dpmpp_2m_karras"),
        ("dpmpp-2m", "dpmpp_2m"),
        ("Euler ancestral", "euler_a"),
        ("k_euler", "euler"),
        ("uni_pc", "unipc"),
        ("warp", None),
        ("", None),
    ],
)
def test_spellings(text: str, name: str | None) -> None:
    assert identify(text) == name

"""The documents name things that exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from bridge.errors import Code
from krita_plugin.krita_bridge.wire import messages

ROOT = Path(__file__).parents[2]
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def test_every_test_that_the_threat_page_names_exists() -> None:
    named = set(re.findall(r"`(test_\w+)`", (ROOT / "docs/threats.md").read_text()))
    sources = "\n".join(path.read_text() for path in (ROOT / "tests").rglob("test_*.py"))
    defined = set(re.findall(r"def (test_\w+)\(", sources))
    assert named and named <= defined, named - defined


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_somewhere(document: Path) -> None:
    text = document.read_text()
    for target in re.findall(r"\]\(([^)#:]+)\)", text) + re.findall(r'src="([^":]+)"', text):
        assert (document.parent / target).exists(), target


def test_the_protocol_page_names_every_message_field_and_code() -> None:
    text = (ROOT / "docs/protocol.md").read_text()
    for name, kind in messages._TYPES.items():
        row = re.search(rf"^\| `{name}` \| (.*?) \|", text, re.MULTILINE)
        assert row is not None, name
        for field in kind.__dataclass_fields__:
            assert f"`{field}" in row[1], f"{name}.{field}"
    for code in Code:
        assert f"`{code.value}`" in text, code


def test_the_files_of_the_journey_exist() -> None:
    text = (ROOT / "docs/journey.md").read_text()
    named = re.findall(r"(?:krita_plugin|bridge)/[\w/]+(?:\.py|/)", text)
    assert named
    for path in named:
        assert (ROOT / path).exists(), path

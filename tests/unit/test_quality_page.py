"""The page of measured figures and the tests that it speaks of belong together."""

from __future__ import annotations

import re

import pytest

from tests.quality.__main__ import PAGE, ROOT, ROWS, Row


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.oracle)
def test_every_figure_is_on_the_page_and_recorded_by_its_test(row: Row) -> None:
    assert f"| {row.oracle} |" in PAGE.read_text()
    file, _, name = row.test.partition("::")
    source = (ROOT / "tests" / file).read_text()
    assert not name or f"def {name}(" in source
    recorded = re.findall(r'record_property\(\s*f?"([^"]+)"|_found.append\(\(f"([^"]+)"', source)
    patterns = [re.sub(r"\{.*?\}", ".*", one or other) for one, other in recorded]
    assert any(re.fullmatch(pattern, row.figure) for pattern in patterns)

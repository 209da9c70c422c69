"""The page of measured figures and the tests that it speaks of belong together."""

from __future__ import annotations

import re

import pytest

from tests.quality.__main__ import PAGE, ROOT, put, written
from tests.quality.rows import GROUPS, PIPELINES, ROWS, Row
from tests.quality.seams import CORRECTIONS, median


def source_of(test: str) -> str:
    file, _, name = test.partition("::")
    source = (ROOT / "tests" / file).read_text()
    assert not name or f"def {name}(" in source
    return source


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.oracle)
def test_every_oracle_is_on_the_page_and_its_figure_recorded_by_its_tests(row: Row) -> None:
    assert f"| {row.group} | {row.oracle} |" in PAGE.read_text()
    if row.by:
        assert f"\n{row.by}:" in (ROOT / "Makefile").read_text()
    found = set()
    for test in row.tests:
        calls = re.findall(r'(?:record_property|found)\(\s*f?"([^"]+)"', source_of(test))
        if row.figure.startswith("parity"):
            calls += re.findall(r'found\(f"([^"]+)"', source_of("parity/test_pipelines.py"))
        found |= {re.sub(r"\{.*?\}", ".*", call) for call in calls}
    assert not row.figure or any(re.fullmatch(each, row.figure) for each in found)


def test_every_group_of_oracles_is_there() -> None:
    assert [row.group for row in ROWS] == sorted(row.group for row in ROWS)
    assert {row.group for row in ROWS} == set(range(1, GROUPS + 1))


def test_every_parity_test_and_every_correction_is_on_the_page() -> None:
    page = PAGE.read_text()
    for pipeline, test in PIPELINES:
        source_of(test)
        assert f"| {pipeline} |" in page
    for name, _ in CORRECTIONS:
        assert f"| {name} |" in page
    # A test that compares latents and is not in the table would be missed there.
    for file in {test.partition("::")[0] for _, test in PIPELINES}:
        for body in re.split(r"\ndef (?=test_)", (ROOT / "tests" / file).read_text())[1:]:
            name = body.partition("(")[0]
            compares = "assert_same(" in body
            assert compares == ((f"{file}::{name}") in dict(map(reversed, PIPELINES)))


def test_what_was_measured_takes_the_place_of_what_was_there() -> None:
    page = "a\n<!-- x: make quality -->\nold\n<!-- x: end -->\nb"
    assert put(page, "x", "new") == page.replace("old", "new")
    with pytest.raises(AssertionError):
        put(page, "y", "new")


@pytest.mark.parametrize(
    ("value", "text"), [(0.0, "0"), (10000.0, "10,000"), (0.5, "0.50"), (0.004, "4.0e-03")]
)
def test_figures_have_three_digits(value: float, text: str) -> None:
    assert written(value) == text


def test_the_interval_of_a_median_is_that_of_the_sign_test() -> None:
    """n = 10: the second and the ninth (Conover's table A3)."""
    assert median([float(value) for value in range(10, 0, -1)]) == (5.5, 2.0, 9.0)
    assert median([3.0]) == (3.0, 3.0, 3.0)

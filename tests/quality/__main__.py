"""Run the oracles and write what they measured: `make quality`.

The tests themselves say what they found (pytest's `record_property`), so a figure and the limit that the test
holds it to cannot drift apart.
"""

from __future__ import annotations

import argparse
import datetime
import platform
import re
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

import diffusers
import numpy as np
import pytest
import torch

from krita_plugin.krita_bridge.wire.modes import Mode
from tests.quality.rows import PIPELINES, ROWS
from tests.quality.seams import (
    CORRECTIONS,
    OBEYS,
    WANTED_OF_FILL,
    Measured,
    calm,
    continued,
    median,
)

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs/quality.md"
TESTS = "tests/"
DTYPES = ("float64", "float32")


class Collector:
    """A pytest plugin that keeps what tests recorded, and under which name."""

    def __init__(self) -> None:
        self._recorded: list[tuple[str, str, float]] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "teardown":
            for name, value in report.user_properties:
                self._recorded.append((report.nodeid, name, float(value)))

    def figures(self, name: str, test: str) -> list[float]:
        """What `test`, a file or a function in it, recorded as `name`."""
        wanted = re.compile(re.escape(TESTS + test) + r"(\[|::|$)")
        return [value for node, key, value in self._recorded if key == name and wanted.match(node)]


def run_tests() -> Collector:
    """Ends the program when a test fails."""
    collector = Collector()
    tests = dict.fromkeys(test for row in ROWS if not row.by for test in row.tests)
    tests |= dict.fromkeys(test for _, test in PIPELINES)
    files = {test for test in tests if "::" not in test}
    chosen = [test for test in tests if test in files or test.partition("::")[0] not in files]
    paths = [str(ROOT / TESTS / test) for test in chosen]
    if pytest.main(["-q", "-p", "no:warnings", *paths], plugins=[collector]) != 0:
        sys.exit("A test failed: nothing was written.")
    return collector


def oracles(found: Collector) -> Iterable[Sequence[str]]:
    yield "group", "oracle", "measured", "wanted", "test"
    for row in ROWS:
        measured = f"`make {row.by}`" if row.by else "holds"
        if row.figure:
            values = [value for test in row.tests for value in found.figures(row.figure, test)]
            measured = written(row.worst(values))
        tests = ", ".join(dict.fromkeys(link(test) for test in row.tests))
        yield str(row.group), row.oracle, measured, row.wanted, tests


def parity(found: Collector) -> Iterable[Sequence[str]]:
    yield "pipeline", "latents compared", "float64, at most 1e-10", "float32, at most 1e-5", "test"
    for pipeline, test in PIPELINES:
        double, single = (found.figures(f"parity torch.{name}", test) for name in DTYPES)
        worst = [written(max(values)) if values else "-" for values in (double, single)]
        yield pipeline, str(len(double) + len(single)), *worst, link(test)


def seams(found: Measured) -> Iterable[Sequence[str]]:
    yield (
        "correction",
        "refine, levels",
        "fill, levels",
        "fill at a calm border, levels",
        "step that a fill adds, levels",
        "gradient, refine / fill",
        "fills that obey",
        "asked colour in them",
    )
    for name, correction in CORRECTIONS:
        refine, fill = (middle(found.shifts(mode, correction)) for mode in (Mode.REFINE, Mode.FILL))
        refined, filled = (
            median(found.gradients(mode, correction))[0] for mode in (Mode.REFINE, Mode.FILL)
        )
        shares = found.shares(correction)
        obey = sum(share >= OBEYS for share in shares)
        yield (
            name,
            "-" if correction is continued else refine,
            fill,
            middle(found.calm_shifts(correction)),
            middle(found.steps_gained(correction)),
            f"{refined:.1f} / {filled:.1f}",
            f"{obey} of {len(shares)}",
            f"{sum(shares) / len(shares):.0%}".replace("%", " %"),
        )
    yield "wanted", "at most 1", "at most 2", "at most 2", "", "", "", ""


def middle(values: Sequence[float]) -> str:
    if not values:
        return "-"
    found, low, high = median(values)
    return f"{found:.2f} ({low:.2f} to {high:.2f})"


def link(test: str) -> str:
    file = test.partition("::")[0]
    return f"[{file}](../tests/{file})"


def written(value: float) -> str:
    """Three figures, and whole numbers whole."""
    if value == int(value):
        return f"{int(value):,}"
    return f"{value:.2f}" if 0.01 <= abs(value) < 1000 else f"{value:.1e}"


def table(rows: Iterable[Sequence[str]]) -> str:
    head, *rest = rows
    lines = [head, ["---"] * len(head), *rest]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def put(page: str, name: str, made: str) -> str:
    """The page with what was measured as `name` in its place."""
    begin, end = f"<!-- {name}: make quality -->", f"<!-- {name}: end -->"
    before, begun, rest = page.partition(begin)
    _, ended, after = rest.partition(end)
    assert begun and ended, f"{PAGE.name} has no place for {name}"
    return f"{before}{begin}\n{made}\n{end}{after}"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.quality", description=__doc__)
    parser.add_argument(
        "--seams", type=int, default=80, metavar="N", help="paintings of each kind (default: 80)"
    )
    parser.add_argument("--only-seams", action="store_true", help="measure nothing else")
    arguments = parser.parse_args()
    made = {}
    on = f"Measured {datetime.date.today()}, {platform.machine()}, torch {torch.__version__}, diffusers {diffusers.__version__}."
    if not arguments.only_seams:
        found = run_tests()
        made = {"oracles": f"{table(oracles(found))}\n\n{on}", "parity": table(parity(found))}
    measured = Measured.of(arguments.seams)
    own, _, _ = median(measured.own_steps())
    quiet = [calm(each) for each in measured.filled]
    made["seams"] = (
        f"{table(seams(measured))}\n\nMedians over {arguments.seams} paintings and their 95 % intervals; the colours over"
        f" as many fills. In the untouched paintings the two rings differ by {own:.1f} levels. The border is calm"
        f" where they differ by no more than {WANTED_OF_FILL:.0f}, an arc of 19 px at a time: {np.mean(quiet):.0%} of all arcs, in"
        f" {sum(part.any() for part in quiet)} paintings. {on}"
    )
    page = PAGE.read_text()
    for name, text in made.items():
        page = put(page, name, text)
        print(text, end="\n\n")
    PAGE.write_text(page)


if __name__ == "__main__":
    main()

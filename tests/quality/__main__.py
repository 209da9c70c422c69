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
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import diffusers
import pytest
import torch

from tests.quality.seams import ring_shifts

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs/quality.md"
BEGIN, END = "<!-- measured: make quality -->", "<!-- end -->"


@dataclass(frozen=True)
class Row:
    """`figure` is the name under which `test` records it; `worst` makes one of all that was recorded."""

    oracle: str
    figure: str
    wanted: str
    test: str
    worst: Callable[[Sequence[float]], float] = max


COMPOSITED = "property/test_compositing.py::test_ten_thousand_cases_change_no_byte_outside"
ITSELF = "property/test_compositing.py::test_the_picture_itself_comes_back_within_a_level"
BELIEVED = "unit/engine/test_schedule.py::test_a_perfect_model_is_believed"
ORDER = "property/test_convergence.py::test_the_error_falls_with_the_order_of_the_scheduler"
PARITY = "parity/test_pipelines.py"
BOARD = "property/test_compositing.py::test_a_checkerboard_keeps_its_place"
STRENGTH = "property/test_obedience.py::test_more_strength_changes_more"
GUIDANCE = (
    "property/test_obedience.py::test_guidance_goes_straight_from_negative_to_positive_and_on"
)
QUEUE = "property/test_obedience.py::test_no_order_no_cancelled_job_and_no_preview_changes_a_result"
SOFT = (
    "property/test_soft_selections.py::test_a_constant_selection_is_image_to_image_at_that_strength"
)
PREFILL = "unit/engine/test_prefill.py::test_a_constant_stays_constant"
MATCH = "property/test_match.py::test_an_affine_shift_is_undone_exactly"

ROWS = [
    Row(
        "pixels outside a selection compared, 10,000 cases of mask, crop and alpha",
        "pixels outside compared",
        "",
        COMPOSITED,
    ),
    Row("... of these changed", "pixels outside changed", "0", COMPOSITED),
    Row(
        "the picture itself through crop, mask and compositing, levels",
        "identity, levels",
        "at most 1",
        ITSELF,
    ),
    Row(
        "a perfect denoiser is believed by every scheduler, latents",
        "perfect denoiser, latents",
        "1e-5",
        BELIEVED,
    ),
    Row("order of convergence: Euler", "order euler", "1", ORDER, min),
    Row("... Heun", "order heun", "2", ORDER, min),
    Row("... LMS", "order lms", "above 3", ORDER, min),
    Row("... DPM++ 2M", "order dpmpp_2m", "2", ORDER, min),
    Row("... DPM++ 2M SDE (of the spread)", "order dpmpp_2m_sde", "2", ORDER, min),
    Row("... UniPC", "order unipc", "3", ORDER, min),
    Row("... DDIM", "order ddim", "1", ORDER, min),
    Row(
        "latents after every step against diffusers' pipelines, float64",
        "parity torch.float64",
        "1e-10",
        PARITY,
    ),
    Row("... float32", "parity torch.float32", "1e-5", PARITY),
    Row(
        "centroid of a checkerboard after scaling there and back, px",
        "centroid, px",
        "0.01",
        BOARD,
    ),
    Row("strength 0: change, levels", "strength 0, levels changed", "0", STRENGTH),
    Row(
        "guidance 1 against the prompt alone, model output",
        "guidance 1 against the prompt alone",
        "1e-5",
        GUIDANCE,
    ),
    Row(
        "results that order, cancelled jobs or previews changed",
        "results that differ by order, cancelling or previews",
        "0",
        QUEUE,
    ),
    Row(
        "a constant selection c against image to image at strength c, levels",
        "constant selection, levels",
        "0",
        SOFT,
    ),
    Row(
        "a constant through the prefills, levels", "constant prefill, levels", "at most 1", PREFILL
    ),
    Row(
        "an affine shift of colours undone, 1 to 99 % kept, levels",
        "affine shift left, levels",
        "0.01",
        MATCH,
    ),
]


class Collector:
    """A pytest plugin that keeps what tests recorded."""

    def __init__(self) -> None:
        self.figures: dict[str, list[float]] = defaultdict(list)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "teardown":
            for name, value in report.user_properties:
                self.figures[name].append(float(value))


def measured() -> list[tuple[str, str, str, str]]:
    """Rows of the table: oracle, figure, what is wanted, test. Ends the program when a test fails."""
    collector = Collector()
    tests = dict.fromkeys(str(ROOT / "tests" / row.test) for row in ROWS)
    if pytest.main(["-q", "-p", "no:warnings", *tests], plugins=[collector]) != 0:
        sys.exit("A test failed: nothing was written.")
    rows = []
    for row in ROWS:
        value = row.worst(collector.figures[row.figure])
        rows.append((row.oracle, written(value), row.wanted, link(row.test)))
    return rows


def link(test: str) -> str:
    file = test.partition("::")[0]
    return f"[{file}](../tests/{file})"


def written(value: float) -> str:
    """Three figures, and whole numbers whole."""
    if value == int(value):
        return f"{int(value):,}"
    return f"{value:.2f}" if 0.01 <= abs(value) < 1000 else f"{value:.1e}"


def seams(count: int) -> list[tuple[str, str, str, str]]:
    shifts = ring_shifts(count)
    wanted = {"refine": "at most 1", "fill": "at most 2"}
    return [
        (
            f"ring shift on the embedded model, {mode}, median of {count}, levels",
            written(found),
            wanted[mode],
            link("quality/seams.py"),
        )
        for mode, found in shifts.items()
    ]


def table(rows: Sequence[tuple[str, str, str, str]]) -> str:
    lines = ["| oracle | measured | wanted | test |", "|---|---|---|---|"]
    lines += [f"| {' | '.join(row)} |" for row in rows]
    made = f"{datetime.date.today()}, {platform.machine()}, torch {torch.__version__}, diffusers {diffusers.__version__}"
    return f"{BEGIN}\n" + "\n".join(lines) + f"\n\nMeasured {made}.\n{END}"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.quality", description=__doc__)
    parser.add_argument(
        "--seams", type=int, default=20, metavar="N", help="pictures for the seams (default: 20)"
    )
    arguments = parser.parse_args()
    made = table([*measured(), *seams(arguments.seams)])
    page = PAGE.read_text()
    PAGE.write_text(
        re.sub(f"{re.escape(BEGIN)}.*{re.escape(END)}", lambda _: made, page, flags=re.S)
    )
    print(made)


if __name__ == "__main__":
    main()

"""The GPU benchmark works: all of it but the CUDA graph, on tiny models and a bridge that only pretends to paint. What it
measures here says nothing."""

from __future__ import annotations

import pytest
import torch

from tests.bench import gpu
from tests.bridge_process import FAKE


def test_it_runs_to_its_end_with_every_arm() -> None:
    figures = gpu.run(tiny=True, rounds=1, command=FAKE)
    assert figures["gpu"] is None
    cases = figures["cases"]
    assert isinstance(cases, dict) and len(cases) == 2
    for case in cases.values():
        assert list(case["ms"]) == ["diffusers", "eager", "engine", "websocket"]
        assert case["roofline_ms"] > 0 and min(case["to_roofline"].values()) > 0
        assert "goal" not in case and case["peak_bytes"] == {}


def test_without_a_gpu_it_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert gpu.run() == {"gpu": None}
    assert "no GPU" in capsys.readouterr().out


def test_the_real_cases_are_those_of_the_goals() -> None:
    cases = gpu.real_cases()
    assert [(case.side, case.steps, case.controlled, case.is_xl) for case in cases] == [
        (512, 1, False, False),
        (512, 4, False, False),
        (512, 4, True, False),
        (512, 1, False, True),
        (1024, 4, False, True),
        (1024, 4, True, True),
    ]

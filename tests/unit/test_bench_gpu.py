"""The GPU benchmark works: all of it on tiny models, with a stand-in for CUDA graphs and a bridge that only pretends to paint.
What it measures here says nothing."""

from __future__ import annotations

import pytest
import torch

from bridge.engine import held
from tests.bench import gpu
from tests.bridge_process import FAKE
from tests.graph_stand_in import StandIn

ARMS = ["diffusers", "eager", "graph", "networks", "engine", "websocket"]


def test_it_runs_to_its_end_with_every_arm(monkeypatch: pytest.MonkeyPatch) -> None:
    graphs = StandIn()
    monkeypatch.setattr(held, "recorder", lambda device: graphs)
    figures = gpu.run(tiny=True, rounds=1, command=FAKE)
    assert figures["gpu"] is None
    cases = figures["cases"]
    assert isinstance(cases, dict)
    assert list(cases) == ["tiny SD 1.5, ControlNet", "tiny SDXL", "tiny SDXL, ControlNet"]
    for name, case in cases.items():
        assert list(case["ms"]) == ARMS
        assert case["roofline_ms"] > 0 and list(case["to_roofline"]) == ARMS
        wanted = ["the engine against the UNet in a CUDA graph"]
        wanted += ["the engine against the roofline"] if name == "tiny SDXL" else []
        assert [each["what"] for each in case["goals"]] == [f"{name}, {what}" for what in wanted]
        assert case["bytes"] == {} and 0 <= case["websocket_full"] <= 1
    assert graphs.recorded == 3 * len(cases), "the engine has its graphs before it is timed"


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
        (512, 1, True, False),
        (512, 4, False, False),
        (512, 4, True, False),
        (512, 1, False, True),
        (512, 1, True, True),
        (1024, 4, False, True),
        (1024, 4, True, True),
    ]

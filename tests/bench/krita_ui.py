"""How long a real Krita's UI thread is away while a picture is generated, and while nothing happens; and the same while
the painter draws strokes, without live painting and with it.

A timer in Krita wants to fire every 5 ms; a gap is the time between two of its ticks, less the time for which the thread
waited for a processor that others had. The whole canvas is selected, so that image, mask, previews and result are all
of the canvas's size. The four take turns (A B C D A B C D).
"""

from __future__ import annotations

import time

import numpy as np

from tests.bench.goals import row
from tests.krita.harness import BridgeDocker, Document, HostBridge, Krita, Live, find
from tests.krita.harness.docker import PATIENCE

SIDES = (1024, 2048)
ROUNDS = 2
IDLE_SECONDS = 6.0
PROMPT = "a red boat on a lake"
STROKES = 8
STRENGTH = 0.25
"""Of live painting."""

POLL = 0.25
"""Asking costs a moment of the UI thread; idle and generating are asked equally often."""


def run() -> dict[str, object]:
    """Gaps in ms for each side of the canvas; prints a line for each."""
    install = find()
    figures: dict[str, object] = {}
    with HostBridge(install) as bridge:
        bridge.start()
        with Krita(install, bridge.prepare) as krita:
            docker = BridgeDocker(krita)
            docker.make_room()
            docker.wait_until_connected()
            docker.paint(krita.new_document(128, 128), PROMPT)  # loads the model
            krita.close_all()
            for side in SIDES:
                figures[str(side)] = _measure(krita, docker, side)
    return figures


def _measure(krita: Krita, docker: BridgeDocker, side: int) -> dict[str, object]:
    gaps: dict[str, list[float]] = {"idle": [], "generate": [], "draw": [], "draw_live": []}
    document = krita.new_document(side, side)
    document.select_exactly(0, 0, side, side)
    docker.choose("slow")
    docker.write(PROMPT)
    live = Live(krita, docker)
    for _ in range(ROUNDS):
        gaps["idle"] += _gaps_idle(krita, docker)
        gaps["generate"] += _gaps_generating(krita, docker, document)
        gaps["draw"] += _gaps_drawing(krita, document)
        live.begin(STRENGTH)
        gaps["draw_live"] += _gaps_drawing(krita, document)
        live.switch(False)
    krita.close_all()
    found = {name: _summary(its_gaps) for name, its_gaps in gaps.items()}
    for name, figures in found.items():
        print(f"{side:5} px {name:9}", *(f"{key} {value:7.1f}" for key, value in figures.items()))
    if side < max(SIDES):
        return dict(found)
    p99 = {name: figures["p99_ms"] for name, figures in found.items()}
    return {
        **found,
        **row(
            f"UI gap at {side} px while drawing with live painting",
            f"p99 {p99['draw_live']:.1f} ms; idle {p99['idle']:.1f} ms, drawing without it {p99['draw']:.1f} ms",
            "16 ms",
            p99["draw_live"] <= 16,
        ),
    }


def _gaps_drawing(krita: Krita, document: Document) -> list[float]:
    """Straight strokes from edge to edge; each takes about a second."""
    side = document.facts()["width"]
    krita.agent.call("set_brush", "b) Basic-5", side / 40, [40, 90, 180])
    krita.agent.call("take_tool", "KritaShape/KisToolBrush")
    across = np.linspace(0.1 * side, 0.9 * side, 24)
    with krita.ui_gaps(own=True) as gaps:
        for number in range(STROKES):
            y = (0.1 + 0.8 * number / STROKES) * side
            document.drag([(x, y) for x in across])
    document.settle()
    return list(gaps)


def _gaps_idle(krita: Krita, docker: BridgeDocker) -> list[float]:
    until = time.monotonic() + IDLE_SECONDS
    with krita.ui_gaps(own=True) as gaps:
        while time.monotonic() < until:
            docker.is_busy()
            time.sleep(POLL)
    return list(gaps)


def _gaps_generating(krita: Krita, docker: BridgeDocker, document: Document) -> list[float]:
    before = docker.results()
    with krita.ui_gaps(own=True) as gaps:
        docker.generate()
        krita.wait_until(lambda: docker.results() > before, PATIENCE, every=POLL)
        krita.wait_until(lambda: not docker.is_busy(), PATIENCE, every=POLL)
    docker.wait_for_result(document, PROMPT)
    document.undo()
    return list(gaps)


def _summary(gaps: list[float]) -> dict[str, float]:
    p50, p99 = np.percentile(gaps, (50, 99))
    return {
        "p50_ms": round(float(p50), 1),
        "p99_ms": round(float(p99), 1),
        "max_ms": round(max(gaps), 1),
        "ticks": len(gaps),
    }

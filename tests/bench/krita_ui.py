"""How long a real Krita's UI thread is away while a picture is generated, and while nothing happens.

A timer in Krita wants to fire every 5 ms; a gap is the time between two of its ticks. The whole canvas is selected, so
that image, mask, previews and result are all of the canvas's size. Idle and generating take turns (A B A B).
"""

from __future__ import annotations

import time

import numpy as np

from tests.krita.harness import BridgeDocker, Document, HostBridge, Krita, find
from tests.krita.harness.docker import PATIENCE

SIDES = (1024, 2048)
ROUNDS = 2
IDLE_SECONDS = 6.0
PROMPT = "a red boat on a lake"
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
    idle: list[float] = []
    generating: list[float] = []
    document = krita.new_document(side, side)
    document.select_exactly(0, 0, side, side)
    docker.choose("slow")
    docker.write(PROMPT)
    for _ in range(ROUNDS):
        idle += _gaps_idle(krita, docker)
        generating += _gaps_generating(krita, docker, document)
    krita.close_all()
    found = {"idle": _summary(idle), "generate": _summary(generating)}
    for name, figures in found.items():
        print(f"{side:5} px {name:9}", *(f"{key} {value:7.1f}" for key, value in figures.items()))
    return dict(found)


def _gaps_idle(krita: Krita, docker: BridgeDocker) -> list[float]:
    until = time.monotonic() + IDLE_SECONDS
    with krita.ui_gaps() as gaps:
        while time.monotonic() < until:
            docker.is_busy()
            time.sleep(POLL)
    return list(gaps)


def _gaps_generating(krita: Krita, docker: BridgeDocker, document: Document) -> list[float]:
    before = docker.results()
    with krita.ui_gaps() as gaps:
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

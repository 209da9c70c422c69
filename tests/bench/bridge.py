"""What the bridge costs: until it listens, on top of the bare engine call, and until a cancel is done.

The engine is the embedded model on one thread in both arms, the client a bare websocket.
"""

from __future__ import annotations

import asyncio
import os
import socket
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import psutil

from bridge.engine.pipeline import Engine
from bridge.engine.types import ImageU8, StepReport
from bridge.pixels import swap_red_and_blue
from bridge.presets import DEFAULT_PRESET, load_presets
from bridge.worker import THREADS_VARIABLE, to_job
from krita_plugin.krita_bridge.wire.frames import Frame, Tensor
from krita_plugin.krita_bridge.wire.geometry import Bounds, Extent
from krita_plugin.krita_bridge.wire.messages import (
    Acknowledge,
    Cancel,
    Ended,
    EngineState,
    EngineStatus,
    PaintRequest,
    Progress,
    Result,
    Submit,
)
from krita_plugin.krita_bridge.wire.runfile import HOME_VARIABLE
from tests.bench.goals import row
from tests.bridge_process import FAKE, PATIENCE, BareClient, BridgeProcess, client

REAL = (
    sys.executable,
    "-c",
    "import sys; from bridge.cli import main; sys.exit(main(['serve', *sys.argv[2:]]))",
)
STARTS = 7
CANCELS = 20
JOBS = ((128, 4, 9), (512, 4, 9))
"""Side, steps, rounds of whole jobs."""

WARM_UPS = 2
TRANSPORTS = (64, 512, 1024, 2048)


def run() -> dict[str, object]:
    """Times in ms; minimum and median."""
    return {"start": starts(), **asyncio.run(_jobs())}


async def _jobs() -> dict[str, object]:
    return {
        "transport": await transport(),
        "whole_job": await whole_jobs(),
        "cancel": await cancels(),
    }


def starts() -> dict[str, object]:
    """From spawning `krita-bridge serve` to its first accepted connection, and to its Welcome."""
    accepted, welcomed = [], []
    for _ in range(STARTS):
        with _bridge(REAL) as (process, began):
            run_file = process.wait_until_listening()
            with socket.create_connection(("127.0.0.1", run_file.port), PATIENCE):
                accepted.append(_ms(began))

            async def welcome(run_file: object = run_file) -> None:
                async with client(run_file):  # type: ignore[arg-type]
                    pass

            asyncio.run(welcome())
            welcomed.append(_ms(began))
    figures = {"listening_ms": _figures(accepted), "welcome_ms": _figures(welcomed)}
    median = statistics.median(accepted)
    measured = f"{_text(accepted)}; to Welcome: {_text(welcomed)}"
    return {
        **figures,
        **row("process start to accepted connection", measured, "500 ms", median <= 500),
    }


async def transport() -> dict[str, object]:
    """A whole job with an engine that takes no time: image and mask up, stored, result down."""
    figures: dict[str, object] = {}
    with _bridge(FAKE) as (process, _):
        async with client(process.wait_until_listening()) as painter:
            for side in TRANSPORTS:
                times = []
                for number in range(12):
                    job, tensors = _job(f"t-{side}-{number}", side, 1)
                    began = time.perf_counter()
                    await _through(painter, job, tensors)
                    times.append(_ms(began))
                figures[f"{side}px_ms"] = _figures(times[2:])
                print(f"job of no work at {side} px: {_text(times[2:])}")
    return figures


async def whole_jobs() -> dict[str, object]:
    """Through the bridge against the bare engine call, in turn; the bytes must be the same.

    On a busy machine trust the processor time (of this process against the worker's), not the wall clock.
    """
    engine = Engine(load_presets(), threads=1)
    engine.prepare(DEFAULT_PRESET, lambda done, sentence: None)
    figures: dict[str, object] = {}
    with _bridge(REAL) as (process, _):
        async with client(process.wait_until_listening()) as painter:
            for side, steps, rounds in JOBS:
                (worker,) = psutil.Process(process.process.pid).children()
                bare, through, outside, bare_cpu, worker_cpu, same = [], [], [], [], [], True
                for number in range(rounds + WARM_UPS):
                    job, tensors = _job(f"w-{side}-{number}", side, steps)
                    began, cpu = time.perf_counter(), time.process_time()
                    expected = _bare(engine, job, tensors)
                    bare.append(_ms(began))
                    bare_cpu.append(1000.0 * (time.process_time() - cpu))
                    began, cpu = time.perf_counter(), sum(worker.cpu_times()[:2])
                    got, engine_ms = await _through(painter, job, tensors)
                    through.append(_ms(began))
                    outside.append(through[-1] - engine_ms)
                    worker_cpu.append(1000.0 * (sum(worker.cpu_times()[:2]) - cpu))
                    same &= bool(np.array_equal(expected, got))
                arms = (bare, through, outside, bare_cpu, worker_cpu)
                bare, through, outside, bare_cpu, worker_cpu = (arm[WARM_UPS:] for arm in arms)
                cpu_ratio = sum(worker_cpu) / sum(bare_cpu)
                ratio = statistics.median(t / b for t, b in zip(through, bare, strict=True))
                found = row(
                    f"{side} px, {steps} steps, a whole job",
                    f"bare {_text(bare)}; through the bridge {_text(through)}, "
                    f"of which outside the engine {_text(outside)}; "
                    f"median ratio of pairs {ratio:.3f}, of minima {min(through) / min(bare):.3f}; "
                    f"processor time of the worker to that of the bare call {cpu_ratio:.3f}; "
                    f"bytes {'identical' if same else 'DIFFER'}",
                    "1.05 times, identical bytes",
                    ratio <= 1.05 and same,
                )
                figures[f"{side}px"] = {
                    "steps": steps,
                    "bare_ms": _figures(bare),
                    "bridge_ms": _figures(through),
                    "outside_engine_ms": _figures(outside),
                    "median_ratio": ratio,
                    "processor_time_ratio": cpu_ratio,
                    "ratio_of_minima": min(through) / min(bare),
                    "bytes_identical": same,
                    **found,
                }
    return figures


async def cancels() -> dict[str, object]:
    """From sending Cancel to its answer, and until the worker is free, in ms and in steps."""
    answered, freed, steps = [], [], []
    with _bridge(REAL) as (process, _):
        async with client(process.wait_until_listening()) as painter:
            await _through(painter, *_job("warm-up", 256, 2))
            for number in range(CANCELS):
                job, tensors = _job(f"c-{number}", 256, 20)
                await painter.send(job, *tensors)
                told = []
                for _ in range(4):
                    message, _ = await painter.until(Progress)
                    assert isinstance(message, Progress)
                    told.append((message.step, time.perf_counter()))
                (first, began), (last, ended) = told[0], told[-1]  # not every short step is told of
                step_ms = 1000 * (ended - began) / (last - first)
                await asyncio.sleep(step_ms / 1000 * number / CANCELS)
                began = time.perf_counter()
                await painter.send(Cancel(job.job))
                await painter.until(Ended)
                answered.append(_ms(began))
                await _until_ready(painter)
                freed.append(_ms(began))
                steps.append(freed[-1] / step_ms)
    p95 = _p95(steps)
    return {
        **row(
            "cancel answered",
            f"{_text(answered)}; worker free: {_text(freed)}, "
            f"{statistics.median(steps):.2f} steps (p95 {p95:.2f}, most {max(steps):.2f})",
            "5 ms; one step at p95",
            statistics.median(answered) <= 5 and p95 <= 1,
        ),
        "answered_ms": _figures(answered),
        "worker_free_ms": _figures(freed),
        "worker_free_steps": {
            "median": statistics.median(steps),
            "p95": p95,
            "max": max(steps),
        },
    }


def _job(name: str, side: int, steps: int) -> tuple[Submit, list[tuple[str, Tensor]]]:
    """An inpainting job of the whole square but its rim; without previews."""
    random = np.random.default_rng(side)
    image = random.integers(0, 256, (side, side, 4), np.uint8)
    image[..., 3] = 255
    mask = np.zeros((side, side), np.uint8)
    rim = side // 8
    mask[rim:-rim, rim:-rim] = 255
    request = PaintRequest("a red boat on a blue sea", seed=1, steps=steps, strength=1.0)
    square = Bounds(0, 0, side, side)
    job = Submit(name, request, Extent(side, side), square, previews=False)
    tensors = [
        ("image", Tensor(image.shape, image.tobytes())),
        ("mask", Tensor(mask.shape, mask.tobytes())),
    ]
    return job, tensors


def _bare(engine: Engine, job: Submit, tensors: Sequence[tuple[str, Tensor]]) -> ImageU8:
    def ignore(report: StepReport) -> None:
        pass

    order = to_job(job, Frame("", dict(tensors)))
    return engine.paint(order, on_step=ignore, is_cancelled=lambda: False).image


async def _through(
    painter: BareClient, job: Submit, tensors: Sequence[tuple[str, Tensor]]
) -> tuple[ImageU8, float]:
    """The picture, and the milliseconds the worker spent in its engine."""
    await painter.send(job, *tensors)
    message, frame = await painter.until(Result, Ended)
    assert isinstance(message, Result), message
    await painter.send(Acknowledge(job.job))
    image = frame.tensors["image"]
    pixels = np.frombuffer(image.data, np.uint8).reshape(image.shape)
    return swap_red_and_blue(pixels), 1000.0 * message.facts.seconds


async def _until_ready(painter: BareClient) -> None:
    while True:
        message, _ = await painter.until(EngineStatus)
        if isinstance(message, EngineStatus) and message.state is EngineState.READY:
            return


@contextmanager
def _bridge(
    command: tuple[str, ...], prepare: Callable[[Path], object] = lambda home: None
) -> Iterator[tuple[BridgeProcess, float]]:
    """A bridge in a home of its own, which `prepare` may fill, on one thread, and the moment it was spawned."""
    with tempfile.TemporaryDirectory() as home:
        before = {name: os.environ.get(name) for name in (THREADS_VARIABLE, HOME_VARIABLE)}
        os.environ |= {THREADS_VARIABLE: "1", HOME_VARIABLE: home}
        prepare(Path(home))
        began = time.perf_counter()
        process = BridgeProcess(Path(home), command=command)
        try:
            yield process, began
        finally:
            process.terminate()
            for name, value in before.items():
                os.environ.pop(name) if value is None else os.environ.update({name: value})


def _ms(began: float) -> float:
    return 1000.0 * (time.perf_counter() - began)


def _figures(times: Sequence[float]) -> dict[str, float]:
    return {"min": min(times), "median": statistics.median(times)}


def _p95(values: Sequence[float]) -> float:
    return statistics.quantiles(values, n=20, method="inclusive")[-1]


def _text(times: Sequence[float]) -> str:
    return f"min {min(times):.1f} ms, median {statistics.median(times):.1f} ms"

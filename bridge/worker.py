"""The worker process: owns the model and paints one job at a time.

Started by the serve process (jobs/supervisor.py). Frames come in on stdin: Submit and Cancel; frames go out
on what was stdout: EngineStatus, and for each Submit Progress, Preview and at last one Result or Ended.
When stdin ends, the serve process is gone and the worker leaves at once.
"""

from __future__ import annotations

import argparse
import contextlib
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import BinaryIO, NoReturn, Protocol

import numpy as np

from bridge.engine.types import (
    ImageU8,
    IsCancelled,
    Job,
    OnStep,
    Painting,
    Snapshot,
    StepReport,
)
from bridge.errors import BridgeError, Code
from bridge.jobs.estimate import PROGRESS_SECONDS, PreviewPace, StepClock
from bridge.jobs.pipes import BEAT, BEAT_SECONDS, read_frame, write_frame
from bridge.models.brake import stop_if
from bridge.pixels import swap_red_and_blue
from bridge.presets import DEFAULT_PRESET
from krita_plugin.krita_bridge.wire import frames, messages
from krita_plugin.krita_bridge.wire.control import Control, control_tensor
from krita_plugin.krita_bridge.wire.frames import Frame, Tensor
from krita_plugin.krita_bridge.wire.messages import (
    IMAGE,
    MASK,
    Cancel,
    Ended,
    EngineState,
    EngineStatus,
    JobState,
    Message,
    Preview,
    Progress,
    Result,
    Submit,
)
from krita_plugin.krita_bridge.wire.reference import Reference, reference_tensor

log = logging.getLogger(__name__)

THREADS_VARIABLE = "KRITA_BRIDGE_THREADS"


class PaintingEngine(Protocol):
    """What the worker asks of an engine: bridge/engine/pipeline.py, or a fake in tests."""

    @property
    def device_name(self) -> str: ...

    @property
    def model_name(self) -> str: ...

    def prepare(
        self,
        preset: str,
        on_progress: Callable[[float, str], None],
        controls: Sequence[Control] = (),
        references: Sequence[Reference] = (),
    ) -> None: ...

    def paint(self, job: Job, *, on_step: OnStep, is_cancelled: IsCancelled) -> Painting: ...

    def rest(self) -> None: ...


@dataclass(frozen=True)
class Order:
    """A job as it came in; `cancelled` is set by the reading thread."""

    submit: Submit
    job: Job
    cancelled: threading.Event = field(default_factory=threading.Event)


class Inbox:
    """Reads stdin in a thread, so that a Cancel is seen while a step runs."""

    def __init__(self, pipe: BinaryIO) -> None:
        self._pipe = pipe
        self._orders: SimpleQueue[Order] = SimpleQueue()
        self._current: Order | None = None
        threading.Thread(target=self._read, name="inbox", daemon=True).start()

    @property
    def is_empty(self) -> bool:
        """Whether no job waits."""
        return self._orders.empty()

    def next(self) -> Order:
        """Wait for the next job."""
        return self._orders.get()

    def _read(self) -> None:
        try:
            while (data := read_frame(self._pipe)) is not None:
                self._take(frames.decode(data))
        except Exception:
            log.exception("the serve process sent something unreadable")
        os._exit(0)  # the serve process is gone: nobody is left to paint for

    def _take(self, frame: Frame) -> None:
        message = messages.loads(frame.message)
        if isinstance(message, Submit):
            self._current = Order(message, to_job(message, frame))
            self._orders.put(self._current)
        elif self._current is not None and message == Cancel(self._current.submit.job):
            self._current.cancelled.set()


class Outlet:
    """Writes frames in a thread, in order, so that a step never waits for the pipe.

    Between them it sends beats, however long a step takes: only a process that is stuck as a whole sends none.
    """

    def __init__(self, pipe: BinaryIO) -> None:
        self._pipe = pipe
        self._waiting: SimpleQueue[Frame] = SimpleQueue()
        self._unwritten = 0
        self._lock = threading.Lock()
        threading.Thread(target=self._write, name="outlet", daemon=True).start()

    @property
    def is_behind(self) -> bool:
        """Whether the serve process has yet to take what was sent before."""
        return self._unwritten > 0

    def send(
        self,
        message: Message,
        image: ImageU8 | None = None,
        maps: Mapping[int, ImageU8] | None = None,
    ) -> None:
        """Queue a message, with `image` and, by the number of their control, `maps` (RGBA) as its pixels."""
        tensors = {}
        if image is not None:
            tensors[IMAGE] = _tensor(image)
        for index, kept in (maps or {}).items():
            tensors[control_tensor(index)] = _tensor(kept)
        with self._lock:
            self._unwritten += 1
        self._waiting.put(Frame(messages.dumps(message), tensors))

    def _write(self) -> None:
        while True:
            frame = self._next()
            try:
                write_frame(self._pipe, BEAT if frame is None else frames.encode(frame))
            except OSError:
                return  # the serve process is gone: the inbox sees that too, and ends this one
            if frame is not None:
                with self._lock:
                    self._unwritten -= 1

    def _next(self) -> Frame | None:
        try:
            return self._waiting.get(timeout=BEAT_SECONDS)
        except Empty:
            return None


def to_job(submit: Submit, frame: Frame) -> Job:
    """The engine's job of a Submit whose tensors the serve process has checked; colours become RGBA."""
    image, mask = frame.tensors.get(IMAGE), frame.tensors.get(MASK)
    request = replace(submit.request, preset=submit.request.preset or DEFAULT_PRESET)
    snapshot = Snapshot(
        submit.canvas,
        submit.bounds,
        None if image is None else swap_red_and_blue(_array(image)),
        None if mask is None else _array(mask),
        {
            index: swap_red_and_blue(_array(frame.tensors[control_tensor(index)]))
            for index, control in enumerate(submit.request.controls)
            if control.brings_picture
        },
        tuple(
            swap_red_and_blue(_array(frame.tensors[reference_tensor(index)]))
            for index in range(len(submit.request.references))
        ),
    )
    return Job(request, snapshot, submit.previews)


def _tensor(image: ImageU8) -> Tensor:
    return Tensor(image.shape, swap_red_and_blue(image).data.cast("B"))


def _array(tensor: Tensor) -> ImageU8:
    return np.frombuffer(tensor.data, np.uint8).reshape(tensor.shape)


class StepTeller:
    """Turns the engine's step reports into Progress and Preview messages, the first at once and then not too often."""

    def __init__(self, submit: Submit, outlet: Outlet, clock: StepClock, pace: PreviewPace) -> None:
        self._submit = submit
        self._pace = pace
        self._outlet = outlet
        self._clock = clock
        self._next_progress = 0.0
        self._next_preview = 0.0

    def __call__(self, report: StepReport) -> None:
        now = time.monotonic()
        left = self._clock.step_done(report.step, report.steps, now)
        behind = self._outlet.is_behind
        if now >= self._next_progress:
            self._outlet.send(Progress(self._submit.job, report.step, report.steps, left))
            self._next_progress = now + PROGRESS_SECONDS
        due = now >= self._next_preview and not behind and report.step < report.steps
        if self._submit.previews and due:
            image, bounds = report.preview()
            self._outlet.send(Preview(self._submit.job, report.step, bounds), image)
            taken = time.monotonic() - now
            self._next_preview = now + self._pace.pause_after(bounds.width * bounds.height, taken)


class Worker:
    """Prepares the default model, then serves orders until the process ends."""

    def __init__(
        self, make_engine: Callable[[], PaintingEngine], inbox: Inbox, outlet: Outlet
    ) -> None:
        self._make_engine = make_engine
        self._inbox = inbox
        self._outlet = outlet
        self._tail_steps = 1.0
        self._pace = PreviewPace()

    def run(self) -> NoReturn:
        self._tell(EngineState.LOADING, "Starting the engine.", progress=0.0)
        engine: PaintingEngine | None = None
        try:
            engine = self._make_engine()
            engine.prepare(DEFAULT_PRESET, self._tell_loading)
            self._tell_ready(engine)
        except BridgeError as error:
            log.error("the default model cannot be used: %s", error)
            self._tell(EngineState.FAILED, str(error))
            if engine is None:
                self._refuse_all(error)
        assert engine is not None
        while True:
            if self._inbox.is_empty:
                engine.rest()
            order = self._inbox.next()
            self._serve(engine, order)
            self._tell_ready(engine)

    def _refuse_all(self, error: BridgeError) -> NoReturn:
        while True:
            self._outlet.send(_failure(self._inbox.next().submit.job, error))

    def _serve(self, engine: PaintingEngine, order: Order) -> None:
        name = order.submit.job
        try:
            request, is_cancelled = order.job.request, order.cancelled.is_set

            def on_loading(progress: float, sentence: str) -> None:
                stop_if(is_cancelled)
                self._tell_loading(progress, sentence)

            stop_if(is_cancelled)
            engine.prepare(request.preset, on_loading, request.controls, request.references)
            stop_if(is_cancelled)
            self._tell(EngineState.BUSY, "Painting.", engine)
            self._paint(engine, order)
        except BridgeError as error:
            self._outlet.send(_failure(name, error))
        except Exception as error:
            log.exception("job %s failed", name)
            if _device_is_lost(error):
                raise
            self._outlet.send(_internal_failure(name, error))

    def _paint(self, engine: PaintingEngine, order: Order) -> None:
        submit, started = order.submit, time.monotonic()
        clock = StepClock(started, self._tail_steps)
        painting = engine.paint(
            order.job,
            on_step=StepTeller(submit, self._outlet, clock, self._pace),
            is_cancelled=order.cancelled.is_set,
        )
        finished = time.monotonic()
        self._tail_steps = clock.tail(finished)
        facts = replace(painting.facts, seconds=round(finished - started, 4))
        canvas = submit.canvas.scaled(submit.request.upscale)
        self._outlet.send(
            Result(submit.job, painting.bounds, canvas, facts, submit.document),
            painting.image,
            painting.maps,
        )

    def _tell(
        self,
        state: EngineState,
        sentence: str,
        engine: PaintingEngine | None = None,
        progress: float | None = None,
    ) -> None:
        model, device = (engine.model_name, engine.device_name) if engine else ("", "")
        self._outlet.send(EngineStatus(state, sentence, model, device, progress))

    def _tell_loading(self, progress: float, sentence: str) -> None:
        self._tell(EngineState.LOADING, sentence, progress=min(max(progress, 0.0), 1.0))

    def _tell_ready(self, engine: PaintingEngine) -> None:
        self._tell(EngineState.READY, "Ready.", engine)


def _failure(job: str, error: BridgeError) -> Ended:
    state = JobState.CANCELLED if error.code is Code.CANCELLED else JobState.FAILED
    return Ended(job, state, error.code.value, error.message, error.hint)


def _internal_failure(job: str, error: Exception) -> Ended:
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        code, sentence = Code.OUT_OF_MEMORY, "There was not enough memory for this job."
        hint = "Select a smaller area or close other programs, then try again."
    else:
        code, sentence = Code.INTERNAL, "The engine made a mistake."
        hint = "Try again; if it happens again, please report it with the log."
    return Ended(job, JobState.FAILED, code.value, sentence, hint)


def _device_is_lost(error: Exception) -> bool:
    """After such an error (as after sleep) every later call on the device fails too: only a new process helps."""
    return type(error).__name__ == "AcceleratorError" or "CUDA error" in str(error)


def run(make_engine: Callable[[], PaintingEngine]) -> NoReturn:
    """Serve orders from stdin with the engine that `make_engine` makes; the process ends with stdin.

    Whatever prints to stdout from now on goes to stderr, so that no library can break a frame.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the serve process, which ends us
    logging.basicConfig(stream=sys.stderr, format="%(levelname)s %(name)s: %(message)s")
    pipe_in = os.fdopen(os.dup(0), "rb", buffering=0)
    pipe_out = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(2, 1)
    _widen(pipe_in)
    _widen(pipe_out)
    Worker(make_engine, Inbox(pipe_in), Outlet(pipe_out)).run()


def _widen(pipe: BinaryIO) -> None:
    """Let a megabyte pass between two switches of processes instead of 64 KiB, where the system can."""
    if sys.platform == "linux":
        import fcntl

        with contextlib.suppress(OSError):
            fcntl.fcntl(pipe.fileno(), fcntl.F_SETPIPE_SZ, 1 << 20)


def cpu_threads() -> int:
    """How many threads torch gets: one core is left to Krita, unless THREADS_VARIABLE says otherwise.

    With all cores, every step waits for the thread that shares its core with the brush: on two busy cores
    a job of 6 s took 86 to 104 s. Raises BridgeError when the variable is no number of threads.
    """
    given = os.environ.get(THREADS_VARIABLE, "")
    if not given:
        return max(1, len(_own_cores()) - 1)
    if not given.isdecimal() or not 1 <= int(given) <= 1024:
        raise BridgeError(
            Code.BAD_INPUT,
            f"{THREADS_VARIABLE} is {given[:20]!r}, which is no number of threads.",
            "Unset it, or set it to 1 or more.",
        )
    return int(given)


def _own_cores() -> set[int]:
    if hasattr(os, "sched_getaffinity"):
        return set(os.sched_getaffinity(0))
    return set(range(os.cpu_count() or 1))


def main() -> None:
    parser = argparse.ArgumentParser(prog="bridge.worker")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--presets", type=Path)
    parser.add_argument("--home", type=Path, required=True)
    arguments = parser.parse_args()

    def make_engine() -> PaintingEngine:
        from bridge.engine.pipeline import Engine
        from bridge.models.checkpoints import all_presets

        home = arguments.home
        presets = all_presets(arguments.presets, home, lambda bad: log.error("%s", bad))
        return Engine(presets, device=arguments.device, threads=cpu_threads(), home=home)

    run(make_engine)


if __name__ == "__main__":
    main()

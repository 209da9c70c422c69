"""A worker with a fake engine, started by tests as `python -m tests.fake_worker`.

The prompt steers it, as words separated by spaces: `steps=N`, `pause=SECONDS` (a step), `hold=FILE` (goes on
to its last step only once FILE exists), `die` (kill -9 to itself at step 2), `die-once=FILE` (only while FILE does not exist), `fail`, `memory`, `crash`, `lost`
(the GPU), `noise` (on stdout). An argument names a file without which it does not start.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from bridge import worker
from bridge.engine.types import ImageU8, IsCancelled, Job, OnStep, Painting, StepReport
from bridge.errors import BridgeError, Code
from krita_plugin.krita_bridge.wire.control import Control
from krita_plugin.krita_bridge.wire.geometry import Bounds
from krita_plugin.krita_bridge.wire.messages import ResultFacts
from krita_plugin.krita_bridge.wire.reference import Reference


def painted_bounds(job: Job) -> Bounds:
    canvas = job.snapshot.canvas
    return job.snapshot.bounds.scaled(canvas, canvas.scaled(job.request.upscale))


def expected_image(job: Job) -> ImageU8:
    """H x W x 4 RGBA: red counts columns, green rows, blue is the seed; opaque where selected."""
    bounds = painted_bounds(job)
    height, width = bounds.height, bounds.width
    image = np.zeros((height, width, 4), np.uint8)
    image[..., 0] = np.arange(width, dtype=np.int64) % 256
    image[..., 1] = (np.arange(height, dtype=np.int64) % 256)[:, None]
    image[..., 2] = job.request.seed % 256
    image[..., 3] = 255
    if job.snapshot.mask is not None:
        image[job.snapshot.mask == 0] = 0
    return image


class FakeEngine:
    """Paints `expected_image` at once and then waits as the prompt says."""

    device_name = "fake"
    model_name = "fake model"

    def prepare(
        self,
        preset: str,
        on_progress: Callable[[float, str], None],
        controls: Sequence[Control] = (),
        references: Sequence[Reference] = (),
    ) -> None:
        on_progress(0.5, "Loading the fake model.")

    def rest(self) -> None:
        """There is nothing to make faster."""

    def paint(self, job: Job, *, on_step: OnStep, is_cancelled: IsCancelled) -> Painting:
        words = dict(word.partition("=")[::2] for word in job.request.prompt.split())
        steps = int(words.get("steps", "2"))
        image = expected_image(job)

        def preview() -> tuple[ImageU8, Bounds]:
            return image, painted_bounds(job)

        for step in range(1, steps + 1):
            time.sleep(float(words.get("pause", "0")))
            while step == steps and _is_held(words) and not is_cancelled():
                time.sleep(0.01)
            if is_cancelled():
                raise BridgeError(Code.CANCELLED, "The job was cancelled.")
            _mishap(words, step)
            on_step(StepReport(step, steps, preview))
        request = job.request
        facts = ResultFacts(
            request.prompt, "", request.preset, request.seed, request.strength, steps, steps,
            1.0, "none", "fake model", "", 8, 8, 0.0, "0",
        )  # fmt: skip
        pictures = {-1: expected_image(job), **job.snapshot.controls}
        kept = [index for index, control in enumerate(request.controls) if control.keep]
        maps = {index: pictures.get(index, pictures[-1]) for index in kept}
        return Painting(image, painted_bounds(job), facts, maps)


def _is_held(words: dict[str, str]) -> bool:
    return "hold" in words and not Path(words["hold"]).exists()


def _mishap(words: dict[str, str], step: int) -> None:
    if "fail" in words:
        raise BridgeError(Code.BAD_INPUT, "The selection is empty.", "Select something.")
    if "memory" in words:
        raise MemoryError
    if "crash" in words:
        raise RuntimeError("a bug")
    if "lost" in words:
        raise RuntimeError("CUDA error: unspecified launch failure")
    if "noise" in words:
        print("noise on stdout", flush=True)
        os.write(1, b"more noise\n")
    once = Path(words["die-once"]) if "die-once" in words else None
    if step == 2 and ("die" in words or (once and not once.exists())):
        if once:
            once.touch()
        os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    if sys.argv[1:] and sys.argv[1] and not Path(sys.argv[1]).exists():
        sys.exit("this worker never starts")
    worker.run(FakeEngine)

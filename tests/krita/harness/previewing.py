"""A bridge that paints nothing and sends pictures when a test says so: how long a job takes is the test's choice."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator

import numpy as np

from krita_plugin.krita_bridge.wire import frames, messages
from krita_plugin.krita_bridge.wire.geometry import Bounds
from tests.scripted_bridge import ScriptedBridge, facts_of

COLOURS = ((30, 60, 200, 255), (200, 120, 30, 255))
"""BGRA of the pictures in turn, so that each preview changes every pixel of the one before."""

STEPS = 1000
EVERY = 0.25
"""Seconds between two previews: more often than Krita draws them at this size."""


class PreviewingBridge(ScriptedBridge):
    """Keeps every job waiting; `previews` and `finish` make it go on."""

    def jobs(self) -> int:
        """How many jobs were asked for so far."""
        return len(self.submitted)

    def wait_for_job(self, count: int) -> messages.Submit:
        """The `count`th job that was asked for since the start, once it has come."""
        submit = self.wait_for(messages.Submit, count, 90.0)[count - 1]
        assert isinstance(submit, messages.Submit)
        return submit

    @contextlib.contextmanager
    def previews(self, submit: messages.Submit) -> Iterator[None]:
        """As long as this lasts, progress and a preview of the job's whole area every quarter of a second."""
        over = threading.Event()
        thread = threading.Thread(target=self._send_previews, args=(submit, over), daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()

    def _send_previews(self, submit: messages.Submit, over: threading.Event) -> None:
        pictures = [_picture(submit.bounds, colour) for colour in COLOURS]
        for step in range(1, STEPS):
            progress = messages.Progress(submit.job, step, STEPS, None)
            preview = messages.Preview(submit.job, step, submit.bounds)
            self.send(messages.dumps(progress))
            self.send(_with(messages.dumps(preview), pictures[step % len(pictures)]))
            if over.wait(EVERY):
                return

    def finish(self, submit: messages.Submit) -> None:
        """Send the result: the first of the colours, on all of the job's area."""
        result = messages.Result(
            submit.job, submit.bounds, submit.canvas, facts_of(submit), submit.document
        )
        self.send(_with(messages.dumps(result), _picture(submit.bounds, COLOURS[0])))


def _picture(bounds: Bounds, colour: tuple[int, int, int, int]) -> np.ndarray:
    return np.full((bounds.height, bounds.width, 4), colour, np.uint8)


def _with(message: bytes | str, picture: np.ndarray) -> bytes:
    tensor = frames.Tensor(picture.shape, picture.reshape(-1).data)
    return frames.join(frames.Frame(message, {messages.IMAGE: tensor}))

"""What a waiting person sees on stderr: one bar with the time left, and sentences."""

from __future__ import annotations

import sys
from types import TracebackType

from tqdm import tqdm

from krita_plugin.krita_bridge.wire.messages import Progress


class ProgressBar:
    """A bar of steps; it appears with the first step and sentences are written above it."""

    def __init__(self) -> None:
        self._bar: tqdm[None] | None = None
        self._said = ""

    def __enter__(self) -> ProgressBar:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.finish()

    def finish(self) -> None:
        """Leave the bar as it stands; the next step begins another."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None

    def say(self, sentence: str) -> None:
        """Write a sentence, unless it was the last one already."""
        if sentence and sentence != self._said:
            self._said = sentence
            tqdm.write(sentence, file=sys.stderr)

    def step(self, progress: Progress) -> None:
        if self._bar is None:
            form = "Painting {percentage:3.0f}% |{bar}| {n_fmt}/{total_fmt}{postfix}"
            # Every step is shown: by itself tqdm leaves out those that come fast, the last one too.
            self._bar = tqdm(
                total=progress.steps, file=sys.stderr, bar_format=form, mininterval=0, miniters=1
            )
        if progress.seconds_left is not None:
            self._bar.set_postfix_str(f"{progress.seconds_left:.0f} s left", refresh=False)
        self._bar.update(progress.step - self._bar.n)

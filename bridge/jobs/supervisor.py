"""Keeps one worker process alive: starts it, hands frames over, restarts it when it dies or hangs."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
from asyncio.subprocess import PIPE, Process
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from krita_plugin.krita_bridge.wire import frames, messages
from krita_plugin.krita_bridge.wire.frames import Buffer, Frame
from krita_plugin.krita_bridge.wire.messages import Ended, Message, Result

from .pipes import LENGTH_BYTES, PipeError, length_prefix, read_length

log = logging.getLogger(__name__)

DEATHS_IN_A_ROW = 3
"""So many deaths without a job in hand, and no job finished in between, are a crash loop."""

SILENCE_SECONDS = 300.0
"""A worker that has sent nothing for so long, not even a beat (`pipes.py`), hangs and is ended.

A slow step is no silence: beats come from a thread of its own. What stops them is a process that is stopped, or
stuck in the kernel, in a driver, or in a library that never lets go of Python's lock.
"""

_SILENCE_PARTS = 10
_PAUSES = (0.1, 1.0, 3.0)
_STOP_SECONDS = 3.0
_READ_AHEAD_BYTES = 4 << 20
_STDERR_LINE = re.compile(rb"[\r\n]+")


@dataclass(frozen=True)
class WorkerExit:
    """How a worker ended. `code` is negative for a signal.

    `gave_up`: it is not started again by itself. `hung`: it was ended for its silence.
    """

    code: int
    gave_up: bool
    hung: bool = False


class WorkerListener(Protocol):
    """What the supervisor tells; always from the event loop."""

    def worker_starting(self) -> None: ...

    def worker_said(self, message: Message, frame: Frame, data: bytes) -> None: ...

    def worker_died(self, exit_: WorkerExit) -> None: ...

    @property
    def has_job_in_hand(self) -> bool: ...


class Supervisor:
    """Runs `command` as a child whose stdin and stdout carry frames (`pipes.py`) and stderr text."""

    def __init__(
        self,
        command: Sequence[str],
        listener: WorkerListener,
        silence_seconds: float = SILENCE_SECONDS,
    ) -> None:
        self._command = tuple(command)
        self._listener = listener
        self._silence_seconds = silence_seconds
        self._quiet_parts = 0
        self._process: Process | None = None
        self._deaths = 0
        self._stopping = False
        self._revived = asyncio.Event()

    @property
    def pid(self) -> int | None:
        """The worker's process id while it lives."""
        return self._process.pid if self._process else None

    async def run(self) -> None:
        """Keep a worker alive until `stop`."""
        while not self._stopping:
            self._listener.worker_starting()
            code = await self._attend()
            if self._stopping:
                return
            self._deaths = 0 if self._listener.has_job_in_hand else self._deaths + 1
            gave_up = self._deaths >= DEATHS_IN_A_ROW
            log.error("the worker ended with code %s (%s in a row)", code, self._deaths)
            self._revived.clear()
            hung = self._quiet_parts >= _SILENCE_PARTS
            self._listener.worker_died(WorkerExit(code, gave_up, hung))
            if gave_up:
                await self._revived.wait()
            else:
                await asyncio.sleep(_PAUSES[self._deaths])

    def revive(self) -> None:
        """Try once more after the supervisor gave up."""
        self._revived.set()

    def send(self, buffers: Sequence[Buffer]) -> None:
        """Hand one frame to the worker, in order, without waiting; lost if the worker dies."""
        if self._process is None or self._process.stdin is None:
            return
        pipe = self._process.stdin
        pipe.write(length_prefix(buffers))
        for buffer in buffers:
            pipe.write(buffer)

    def kill(self) -> None:
        """End the worker at once; it is started again."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()

    async def stop(self) -> None:
        """End the worker: it leaves by itself when its stdin closes, and is killed if it does not."""
        self._stopping = True
        self._revived.set()
        process = self._process
        if process is None:
            return
        if process.stdin is not None:
            process.stdin.close()
        try:
            await asyncio.wait_for(process.wait(), _STOP_SECONDS)
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                process.kill()

    async def _attend(self) -> int:
        try:
            process = await asyncio.create_subprocess_exec(
                *self._command, stdin=PIPE, stdout=PIPE, stderr=PIPE, limit=_READ_AHEAD_BYTES
            )
        except OSError as error:
            log.error("the worker cannot be started: %s", error)
            return -1
        log.info("the worker runs as process %s", process.pid)
        if self._stopping:  # `stop` came while it was being started and found nothing to end
            process.kill()
            return await process.wait()
        self._process = process
        assert process.stdout is not None and process.stderr is not None
        stderr = asyncio.create_task(_log_lines(process.stderr))
        watch = asyncio.create_task(self._kill_when_silent())
        try:
            await self._listen(process.stdout)
            # It has closed its pipe, so it is leaving: its own exit code tells more than a kill's.
            await asyncio.wait_for(process.wait(), _STOP_SECONDS)
        except PipeError as error:
            log.error("the worker is ended: %s", error)
        except TimeoutError:
            log.error("the worker is ended: it closed its pipe but did not leave")
        finally:
            watch.cancel()
            self._process = None
            with contextlib.suppress(ProcessLookupError):
                process.kill()
        code = await process.wait()
        await asyncio.wait([stderr], timeout=_STOP_SECONDS)
        stderr.cancel()
        return code

    async def _kill_when_silent(self) -> None:
        """Counts parts of the silence, not seconds: a machine that was asleep for hours adds one part."""
        self._quiet_parts = 0
        while self._quiet_parts < _SILENCE_PARTS:
            await asyncio.sleep(self._silence_seconds / _SILENCE_PARTS)
            self._quiet_parts += 1
        log.error("the worker is ended: it has been silent for %g s", self._silence_seconds)
        self.kill()

    async def _listen(self, pipe: asyncio.StreamReader) -> None:
        while True:
            try:
                length = read_length(await pipe.readexactly(LENGTH_BYTES))
                self._quiet_parts = 0
                data = await pipe.readexactly(length)
            except asyncio.IncompleteReadError:
                return
            if not data:
                continue  # a beat
            try:
                frame = frames.decode(data)
                message = messages.loads(frame.message)
            except ValueError as error:
                raise PipeError(f"it sent no frame: {error}") from error
            if isinstance(message, (Result, Ended)):
                self._deaths = 0
            self._listener.worker_said(message, frame, data)


async def _log_lines(pipe: asyncio.StreamReader) -> None:
    """Whatever the worker writes to stderr, a line at a time and however long the lines are."""
    rest = b""
    while chunk := await pipe.read(16 * 1024):
        *lines, rest = _STDERR_LINE.split(rest + chunk)
        if len(rest) > 8192:
            lines, rest = [*lines, rest], b""
        for line in filter(None, lines):
            log.info("worker: %s", line.decode("utf-8", "replace"))
    if rest:
        log.info("worker: %s", rest.decode("utf-8", "replace"))

"""All jobs of all clients: takes them in, gives one at a time to the worker, tells who watches them."""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Callable, Sequence

from bridge.errors import BridgeError, Code
from bridge.jobs.queue import FairQueue, JobKey
from bridge.jobs.states import Event, after
from bridge.jobs.supervisor import Supervisor, WorkerExit
from bridge.live.desk import LiveDesk, Source
from krita_plugin.krita_bridge.wire import limits, messages
from krita_plugin.krita_bridge.wire.frames import Buffer, Frame, encode
from krita_plugin.krita_bridge.wire.messages import (
    Accepted,
    Cancel,
    Ended,
    EngineState,
    EngineStatus,
    Fault,
    JobState,
    Message,
    Preview,
    Progress,
    Result,
    Submit,
    Unknown,
)

from .outbox import Outbox
from .record import Record, death_notice
from .store import Store

log = logging.getLogger(__name__)

MAX_WAITING_JOBS = 256
"""Jobs of one client that may wait at a time."""

MAX_UNSAVED_BYTES = 16 << 20
"""With so many bytes of results not on disk yet, the next job waits: a slow disk must not fill the memory."""

LET_GO_SECONDS = 300.0
"""A worker that still has a cancelled job after so long is stuck in it and is ended, so that other jobs can run."""

_REMEMBERED_ENDS = 1024
_ATTEMPTS = 2


class Dispatcher:
    """Lives on the event loop. Answers go to the watcher that asked; news to all that watch the job."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._worker: Supervisor | None = None
        self._records: OrderedDict[JobKey, Record] = OrderedDict()
        self._queue = FairQueue()
        self._watchers: list[Outbox] = []
        self._running: Record | None = None
        self._live = LiveDesk()
        self._due: asyncio.TimerHandle | None = None
        self._worker_ready = False
        self._gave_up = False
        self._saving: set[asyncio.Task[None]] = set()
        self._save_turn = asyncio.Lock()
        self._unsaved_bytes = 0
        self.status = EngineStatus(EngineState.STARTING, "The model process is starting.")

    def attach(self, worker: Supervisor) -> None:
        """Name the worker that jobs go to."""
        self._worker = worker

    @property
    def is_busy(self) -> bool:
        """Whether any job waits, runs or is being saved."""
        return bool(self._queue) or self._running is not None or bool(self._saving)

    async def settle(self) -> None:
        """Wait until the results in hand are saved."""
        if self._saving:
            await asyncio.wait(self._saving)

    # ---- clients

    def join(self, watcher: Outbox) -> None:
        """Tell the watcher of every change of status from now on."""
        self._watchers.append(watcher)

    def leave(self, client: str, watcher: Outbox) -> None:
        """The connection is gone; its jobs go on, its live pictures do not."""
        self._watchers.remove(watcher)
        self.stop_live(client, watcher)
        for record in self._records.values():
            if watcher in record.watchers:
                record.watchers.remove(watcher)

    def submit(self, client: str, submit: Submit, payload: Sequence[Buffer], by: Outbox) -> None:
        """Take a job in; `payload` is its Submit frame. Known jobs are answered with where they are.

        Raises BridgeError when too much waits already.
        """
        key = JobKey(client, submit.job)
        if self._answer_known(key, by):
            return
        record = Record(key, payload, submit.previews, watchers=[by])
        self._check_room(record)
        self._records[key] = record
        self._queue.push(key)
        record.tell_position(self._position(key))
        self._let_go(self._live.yield_())
        self._wake()

    def paint_live(self, client: str, source: Source, by: Outbox) -> None:
        """The canvas of a live painting has changed: make a picture of it when no job is in hand or waits."""
        self._let_go(self._live.want(client, source, by))
        self._wake()

    def stop_live(self, client: str, by: Outbox) -> None:
        """No more live pictures for this watcher."""
        self._let_go(self._live.stop(client, by))

    def _wake(self) -> None:
        if self._gave_up and self._worker is not None:
            self._worker.revive()
        self._dispatch()

    def resume(self, client: str, job: str, by: Outbox) -> None:
        """Answer where a job is, and send its news to this watcher too."""
        if not self._answer_known(JobKey(client, job), by):
            by.put(Unknown(job))

    def cancel(self, client: str, job: str, by: Outbox) -> None:
        """End a job now. The worker notices within one step; what it still sends is thrown away."""
        key = JobKey(client, job)
        record = self._records.get(key)
        if record is None or record.state not in (JobState.QUEUED, JobState.RUNNING):
            self.resume(client, job, by)
            return
        if by not in record.watchers:
            record.watchers.append(by)
        if record.state is JobState.RUNNING:
            self._stop_worker(job, lambda: self._running is record)
        self._queue.remove(key)
        self._end(record, Event.CANCEL, Code.CANCELLED, "The job was cancelled.")

    def _let_go(self, job: str) -> None:
        """Have the worker cancel a live job, if there is one."""
        if job:
            self._stop_worker(job, lambda: self._live.job == job)

    def _stop_worker(self, job: str, still_has_it: Callable[[], bool]) -> None:
        """Have the worker cancel its job; it notices within one step, or between two parts of a model that it loads."""
        if self._worker is not None:
            self._worker.send(encode(Frame(messages.dumps(Cancel(job)), {})))
            loop = asyncio.get_running_loop()
            loop.call_later(LET_GO_SECONDS, self._insist, still_has_it)

    def _insist(self, still_has_it: Callable[[], bool]) -> None:
        """Nobody wants the worker's result any more: a worker that was only slow costs another start."""
        if still_has_it() and self._worker is not None:
            log.error("the worker is ended: it does not let go of a cancelled job")
            self._worker.kill()

    def acknowledge(self, client: str, job: str) -> None:
        """The client has the result safe."""
        self._store.forget(JobKey(client, job))

    def _answer_known(self, key: JobKey, by: Outbox) -> bool:
        if key in self._store:
            by.put_result(key)
            return True
        record = self._records.get(key)
        if record is None:
            return False
        if record.ended is not None:
            by.put(record.ended)
            return True
        if by not in record.watchers:
            record.watchers.append(by)
        by.put(Accepted(key.job, self._position(key)))
        return True

    def _check_room(self, record: Record) -> None:
        if self._store.memory_full:
            raise BridgeError(
                Code.DISK_FULL,
                "The disk is full, and no more results can be kept in memory.",
                "Free some disk space, or apply or discard the results you have.",
            )
        waiting = sum(self._records[key].size for key in self._queue.order())
        too_many = self._queue.count(record.key.client) >= MAX_WAITING_JOBS
        if too_many or (waiting and waiting + record.size > limits.MAX_WAITING_BYTES):
            raise BridgeError(
                Code.BUSY,
                f"{len(self._queue)} jobs are waiting already.",
                "Wait for some of them, or cancel them.",
            )

    def _position(self, key: JobKey) -> int:
        order = self._queue.order()
        return order.index(key) + (self._running is not None) if key in order else 0

    # ---- the worker

    @property
    def has_job_in_hand(self) -> bool:
        """Whether the worker has a job (a cancelled one too, until the worker has let go of it)."""
        return self._running is not None or bool(self._live.job)

    def worker_starting(self) -> None:
        self._gave_up = False
        self._set_status(EngineStatus(EngineState.STARTING, "The model process is starting."))

    def worker_said(self, message: Message, frame: Frame, data: bytes) -> None:
        if isinstance(message, EngineStatus):
            if self._live.job and message.state is EngineState.BUSY:
                # Told by the picture itself: several times a second the status would flicker.
                self._let_go(self._live.painting_began())
            else:
                self._set_status(message)
            if message.state in (EngineState.READY, EngineState.FAILED):
                self._worker_ready = True
                self._dispatch()
            return
        if self._live.job and getattr(message, "job", None) == self._live.job:
            if self._live.worker_said(message, frame):
                self._dispatch()
            return
        record = self._running
        if record is None or getattr(message, "job", None) != record.key.job:
            log.error("the worker spoke of a job it does not have: %s", type(message).__name__)
            return
        if isinstance(message, (Result, Ended)):
            self._running = None
        if record.state is JobState.RUNNING:
            self._worker_on_job(record, message, data)
        self._dispatch()

    def worker_died(self, exit_: WorkerExit) -> None:
        """Give the job in hand one more try; after a crash loop let nothing wait for ever."""
        self._worker_ready = False
        self._live.worker_died(*death_notice(exit_), Code.WORKER_DIED.value)
        record, self._running = self._running, None
        if record is not None and record.state is JobState.RUNNING:
            if record.attempts < _ATTEMPTS:
                record.state = after(record.state, Event.RETRY)
                self._queue.push_front(record.key)
                record.tell_position(0)
            else:
                self._fail(record, exit_)
        if exit_.gave_up:
            self._gave_up = True
            sentence = "The model process cannot start: `krita-bridge doctor` and the log say why."
            self._set_status(EngineStatus(EngineState.FAILED, sentence))
            while (key := self._queue.take()) is not None:
                self._fail(self._records[key], exit_)
            self._live.fail_all(*death_notice(exit_), Code.WORKER_DIED.value)

    def _worker_on_job(self, record: Record, message: Message, data: bytes) -> None:
        if isinstance(message, Result):
            record.state = after(record.state, Event.FINISH)
            record.payload = ()
            self._unsaved_bytes += len(data)
            task = asyncio.get_running_loop().create_task(self._keep(record, data))
            self._saving.add(task)
            task.add_done_callback(self._saving.discard)
        elif isinstance(message, Ended):
            cancelled = message.state is JobState.CANCELLED
            self._settle_end(record, Event.CANCEL if cancelled else Event.FAIL, message)
        elif isinstance(message, Progress):
            record.tell(message)
        elif isinstance(message, Preview) and record.previews:
            for watcher in record.watchers:
                watcher.put_preview(record.key.job, data)

    async def _keep(self, record: Record, data: bytes) -> None:
        async with self._save_turn:  # results are told of in the order in which they were finished
            not_kept = await asyncio.to_thread(self._store.save, record.key, data)
        self._unsaved_bytes -= len(data)
        del self._records[record.key]
        for watcher in record.watchers:
            if not_kept is not None:
                watcher.put(Fault(Code.DISK_FULL.value, not_kept.sentence, not_kept.hint))
            watcher.drop_news_of(record.key.job)
            watcher.put_result(record.key)
        self._dispatch()

    def _dispatch(self) -> None:
        if self.has_job_in_hand or not self._worker_ready or self._worker is None:
            return
        if self._unsaved_bytes >= MAX_UNSAVED_BYTES:
            return
        key = self._queue.take()
        if key is None:
            self._dispatch_live(self._worker)
            return
        record = self._records[key]
        record.state = after(record.state, Event.START)
        record.attempts += 1
        self._running = record
        self._worker.send(record.payload)
        for position, waiting in enumerate((key, *self._queue.order())):
            self._records[waiting].tell_position(position)

    def _dispatch_live(self, worker: Supervisor) -> None:
        if self._due is not None:
            self._due.cancel()
            self._due = None
        frame = self._live.take()
        if frame is not None:
            worker.send(frame)
        elif (seconds := self._live.pause()) is not None:
            self._due = asyncio.get_running_loop().call_later(seconds, self._dispatch)

    # ---- ends

    def _fail(self, record: Record, exit_: WorkerExit) -> None:
        sentence, hint = death_notice(exit_)
        self._end(record, Event.FAIL, Code.WORKER_DIED, sentence, hint)

    def _end(self, record: Record, event: Event, code: Code, sentence: str, hint: str = "") -> None:
        state = after(record.state, event)
        self._settle_end(record, event, Ended(record.key.job, state, code.value, sentence, hint))

    def _settle_end(self, record: Record, event: Event, ended: Ended) -> None:
        record.state = after(record.state, event)
        record.ended = ended
        record.payload = ()
        for watcher in record.watchers:
            watcher.drop_news_of(record.key.job)
            watcher.put(ended)
        record.watchers = []
        self._forget_old_ends()

    def _forget_old_ends(self) -> None:
        ended = [key for key, record in self._records.items() if record.ended is not None]
        for key in ended[: max(0, len(ended) - _REMEMBERED_ENDS)]:
            del self._records[key]

    def _set_status(self, status: EngineStatus) -> None:
        if status == self.status:
            return
        self.status = status
        for watcher in self._watchers:
            watcher.put(status)

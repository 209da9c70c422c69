"""What waits to be sent to one client: answers in order, results by name, previews latest-wins.

A result waits as a reference and is read from the store when its turn comes, so a client that does not
read costs the bytes of its previews and answers, which are bounded, and one frame on its way.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from dataclasses import dataclass

from bridge.jobs.queue import JobKey
from krita_plugin.krita_bridge.wire import messages
from krita_plugin.krita_bridge.wire.messages import Accepted, EngineStatus, Progress, ServerMessage

PREVIEW_BYTES = 65 << 20
"""Larger previews are not sent at all. 4096 x 4096 px fit."""

ANSWER_BYTES = 4 << 20
"""With more than this in answers waiting, the client's next message waits too (`room`)."""


@dataclass(frozen=True)
class StoredResult:
    """A result to be read from the store and sent."""

    key: JobKey


Item = str | bytes | StoredResult


class Outbox:
    """One connection's queue. Put from the event loop; `next` is awaited by the one sender."""

    def __init__(self) -> None:
        self._items: OrderedDict[tuple[object, ...], Item] = OrderedDict()
        self._serial = 0
        self._previewed = ""
        self._answer_bytes = 0
        self._filled = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()

    @property
    def waiting_bytes(self) -> int:
        """Bytes held in memory by what waits; results do not count, they are on disk."""
        return sum(len(item) for item in self._items.values() if not isinstance(item, StoredResult))

    def put(self, message: ServerMessage) -> None:
        """Queue a message without pixels.

        A newer status, and newer progress or position of the same job, replaces the older one.
        """
        text = messages.dumps(message)
        if isinstance(message, EngineStatus):
            self._put(("status",), text)
        elif isinstance(message, (Progress, Accepted)):
            self._put((type(message), message.job), text)
        else:
            self._serial += 1
            self._answer_bytes += len(text)
            if self._answer_bytes > ANSWER_BYTES:
                self._room.clear()
            self._put(("answer", self._serial), text)

    def put_preview(self, job: str, data: bytes) -> None:
        """Queue a Preview frame in place of the older one; only one job runs, so only one preview waits."""
        if len(data) <= PREVIEW_BYTES:
            self._put(("preview",), data)
            self._previewed = job

    def put_live_picture(self, data: bytes) -> None:
        """Queue a LivePicture frame in place of the older one."""
        self._put(("live",), data)

    def put_result(self, key: JobKey) -> None:
        """Queue a stored result, once however often it is asked for."""
        self._put(("result", key.job), StoredResult(key))

    def drop_news_of(self, job: str) -> None:
        """The job has ended: its previews and progress would come too late."""
        self._items.pop((Progress, job), None)
        if self._previewed == job:
            self._items.pop(("preview",), None)

    async def next(self) -> Item:
        """Remove and return what is to be sent next; waits until there is something."""
        while not self._items:
            self._filled.clear()
            await self._filled.wait()
        slot, item = self._items.popitem(last=False)
        if slot[0] == "answer" and isinstance(item, str):
            self._answer_bytes -= len(item)
            if self._answer_bytes <= ANSWER_BYTES:
                self._room.set()
        return item

    async def room(self) -> None:
        """Wait while too many answers wait."""
        await self._room.wait()

    def _put(self, slot: tuple[object, ...], item: Item) -> None:
        self._items.pop(slot, None)
        self._items[slot] = item
        self._filled.set()

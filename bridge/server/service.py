"""The serve process at work: sockets in, sessions, the worker, and when to stop."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import signal
import socket
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from aiohttp import web

from bridge.jobs.supervisor import SILENCE_SECONDS, Supervisor
from krita_plugin.krita_bridge.wire.limits import MAX_FRAME_BYTES
from krita_plugin.krita_bridge.wire.proof import PROOF_HEADER

from .dispatcher import Dispatcher
from .gate import Gate, Refused
from .session import Offer, Session
from .store import QUOTA_BYTES, Store

log = logging.getLogger(__name__)

MAX_CONNECTIONS = 32
HANDSHAKE_SECONDS = 10.0
HEARTBEAT_SECONDS = 30.0
_PART_SECONDS = 3.0
_HTTP_LINE_BYTES = 8190


@dataclass(frozen=True)
class ServiceConfig:
    """`worker_command` starts a process that speaks bridge/worker.py's side of the pipes. `offer` may take its time: it is
    called in a thread, and only the first message to each client waits for it."""

    results: Path
    worker_command: Sequence[str]
    offer: Callable[[], Offer]
    idle_minutes: float | None = None
    quota_bytes: int = QUOTA_BYTES
    heartbeat_seconds: float = HEARTBEAT_SECONDS
    handshake_seconds: float = HANDSHAKE_SECONDS
    silence_seconds: float = SILENCE_SECONDS


class Service:
    """Owns everything that lives as long as the process."""

    def __init__(self, config: ServiceConfig, gate: Gate) -> None:
        self._config = config
        self._gate = gate
        self._store = Store(config.results, config.quota_bytes)
        self._dispatcher = Dispatcher(self._store)
        self._supervisor = Supervisor(
            config.worker_command, self._dispatcher, config.silence_seconds
        )
        self._dispatcher.attach(self._supervisor)
        self._offer: asyncio.Task[Offer]
        self._sockets: set[web.WebSocketResponse] = set()
        self._upgraded: set[asyncio.BaseProtocol] = set()
        self._stopped = asyncio.Event()
        self._last_used = time.monotonic()

    async def run(self, listening: socket.socket) -> None:
        """Serve until a signal or idleness; `listening` may have connections waiting already. Raises what the configured
        `offer` raises."""
        loop = asyncio.get_running_loop()
        _on_signals(loop, self._stopped.set)
        worker = asyncio.create_task(self._supervisor.run())
        # It ends by itself only by a bug; then a fresh bridge serves better than a mute one.
        worker.add_done_callback(lambda _: self._stopped.set())
        # A folder of checkpoints takes seconds to look through, and clients wait five for a connection.
        self._offer = offer = asyncio.create_task(asyncio.to_thread(self._config.offer))
        offer.add_done_callback(self._stop_without)
        await asyncio.to_thread(self._store.open)
        http = _Connections(
            self._handle,
            access_log=None,
            keepalive_timeout=5.0,
            lingering_time=1.0,
            max_line_size=_HTTP_LINE_BYTES,
            max_field_size=_HTTP_LINE_BYTES,
        )
        server = await loop.create_server(lambda: self._welcome(loop, http), sock=listening)
        idle = asyncio.create_task(self._look_after())
        try:
            await self._stopped.wait()
        finally:
            log.info("stopping")
            idle.cancel()
            server.close()
            await self._part_from_all()
            await self._supervisor.stop()
            await worker
            await self._dispatcher.settle()
            await asyncio.to_thread(self._store.save_again)
            await http.shutdown(1.0)
        if offer.done():
            offer.result()

    def _stop_without(self, offer: asyncio.Task[Offer]) -> None:
        if not offer.cancelled() and offer.exception() is not None:
            self._stopped.set()

    async def _part_from_all(self) -> None:
        closing = [asyncio.create_task(each.close(code=1001)) for each in self._sockets]
        if closing:
            await asyncio.wait(closing, timeout=_PART_SECONDS)

    def _welcome(self, loop: asyncio.AbstractEventLoop, http: web.Server) -> asyncio.BaseProtocol:
        """A protocol for a connection just accepted; it has a few seconds to become a websocket."""
        protocol = http()
        loop.call_later(self._config.handshake_seconds, self._drop_idler, protocol)
        return protocol

    def _drop_idler(self, protocol: web.RequestHandler) -> None:
        if protocol not in self._upgraded:
            protocol.force_close()

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        headers = [(n.decode("latin-1"), v.decode("latin-1")) for n, v in request.raw_headers]
        verdict = self._gate.examine(request.method, request.path_qs, headers)
        if isinstance(verdict, Refused):
            log.warning("a connection was refused: %s", verdict.sentence)
            refusal = web.Response(status=403, text=verdict.sentence + "\n")
            refusal.force_close()
            return refusal
        websocket = web.WebSocketResponse(
            compress=False,
            heartbeat=self._config.heartbeat_seconds,
            max_msg_size=MAX_FRAME_BYTES,
            timeout=2.0,
        )
        websocket.headers[PROOF_HEADER] = verdict.server_proof
        await websocket.prepare(request)
        self._sockets.add(websocket)
        self._upgraded.add(request.protocol)
        try:
            session = Session(websocket, self._dispatcher, self._store, self._offer)
            await session.run(self._config.handshake_seconds)
        finally:
            self._sockets.discard(websocket)
            self._upgraded.discard(request.protocol)
            self._last_used = time.monotonic()
            await websocket.close()
        return websocket

    async def _look_after(self) -> None:
        """Now and then: save what could not be saved, and stop when nobody has come for long."""
        minutes = self._config.idle_minutes
        limit = math.inf if minutes is None else minutes * 60.0
        while True:
            await asyncio.sleep(min(limit / 4, 15.0))
            if self._store.holds_in_memory:
                await asyncio.to_thread(self._store.save_again)
            if self._sockets or self._dispatcher.is_busy or self._store.holds_in_memory:
                self._last_used = time.monotonic()
            elif time.monotonic() - self._last_used >= limit:
                log.info("nobody has used the bridge for %g minutes", minutes)
                self._stopped.set()


class _Connections(web.Server):
    """Closes connections beyond the number that is served.

    Not before they are made: of a burst, many are accepted before the first of them is counted.
    """

    def connection_made(self, handler: web.RequestHandler, transport: asyncio.Transport) -> None:
        super().connection_made(handler, transport)
        if len(self.connections) > MAX_CONNECTIONS:
            log.warning("a connection was refused: there are %s already", MAX_CONNECTIONS)
            handler.force_close()


def _on_signals(loop: asyncio.AbstractEventLoop, stop: Callable[[], None]) -> None:
    for name in (signal.SIGINT, signal.SIGTERM):
        try:
            loop.add_signal_handler(name, stop)
        except NotImplementedError:  # Windows
            with contextlib.suppress(ValueError):
                signal.signal(name, lambda *_: loop.call_soon_threadsafe(stop))

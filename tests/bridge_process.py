"""A bridge in its own process, and a bare websocket client for it, for tests and benchmarks."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import secrets
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import aiohttp

from krita_plugin.krita_bridge.wire import frames, messages, proof
from krita_plugin.krita_bridge.wire.frames import Frame, Tensor
from krita_plugin.krita_bridge.wire.geometry import Bounds, Extent
from krita_plugin.krita_bridge.wire.messages import (
    Hello,
    Message,
    PaintRequest,
    Submit,
    Welcome,
)
from krita_plugin.krita_bridge.wire.runfile import RunFile, read_run_file

ROOT = Path(__file__).resolve().parents[1]
PATIENCE = 90.0
"""Seconds after which what a test waits for is not coming any more, on however slow a machine."""

FAKE = (sys.executable, "-m", "tests.fake_bridge")


class BridgeProcess:
    """`command` followed by the home folder, as a child; always ended by `stop` or `kill`."""

    def __init__(self, home: Path, *arguments: str, command: tuple[str, ...] = FAKE) -> None:
        self.home = home
        # A file takes what it prints: a pipe that nobody reads would stop it once it is full.
        self._printed = tempfile.TemporaryFile("w+")  # noqa: SIM115 (closed by `kill`)
        self.process = subprocess.Popen(
            [*command, str(home), *arguments], cwd=ROOT, stderr=self._printed
        )

    def wait_until_listening(self) -> RunFile:
        """The run file of this very process, once it is there."""
        found: RunFile | None = None

        def published() -> bool:
            nonlocal found
            found = read_run_file(self.home)
            return found is not None and found.pid == self.process.pid

        wait_for(lambda: published() or self.process.poll() is not None)
        assert found is not None, self._output()
        return found

    def terminate(self) -> int:
        """SIGTERM; returns the exit status."""
        self.process.terminate()
        return self.wait()

    def wait(self) -> int:
        return self.process.wait(PATIENCE)

    def kill(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.wait()
        self._printed.close()

    def _output(self) -> str:
        self._printed.seek(0)
        return self._printed.read()


@contextlib.contextmanager
def bridge_process(home: Path, *arguments: str) -> Iterator[BridgeProcess]:
    """A bridge over the fake worker that listens already; it is killed at the end."""
    process = BridgeProcess(home, *arguments)
    try:
        process.wait_until_listening()
        yield process
    finally:
        process.kill()


def wait_for(condition: Callable[[], bool]) -> None:
    """Poll until the condition holds; fails after PATIENCE seconds."""
    until = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < until, "nothing happened in time"
        time.sleep(0.005)


def proof_headers(run_file: RunFile, key: str | None = None) -> dict[str, str]:
    key = key or base64.b64encode(secrets.token_bytes(16)).decode("ascii")
    return {
        "Sec-WebSocket-Key": key,
        proof.PROOF_HEADER: proof.client_proof(run_file.token, run_file.port, key),
    }


class BareClient:
    """Says hello, sends messages and reads answers; remembers nothing else."""

    def __init__(self, socket: RawSocket) -> None:
        self.socket = socket
        self.welcome: Welcome | None = None

    async def send(self, message: Message, *tensors: tuple[str, Tensor]) -> None:
        text = messages.dumps(message)
        if tensors:
            await self.socket.send(frames.join(Frame(text, dict(tensors))))
        else:
            await self.socket.send(text)

    async def receive(self) -> tuple[Message, Frame]:
        data = await self.socket.receive()
        frame = Frame(data, {}) if isinstance(data, str) else frames.decode(data)
        return messages.loads(frame.message), frame

    async def until(self, *kinds: type) -> tuple[Message, Frame]:
        """The next message of one of these kinds; others before it are skipped."""
        while True:
            message, frame = await self.receive()
            if isinstance(message, kinds):
                return message, frame

    async def sync(self) -> list[Message]:
        """Everything the bridge has said up to its answer to a question asked now."""
        marker = f"sync-{secrets.token_hex(8)}"
        await self.send(messages.Resume((marker,)))
        seen: list[Message] = []
        while True:
            message, _ = await self.receive()
            if message == messages.Unknown(marker):
                return seen
            seen.append(message)


class RawSocket:
    """An aiohttp websocket that sends and receives str and bytes."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.raw = socket

    async def send(self, data: str | bytes) -> None:
        await (self.raw.send_str(data) if isinstance(data, str) else self.raw.send_bytes(data))

    async def receive(self) -> str | bytes:
        async with asyncio.timeout(PATIENCE):  # `receive` would begin afresh with every ping
            message = await self.raw.receive()
        assert message.type in (aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY), message
        return message.data


@contextlib.asynccontextmanager
async def connected(run_file: RunFile) -> AsyncIterator[RawSocket]:
    """A websocket that has passed the gate, the bridge's own proof checked."""
    keys: list[str] = []

    async def prove(
        _session: object, _context: object, request: aiohttp.TraceRequestStartParams
    ) -> None:
        keys.append(request.headers["Sec-WebSocket-Key"])
        request.headers.update(proof_headers(run_file, keys[-1]))

    trace = aiohttp.TraceConfig()
    trace.on_request_start.append(prove)
    url = f"ws://127.0.0.1:{run_file.port}/v1"
    async with (
        aiohttp.ClientSession(trace_configs=[trace]) as http,
        http.ws_connect(url, max_msg_size=0) as socket,
    ):
        given = socket._response.headers[proof.PROOF_HEADER]
        assert proof.matches(proof.server_proof(run_file.token, run_file.port, keys[0]), given)
        yield RawSocket(socket)


@contextlib.asynccontextmanager
async def client(run_file: RunFile, client_id: str = "painter") -> AsyncIterator[BareClient]:
    """A client that has been welcomed."""
    async with connected(run_file) as socket:
        bare = BareClient(socket)
        await bare.send(Hello(1, "test", client_id))
        message, _ = await bare.receive()
        assert isinstance(message, Welcome), message
        bare.welcome = message
        yield bare


def submit(job: str, prompt: str = "", width: int = 16, height: int = 8, **more: object) -> Submit:
    """A text-to-image job of the fake engine."""
    bounds = Bounds(0, 0, width, height)
    previews = bool(more.get("previews", True))
    request = PaintRequest(prompt, seed=int(str(more.get("seed", 0))))
    return Submit(
        job, request, Extent(width, height), bounds, str(more.get("document", "")), previews
    )

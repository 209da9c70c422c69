"""A small bridge for tests of the client: real websocket, real proofs, no engine.

It keeps unacknowledged results as the real one does, and lets a test say how it misbehaves.
"""

from __future__ import annotations

import contextlib
import json
import os
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response
from websockets.sync.server import ServerConnection, serve

from krita_plugin.krita_bridge.wire import frames, limits, messages, proof, runfile
from krita_plugin.krita_bridge.wire.control import control_tensor
from krita_plugin.krita_bridge.wire.geometry import Bounds
from krita_plugin.krita_bridge.wire.modes import Mode
from tests.bridge_process import PATIENCE

PRESET = messages.PresetInfo(
    "embedded", "Embedded", "embedded", 64, 4, 3.0, "euler", vaes=("mine/Warm",)
)


@dataclass
class ScriptedBridge:
    """Answers as `paint` says: H x W x 4 BGRA bytes for a Submit and its frame; None holds the job."""

    home: Path
    paint: Callable[[messages.Submit, frames.Frame | None], bytes | None] | None = None
    token: str = field(default_factory=proof.new_token)
    wrong_proof: bool = False
    welcome_protocol: int = limits.PROTOCOL
    port: int = 0
    public_port: int = 0
    received: list[messages.Message] = field(default_factory=list)
    raw_bytes: int = 0
    results: dict[str, bytes] = field(default_factory=dict)
    submitted: list[str] = field(default_factory=list)
    forget_acknowledges: bool = False

    def __post_init__(self) -> None:
        self._connections: set[ServerConnection] = set()
        self._heard = threading.Condition()

    # ---- life

    def start(self) -> ScriptedBridge:
        self._server = serve(
            self._session,
            "127.0.0.1",
            self.port,
            process_request=self._gate,
            process_response=self._prove,
            compression=None,
            max_size=None,
        )
        self.port = self._server.socket.getsockname()[1]
        self.public_port = self.public_port or self.port
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()
        self.write_run_file()
        return self

    def write_run_file(self) -> None:
        self.home.mkdir(parents=True, exist_ok=True)
        path = runfile.run_file_path(self.home)
        path.unlink(missing_ok=True)
        fields = {"port": self.public_port, "pid": os.getpid(), "token": self.token, "version": "0"}
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            json.dump(fields, file)

    def stop(self) -> None:
        self._server.shutdown()
        self.cut()
        self._thread.join(PATIENCE)
        runfile.run_file_path(self.home).unlink(missing_ok=True)

    def cut(self) -> None:
        """Drop every connection without a goodbye."""
        for connection in list(self._connections):
            connection.close_socket()

    def __enter__(self) -> ScriptedBridge:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def send(self, data: str | bytes) -> None:
        """Tell every client that is connected something it has not asked for."""
        for connection in list(self._connections):
            with contextlib.suppress(ConnectionClosed):
                connection.send(data)

    # ---- for assertions

    def wait_for(self, kind: type, count: int = 1, seconds: float = PATIENCE) -> list[Any]:
        """The received messages of a kind, once there are `count`."""

        def found() -> list[Any]:
            return [message for message in self.received if isinstance(message, kind)]

        with self._heard:
            assert self._heard.wait_for(lambda: len(found()) >= count, seconds), self.received
            return found()

    # ---- the protocol

    def _gate(self, connection: ServerConnection, request: Request) -> Response | None:
        key = request.headers.get("Sec-WebSocket-Key", "")
        expected = proof.client_proof(self.token, self.public_port, key)
        given = request.headers.get(proof.PROOF_HEADER)
        if "Origin" in request.headers or not proof.matches(expected, given):
            body = b"The proof is missing or wrong."
            headers = Headers([("Content-Length", str(len(body))), ("Connection", "close")])
            return Response(403, "Forbidden", headers, body)
        return None

    def _prove(self, connection: ServerConnection, request: Request, response: Response) -> None:
        token = proof.new_token() if self.wrong_proof else self.token
        key = request.headers["Sec-WebSocket-Key"]
        response.headers[proof.PROOF_HEADER] = proof.server_proof(token, self.public_port, key)

    def _session(self, connection: ServerConnection) -> None:
        self._connections.add(connection)
        try:
            for data in connection:
                self._hear(connection, data)
        except ConnectionClosed:
            pass
        finally:
            self._connections.discard(connection)

    def _hear(self, connection: ServerConnection, data: str | bytes) -> None:
        self.raw_bytes += len(data)
        frame = None if isinstance(data, str) else frames.decode(data)
        message = messages.loads(data if frame is None else frame.message)  # type: ignore[arg-type]
        answers = self._answers(message, frame)
        with self._heard:
            # Only now: whoever waits for the message sees what it has changed.
            self.received.append(message)
            self._heard.notify_all()
        for answer in answers:
            connection.send(answer)

    def _answers(self, message: messages.Message, frame: frames.Frame | None) -> list[str | bytes]:
        if isinstance(message, messages.Hello):
            return [messages.dumps(self._welcome())]
        if isinstance(message, messages.Submit):
            return self._submitted(message, frame)
        if isinstance(message, messages.Cancel):
            ended = messages.Ended(message.job, messages.JobState.CANCELLED, "cancelled")
            return [messages.dumps(ended)]
        if isinstance(message, messages.Acknowledge):
            if not self.forget_acknowledges:
                self.results.pop(message.job, None)
            return []
        if isinstance(message, messages.Resume):
            return [self._whereabouts(job) for job in message.jobs]
        return []

    def _whereabouts(self, job: str) -> str | bytes:
        return self.results.get(job) or messages.dumps(messages.Unknown(job))

    def _welcome(self) -> messages.Welcome:
        status = messages.EngineStatus(messages.EngineState.READY, "Ready.", "embedded", "cpu")
        kept = tuple(self.results)
        protocol = self.welcome_protocol
        return messages.Welcome(protocol, "0", (PRESET,), PRESET.name, status, kept)

    def _submitted(self, submit: messages.Submit, frame: frames.Frame | None) -> list[str | bytes]:
        self.submitted.append(submit.job)
        answers: list[str | bytes] = [messages.dumps(messages.Accepted(submit.job, 0))]
        pixels = self.paint(submit, frame) if self.paint else None
        if pixels is None:
            return answers
        canvas, bounds = submit.canvas.scaled(submit.request.upscale), result_bounds(submit)
        image = {messages.IMAGE: frames.Tensor((bounds.height, bounds.width, 4), pixels)}
        for step in (1, 2):
            answers.append(messages.dumps(messages.Progress(submit.job, step, 2, 0.1)))
            preview = messages.dumps(messages.Preview(submit.job, step, bounds))
            answers.append(frames.join(frames.Frame(preview, image)))
        result = messages.Result(submit.job, bounds, canvas, facts_of(submit), submit.document)
        brought = {} if frame is None else frame.tensors
        maps = {
            control_tensor(index): brought.get(control_tensor(index), image[messages.IMAGE])
            for index, control in enumerate(submit.request.controls)
            if control.keep
        }
        kept = frames.join(frames.Frame(messages.dumps(result), {**image, **maps}))
        self.results[submit.job] = kept
        return [*answers, kept]


def result_bounds(submit: messages.Submit) -> Bounds:
    """Where on its canvas the result of a job lies."""
    part, canvas = submit.request.part, submit.canvas
    larger = canvas.scaled(submit.request.upscale)
    return submit.bounds.scaled(canvas, larger) if part is None else part.target


def facts_of(submit: messages.Submit) -> messages.ResultFacts:
    request = submit.request
    return messages.ResultFacts(
        prompt=request.prompt,
        negative_prompt=request.negative_prompt,
        preset=request.preset or PRESET.name,
        seed=request.seed,
        strength=request.strength,
        steps=request.steps or 2,
        steps_run=2,
        guidance=PRESET.guidance if request.guidance is None else request.guidance,
        scheduler=request.scheduler or PRESET.scheduler,
        model="fake",
        model_sha256="0" * 64,
        width=submit.bounds.width,
        height=submit.bounds.height,
        seconds=0.0,
        version="0",
        mode=request.mode or Mode.FILL,
        clip_skip=request.clip_skip or 1,
        guidance_rescale=request.guidance_rescale or 0.0,
        blend=request.blend,
        match_colors=request.match_colors,
        detail=request.detail or 0.0,
        vae=request.vae or "",
        template=request.template or PRESET.template,
    )

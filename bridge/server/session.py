"""One connection after its handshake: reads messages, checks them, answers through its outbox."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from aiohttp import WSMessage, WSMsgType, web

from bridge import __version__
from bridge.errors import BridgeError, Code
from bridge.jobs.queue import JobKey
from bridge.live.mirror import Drift, Mirror, tensor_shapes
from bridge.live.sampling import LiveSampling
from krita_plugin.krita_bridge.wire import frames, limits, messages
from krita_plugin.krita_bridge.wire.control import control_tensor
from krita_plugin.krita_bridge.wire.frames import Frame, FrameError, Tensor
from krita_plugin.krita_bridge.wire.messages import (
    IMAGE,
    MASK,
    Acknowledge,
    Cancel,
    Fault,
    Hello,
    LiveResync,
    LiveStop,
    LiveUpdate,
    Message,
    MessageError,
    PresetInfo,
    Resume,
    Submit,
    Unknown,
    Welcome,
)
from krita_plugin.krita_bridge.wire.reference import reference_tensor

from .dispatcher import Dispatcher
from .outbox import Outbox, StoredResult
from .store import Store

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Offer:
    """What every client is told at the start: the presets, and which one an empty name means.

    `skipped`: why preset files and checkpoints of the painter's are left out, a sentence each. `live`: how each preset samples
    while live painting is on; the clients need not know. `with_files` adds to a preset what lies beside its model, and
    `tags` tells what lies in the painter's folders for any: each time a client comes, so that new files need no restart.
    """

    presets: tuple[PresetInfo, ...]
    default_preset: str
    skipped: tuple[str, ...] = ()
    live: Mapping[str, LiveSampling] = field(default_factory=dict)
    with_files: Callable[[PresetInfo], PresetInfo] = lambda info: info
    tags: Callable[[], tuple[str, ...]] = tuple

    def now(self) -> tuple[tuple[PresetInfo, ...], tuple[str, ...]]:
        """The presets, and what prompts can name with any of them. Reads folders."""
        return tuple(map(self.with_files, self.presets)), self.tags()


@dataclass(frozen=True)
class Incoming:
    """A message that arrived, with its pixels; `data` is the frame as it came (empty for text)."""

    message: Message
    frame: Frame
    data: bytes


class Session:
    """Serves one client until it leaves."""

    def __init__(
        self,
        socket: web.WebSocketResponse,
        dispatcher: Dispatcher,
        store: Store,
        offer: asyncio.Future[Offer],
    ) -> None:
        self._socket = socket
        self._dispatcher = dispatcher
        self._store = store
        self._coming_offer = offer
        self._offer: Offer
        self._outbox = Outbox()
        self._client = ""
        self._mirror = Mirror()

    async def run(self, hello_seconds: float) -> None:
        """Return when the connection is closed, by either end; it has so long to say hello."""
        sender = asyncio.create_task(self._send())
        try:
            if await self._greet(hello_seconds):
                self._dispatcher.join(self._outbox)
                try:
                    await self._serve()
                finally:
                    self._dispatcher.leave(self._client, self._outbox)
        finally:
            sender.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await sender

    async def _greet(self, seconds: float) -> bool:
        try:
            raw = await asyncio.wait_for(self._socket.receive(), seconds)
        except TimeoutError:
            return await self._part("The client did not say hello in time.")
        if raw.type not in (WSMsgType.TEXT, WSMsgType.BINARY):
            return False
        try:
            hello = read(raw).message
        except BridgeError as error:
            return await self._part(error.message)
        if not isinstance(hello, Hello):
            return await self._part("The first message must be hello.")
        if hello.protocol != limits.PROTOCOL:
            return await self._part(
                f"The plugin speaks protocol {hello.protocol} and this bridge {limits.PROTOCOL}.",
                "Update both to the same version and restart Krita.",
            )
        self._client = hello.client_id
        self._offer = offer = await asyncio.shield(self._coming_offer)
        presets, tags = await asyncio.to_thread(offer.now)
        self._outbox.put(
            Welcome(
                limits.PROTOCOL,
                __version__,
                presets,
                offer.default_preset,
                self._dispatcher.status,
                self._store.jobs_of(self._client),
                offer.skipped,
                tags,
            )
        )
        return True

    async def _part(self, sentence: str, hint: str = "") -> bool:
        fault = Fault(Code.REFUSED.value, sentence, hint)
        with contextlib.suppress(ConnectionError):
            await self._socket.send_str(messages.dumps(fault))
        await self._socket.close(code=1008)
        return False

    async def _serve(self) -> None:
        async for raw in self._socket:
            if raw.type not in (WSMsgType.TEXT, WSMsgType.BINARY):
                return
            try:
                self._answer(read(raw))
            except BridgeError as error:
                self._outbox.put(
                    Fault(error.code.value, error.message, error.hint, _job_named_in(raw))
                )
            except Exception:
                log.exception("a message could not be answered")
                sentence = "The bridge made a mistake while reading a message; its log says more."
                self._outbox.put(Fault(Code.INTERNAL.value, sentence, "", _job_named_in(raw)))
            await self._outbox.room()

    def _answer(self, incoming: Incoming) -> None:
        message = incoming.message
        if isinstance(message, Submit):
            self._check_preset(message.request.preset)
            text_only = Frame(messages.dumps(message), {})
            payload = [incoming.data] if incoming.data else frames.encode(text_only)
            self._dispatcher.submit(self._client, message, payload, self._outbox)
        elif isinstance(message, Cancel):
            self._dispatcher.cancel(self._client, message.job, self._outbox)
        elif isinstance(message, Acknowledge):
            self._dispatcher.acknowledge(self._client, message.job)
        elif isinstance(message, Resume):
            for job in message.jobs:
                self._dispatcher.resume(self._client, job, self._outbox)
        elif isinstance(message, LiveUpdate):
            self._paint_live(message, incoming.frame)
        elif isinstance(message, LiveStop):
            self._mirror = Mirror()
            self._dispatcher.stop_live(self._client, self._outbox)
        else:
            raise _bad(f"A client does not send {type(message).__name__} here.")

    def _check_preset(self, name: str) -> None:
        if name not in ("", *(info.name for info in self._offer.presets)):
            raise BridgeError(
                Code.UNKNOWN_PRESET,
                f"There is no preset named {name!r}.",
                "Choose one of the list.",
            )

    def _paint_live(self, update: LiveUpdate, frame: Frame) -> None:
        self._check_preset(update.request.preset)
        live = self._offer.live.get(update.request.preset or self._offer.default_preset)
        request = update.request
        try:
            if live is not None:
                request = live.fill_in(request)
            self._mirror.take(replace(update, request=request), frame.tensors)
        except Drift:
            self._dispatcher.stop_live(self._client, self._outbox)
            self._outbox.put(LiveResync(update.live, update.revision))
        except MessageError as error:
            raise BridgeError(Code.BAD_MESSAGE, str(error)) from error
        else:
            self._dispatcher.paint_live(self._client, self._mirror, self._outbox)

    async def _send(self) -> None:
        try:
            await self._send_for_ever()
        except ConnectionError:
            pass  # the reading side ends the session
        except Exception:
            log.exception("the outbox could not be sent")
            await self._socket.close(code=1011)

    async def _send_for_ever(self) -> None:
        while True:
            item = await self._outbox.next()
            if isinstance(item, StoredResult):
                await self._send_result(item.key)
            elif isinstance(item, str):
                await self._socket.send_str(item)
            else:
                await self._socket.send_bytes(item)

    async def _send_result(self, key: JobKey) -> None:
        if key not in self._store:
            return  # acknowledged while it waited here
        data = self._store.at_hand(key) or await asyncio.to_thread(self._store.load, key)
        if data is None:
            self._outbox.put(Unknown(key.job))
        else:
            await self._socket.send_bytes(data)


def read(raw: WSMessage) -> Incoming:
    """Decode a websocket message and hold it against the protocol; raises BridgeError (BAD_MESSAGE)."""
    try:
        if raw.type is WSMsgType.TEXT:
            if len(raw.data) > limits.MAX_TEXT_BYTES:
                raise _bad("A message without pixels is longer than 1 MiB.")
            incoming = Incoming(messages.loads(raw.data), Frame(raw.data, {}), b"")
        else:
            frame = frames.decode(raw.data)
            incoming = Incoming(messages.loads(frame.message), frame, raw.data)
    except MessageError as error:
        raise BridgeError(Code.BAD_MESSAGE, str(error)) from error
    except FrameError as error:
        raise _bad(f"A frame could not be read: {error}.") from error
    _check_tensors(incoming)
    return incoming


def _check_tensors(incoming: Incoming) -> None:
    message, given = incoming.message, incoming.frame.tensors
    expected: dict[str, tuple[int, ...]] = {}
    if isinstance(message, Submit):
        height, width = message.bounds.height, message.bounds.width
        expected = {IMAGE: (height, width, 4), MASK: (height, width)}
        for index, control in enumerate(message.request.controls):
            if control.brings_picture:
                expected[control_tensor(index)] = (height, width, 4)
                if control_tensor(index) not in given:
                    raise _bad(f"Control {index} ({control.kind.value}) came without its picture.")
        for index in range(len(message.request.references)):
            expected[reference_tensor(index)] = _reference_shape(index, given)
    elif isinstance(message, LiveUpdate):
        expected = tensor_shapes(message)
        for name in expected.keys() - given.keys():
            raise _bad(f"A live update came without the tiles of its {name}.")
        for index in range(len(message.request.references)):
            if reference_tensor(index) in given:  # else the bridge has it
                expected[reference_tensor(index)] = _reference_shape(index, given)
    for name, tensor in given.items():
        if name not in expected:
            raise _bad(f"A {type(message).__name__} does not come with pixels named {name!r}.")
        if tensor.shape != expected[name]:
            raise _bad(f"The {name} has the shape {tensor.shape}, not {expected[name]}.")


def _reference_shape(index: int, given: Mapping[str, Tensor]) -> tuple[int, ...]:
    """Its own, which has to be small."""
    most = limits.MAX_REFERENCE_SIDE
    tensor = given.get(reference_tensor(index))
    if tensor is None:
        raise _bad(f"Reference {index} came without its picture.")
    shape = tensor.shape
    if len(shape) != 3 or shape[2] != 4 or not 1 <= min(shape[:2]) <= max(shape[:2]) <= most:
        raise _bad(f"Reference {index} has the shape {shape}; it must be 1 to {most} px a side.")
    return shape


def _bad(sentence: str) -> BridgeError:
    return BridgeError(
        Code.BAD_MESSAGE, sentence, "If you did not write this client yourself, please report it."
    )


def _job_named_in(raw: WSMessage) -> str:
    """The job or live painting a refused message was about, as far as it can be told, so that the client can end it."""
    try:
        text = raw.data if raw.type is WSMsgType.TEXT else frames.decode(raw.data).message
        fields = json.loads(text)
        return Cancel(fields["live"] if fields["type"] == "live" else fields["job"]).job
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return ""

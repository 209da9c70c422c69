"""Updates of a live painting that lie: each is refused with a sentence or asks for everything, and nothing is lost."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from aiohttp import WSMessage, WSMsgType

from bridge.errors import BridgeError
from bridge.live.mirror import Drift, Mirror, tensor_shapes
from bridge.server.session import read
from krita_plugin.krita_bridge.wire import frames, limits, messages, tiles
from krita_plugin.krita_bridge.wire.control import Control, ControlKind, ControlSource
from krita_plugin.krita_bridge.wire.frames import Frame, Tensor
from krita_plugin.krita_bridge.wire.geometry import Bounds, Extent
from krita_plugin.krita_bridge.wire.messages import (
    PLACE,
    Fault,
    LivePicture,
    LiveResync,
    LiveUpdate,
    MessageError,
    PaintRequest,
)
from krita_plugin.krita_bridge.wire.reference import Reference
from krita_plugin.krita_bridge.wire.runfile import RunFile
from tests.bridge_process import client, submit

CANVAS = Extent(100, 80)
AREA = Bounds(10, 5, 80, 70)


def tensors_of(update: LiveUpdate, byte: int = 1) -> dict[str, Tensor]:
    return {
        name: Tensor(shape, bytes([byte]) * shape[0])
        for name, shape in tensor_shapes(update).items()
    }


def hashes(byte: int, pixel_bytes: int) -> tiles.TileHashes:
    """Of an area of nothing but this byte."""
    found = tiles.TileHashes(AREA)
    for number in range(tiles.count(AREA)):
        tile = tiles.tile(AREA, number)
        found.set(number, bytes([byte]) * (tile.width * tile.height * pixel_bytes))
    return found


def whole(byte: int = 1, **changes: object) -> LiveUpdate:
    """An update with all tiles of image and mask, every byte the same."""
    numbers = tuple(range(tiles.count(AREA)))
    update = LiveUpdate(
        "live", 1, 0, PaintRequest("a"), CANVAS, AREA, True, True, numbers, numbers,
        tiles.digest_of(hashes(byte, 4), hashes(byte, 1)),
    )  # fmt: skip
    return replace(update, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "changes",
    [
        {"live": "../x"},
        {"revision": 0},
        {"revision": limits.MAX_REVISION + 1},
        {"base": -1},
        {"base": 1},
        {"image_tiles": [-1]},
        {"image_tiles": [4]},
        {"image_tiles": [0, 0]},
        {"image_tiles": [1, 0]},
        {"image_tiles": [True]},
        {"image_tiles": [0.0]},
        {"image_tiles": "0"},
        {"mask_tiles": [4]},
        {"has_mask": False},
        {"has_image": 1},
        {"digest": "x" * 1000},
        {"digest": None},
        {"bounds": {"x": 0, "y": 0, "width": 0, "height": 1}},
        {"bounds": {"x": 21, "y": 0, "width": 80, "height": 70}},
        {"bounds": {"x": 0, "y": 0, "width": 2**40, "height": 2**40}},
        {"request": {"prompt": "a", "upscale": 2.0}},
        {"extra": 1},
    ],
)
def test_an_update_out_of_range_is_refused_with_a_sentence(changes: dict[str, object]) -> None:
    fields = {**json.loads(messages.dumps(whole())), **changes}
    with pytest.raises(MessageError, match=r"\.$"):
        messages.loads(json.dumps(fields))


def test_an_area_too_large_to_be_painted_live_says_what_to_do() -> None:
    canvas = Extent(4096, 1025)
    with pytest.raises(MessageError, match="select a smaller part"):
        whole(canvas=canvas, bounds=Bounds.of_canvas(canvas))


@pytest.mark.parametrize("missing", ["image", "mask"])
def test_tiles_that_are_announced_must_come(missing: str) -> None:
    update = whole()
    tensors = {n: t for n, t in tensors_of(update).items() if n != missing}
    data = frames.join(Frame(messages.dumps(update), tensors))
    with pytest.raises(BridgeError, match="came without"):
        read(WSMessage(WSMsgType.BINARY, data, None))


@pytest.mark.parametrize("size", [0, 1, 10_000_000])
def test_tiles_must_have_the_size_that_their_numbers_say(size: int) -> None:
    update = whole()
    tensors = {**tensors_of(update), "image": Tensor((size,), bytes(size))}
    data = frames.join(Frame(messages.dumps(update), tensors))
    with pytest.raises(BridgeError, match="has the shape"):
        read(WSMessage(WSMsgType.BINARY, data, None))


def test_a_copy_that_comes_out_otherwise_than_its_hash_is_thrown_away() -> None:
    mirror, update = Mirror(), whole()
    mirror.take(update, tensors_of(update))
    lying = replace(update, revision=2, base=1, image_tiles=(0,), mask_tiles=())
    with pytest.raises(Drift):
        mirror.take(lying, tensors_of(lying, byte=2))
    with pytest.raises(Drift):  # there is nothing left to build upon
        mirror.take(replace(update, revision=3, base=2), tensors_of(update))


@pytest.mark.parametrize(
    "changes",
    [
        {"base": 2},
        {"live": "other"},
        {"bounds": Bounds(0, 0, 80, 70)},
        {"canvas": Extent(101, 80)},
        {"has_mask": False, "mask_tiles": ()},
    ],
)
def test_an_update_of_something_else_asks_for_everything(changes: dict[str, object]) -> None:
    mirror, update = Mirror(), whole()
    mirror.take(update, tensors_of(update))
    other = replace(update, revision=3, **{"base": 1, **changes})  # type: ignore[arg-type]
    with pytest.raises(Drift):
        mirror.take(other, tensors_of(other))


def test_a_selection_without_a_picture_is_refused() -> None:
    update = whole(has_image=False, image_tiles=())
    with pytest.raises(BridgeError, match="without its picture"):
        Mirror().take(update, tensors_of(update))


async def test_a_lying_client_is_answered_and_the_connection_goes_on(bridge: RunFile) -> None:
    async with client(bridge) as painter:
        lying = whole(digest="00")
        await painter.send(lying, *tensors_of(lying).items())
        assert (await painter.until(LiveResync))[0] == LiveResync("live", 1)
        await painter.send(replace(whole(), request=PaintRequest("a", preset="no such")))
        fault, _ = await painter.until(Fault)
        assert isinstance(fault, Fault) and fault.job == "live"
        longest = PLACE.ljust(
            limits.MAX_PROMPT_CHARACTERS, "a"
        )  # within the preset's it is too long
        wordy = whole(request=PaintRequest("a", template=longest))
        await painter.send(wordy, *tensors_of(wordy).items())
        fault, _ = await painter.until(Fault)
        assert isinstance(fault, Fault) and (fault.code, fault.job) == ("bad_message", "live")
        assert "template" in fault.message
        true = whole(revision=2)
        await painter.send(true, *tensors_of(true).items())
        picture, frame = await painter.until(LivePicture)
        assert isinstance(picture, LivePicture) and picture.revision == 2
        assert frame.tensors["image"].shape == (70, 80, 4)


async def test_a_live_painting_with_a_control_and_a_reference_is_painted(bridge: RunFile) -> None:
    numbers, reference = tuple(range(tiles.count(AREA))), Tensor((3, 4, 4), bytes(48))
    control = Control(ControlKind.SCRIBBLE, ControlSource.MAP)
    update = LiveUpdate(
        "live", 1, 0, PaintRequest("a", controls=(control,), references=(Reference(),)), CANVAS, AREA, True, False,
        numbers, (), tiles.digest_of(hashes(1, 4), hashes(1, 4)), (numbers,), (tiles.picture_digest(4, 3, bytes(48)),),
    )  # fmt: skip
    async with client(bridge) as painter:
        await painter.send(update, *tensors_of(update).items())  # without its reference
        assert (await painter.until(LiveResync))[0] == LiveResync("live", 1)
        await painter.send(update, *tensors_of(update).items(), ("reference-0", reference))
        assert (await painter.until(LivePicture))[0].revision == 1
        again = replace(update, revision=2, base=1, image_tiles=(), control_tiles=((),))
        await painter.send(again)
        assert (await painter.until(LivePicture))[0].revision == 2
        too_large = Tensor((1, limits.MAX_REFERENCE_SIDE + 1, 4), bytes(4100))
        await painter.send(replace(again, revision=3, base=2), ("reference-0", too_large))
        fault, _ = await painter.until(Fault)
        assert isinstance(fault, Fault) and "1 to 1024 px" in fault.message


async def test_a_live_picture_that_fails_is_told_once_and_jobs_go_on(bridge: RunFile) -> None:
    async with client(bridge) as painter:
        failing = whole(request=PaintRequest("fail"))
        await painter.send(failing, *tensors_of(failing).items())
        fault, _ = await painter.until(Fault)
        assert isinstance(fault, Fault) and fault.job == "live" and fault.message
        await painter.send(submit("job"))
        await painter.until(messages.Result)


async def test_a_worker_that_dies_of_a_live_picture_does_not_paint_it_again(
    bridge: RunFile,
) -> None:
    async with client(bridge) as painter:
        deadly = whole(request=PaintRequest("die steps=3"))
        await painter.send(deadly, *tensors_of(deadly).items())
        fault, _ = await painter.until(Fault)
        assert isinstance(fault, Fault) and (fault.code, fault.job) == ("worker_died", "live")
        await painter.send(submit("job"))
        await painter.until(messages.Result)

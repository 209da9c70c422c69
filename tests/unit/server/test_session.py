"""The protocol from a client's side: a real serve process over a worker with a fake engine."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from krita_plugin.krita_bridge.wire import messages
from krita_plugin.krita_bridge.wire.control import Control, ControlKind, ControlSource
from krita_plugin.krita_bridge.wire.frames import Frame, Tensor, join
from krita_plugin.krita_bridge.wire.geometry import Bounds, Extent
from krita_plugin.krita_bridge.wire.messages import (
    Accepted,
    Acknowledge,
    Cancel,
    Ended,
    EngineState,
    EngineStatus,
    Fault,
    Hello,
    JobState,
    PaintRequest,
    Preview,
    Progress,
    Result,
    Resume,
    Submit,
    Unknown,
)
from krita_plugin.krita_bridge.wire.runfile import RunFile
from tests.bridge_process import (
    BareClient,
    BridgeProcess,
    bridge_process,
    client,
    connected,
    submit,
)

NAMES = (f"client-{number}" for number in itertools.count())


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def process(home: Path) -> Iterator[BridgeProcess]:
    """One bridge for all: `bridge` is its run file."""
    with bridge_process(home) as running:
        yield running


async def finish(painter: BareClient, job: Submit) -> tuple[Result, Frame]:
    await painter.send(job)
    message, frame = await painter.until(Result, Ended, Fault)
    assert isinstance(message, Result), message
    return message, frame


async def test_welcome_tells_presets_status_and_nothing_kept(bridge: RunFile) -> None:
    async with client(bridge, next(NAMES)) as painter:
        assert painter.welcome is not None
        assert [preset.name for preset in painter.welcome.presets] == ["fake"]
        assert painter.welcome.default_preset == "fake"
        assert painter.welcome.unacknowledged == ()


async def test_a_job_is_accepted_steps_and_ends_in_its_result(
    bridge: RunFile, tmp_path: Path
) -> None:
    go = tmp_path / "go"
    async with client(bridge, next(NAMES)) as painter:
        await painter.send(submit("whole", f"steps=3 pause=0.12 hold={go}", document="note"))
        kinds, steps = [], []
        while True:
            message, _ = await painter.receive()
            kinds.append(type(message))
            if isinstance(message, Progress):
                steps.append(message.step)
                assert message.steps == 3
                assert message.seconds_left is not None and message.seconds_left >= 0
                if message.step == 2:  # no later one can take its place: the job waits
                    go.touch()
            if isinstance(message, Result):
                break
        first = next(kind for kind in kinds if kind is not EngineStatus)
        assert first is Accepted
        assert 2 in steps and steps == sorted(set(steps))
        assert message.document == "note" and message.facts.steps == 3
        assert message.facts.seconds >= 3 * 0.12


async def test_previews_show_the_job_before_its_last_step(bridge: RunFile) -> None:
    async with client(bridge, next(NAMES)) as painter:
        await painter.send(submit("seen", "steps=1000 pause=0.05"))
        message, frame = await painter.until(Preview, Result)
        assert isinstance(message, Preview) and message.step < 1000
        assert frame.tensors["image"].shape == (8, 16, 4)
        await painter.send(Cancel("seen"))


async def test_pixels_are_bgra_both_ways_and_only_the_mask_is_painted(bridge: RunFile) -> None:
    height, width = 6, 9
    mask = np.zeros((height, width), np.uint8)
    mask[2:5, 3:7] = 255
    canvas, bounds = Extent(100, 50), Bounds(20, 10, width, height)
    request = PaintRequest("", seed=77)
    image = np.random.default_rng(1).integers(0, 256, (height, width, 4), np.uint8)
    async with client(bridge, next(NAMES)) as painter:
        await painter.send(
            Submit("pixels", request, canvas, bounds),
            ("image", Tensor(image.shape, image.tobytes())),
            ("mask", Tensor(mask.shape, mask.tobytes())),
        )
        message, frame = await painter.until(Result, Ended)
    assert isinstance(message, Result) and message.bounds == bounds and message.canvas == canvas
    got = np.frombuffer(frame.tensors["image"].data, np.uint8).reshape(height, width, 4)
    assert not got[mask == 0].any()
    assert (got[..., 0][mask > 0] == 77).all(), "the fake engine's blue is the seed"
    columns = np.broadcast_to(np.arange(width), (height, width))
    assert (got[..., 2][mask > 0] == columns[mask > 0]).all(), "its red counts columns"


async def test_a_kept_map_is_bgra_both_ways(bridge: RunFile) -> None:
    picture = np.random.default_rng(1).integers(0, 256, (6, 9, 4), np.uint8)
    control = Control(ControlKind.DEPTH, ControlSource.MAP, keep=True)
    request = PaintRequest("", controls=(Control(ControlKind.CANNY), control))
    async with client(bridge, next(NAMES)) as painter:
        await painter.send(
            Submit("controlled", request, Extent(9, 6), Bounds(0, 0, 9, 6)),
            ("image", Tensor(picture.shape, bytes(picture.size))),
            ("control-1", Tensor(picture.shape, picture.tobytes())),
        )
        _, frame = await painter.until(Result, Ended)
    assert set(frame.tensors) == {"image", "control-1"}
    assert bytes(frame.tensors["control-1"].data) == picture.tobytes()


@pytest.mark.parametrize(
    ("name", "width", "says"),
    [
        ("image", 9, "Control 0 (depth) came without its picture"),
        ("control-0", 8, "The control-0 has the shape (6, 8, 4), not (6, 9, 4)"),
        ("control-1", 9, "without its picture"),
    ],
)
async def test_control_pictures_that_do_not_fit_are_refused(
    name: str, width: int, says: str, bridge: RunFile
) -> None:
    request = PaintRequest("", controls=(Control(ControlKind.DEPTH, ControlSource.PICTURE),))
    async with client(bridge, next(NAMES)) as painter:
        await painter.send(
            Submit("job", request, Extent(9, 6), Bounds(0, 0, 9, 6)),
            (name, Tensor((6, width, 4), bytes(6 * width * 4))),
        )
        fault, _ = await painter.until(Fault, Accepted)
    assert isinstance(fault, Fault) and (fault.code, fault.job) == ("bad_message", "job")
    assert says in fault.message


async def test_previews_only_for_those_who_want_them(bridge: RunFile) -> None:
    async with client(bridge, next(NAMES)) as painter:
        await painter.send(submit("quiet", "steps=4 pause=0.12", previews=False))
        while True:
            message, _ = await painter.receive()
            assert not isinstance(message, Preview)
            if isinstance(message, Result):
                return


async def test_submitting_twice_runs_once(bridge: RunFile) -> None:
    async with client(bridge, next(NAMES)) as painter:
        job = submit("twice", "steps=3 pause=0.1")
        for _ in range(3):
            await painter.send(job)
        await painter.until(Result)
        assert not any(isinstance(m, (Progress, Result)) for m in await painter.sync())
        await painter.send(job)
        message, _ = await painter.until(Result, Accepted, Progress)
        assert isinstance(message, Result), "a finished job is answered with its result"


async def test_a_result_is_kept_until_acknowledged_across_connections(
    bridge: RunFile, home: Path
) -> None:
    name = next(NAMES)
    async with client(bridge, name) as painter:
        _, first = await finish(painter, submit("kept", seed=5))
    (path,) = home.glob(f"results/{name}-*/kept-*.frame")
    async with client(bridge, name) as painter:
        assert painter.welcome is not None and painter.welcome.unacknowledged == ("kept",)
        await painter.send(Resume(("kept", "never-heard-of")))
        answers = [await painter.until(Result, Unknown) for _ in range(2)]
        results = [(m, f) for m, f in answers if isinstance(m, Result)]
        assert Unknown("never-heard-of") in [m for m, _ in answers]
        assert results[0][1].tensors["image"].data == first.tensors["image"].data
        await painter.send(Acknowledge("kept"))
        await painter.send(Acknowledge("kept"))
        await painter.send(Resume(("kept",)))
        assert (await painter.until(Unknown, Result))[0] == Unknown("kept")
    assert not path.exists()


async def test_a_running_job_outlives_its_connection_and_is_resumed(
    bridge: RunFile, tmp_path: Path
) -> None:
    name, go = next(NAMES), tmp_path / "go"
    async with client(bridge, name) as painter:
        await painter.send(submit("long", f"hold={go}"))
        await painter.until(Progress)
    async with client(bridge, name) as painter:
        await painter.send(Resume(("long",)))
        assert isinstance((await painter.until(Accepted, Unknown, Result))[0], Accepted)
        go.touch()
        await painter.until(Result)


async def test_cancelling_a_running_job_is_answered_at_once_and_frees_the_worker(
    bridge: RunFile,
) -> None:
    async with client(bridge, next(NAMES)) as painter:
        await painter.send(submit("endless", "steps=100 pause=0.3"))
        await painter.until(Progress)
        await painter.send(Cancel("endless"))
        seen = await painter.sync()
        (ended,) = [m for m in seen if isinstance(m, Ended)]
        assert (ended.state, ended.code) == (JobState.CANCELLED, "cancelled")
        await painter.send(submit("next"))
        await painter.until(Result)
        late = [m for m in await painter.sync() if getattr(m, "job", "") == "endless"]
        assert late == []


async def test_cancelling_a_waiting_job_takes_it_out_of_the_line(
    bridge: RunFile, tmp_path: Path
) -> None:
    async with client(bridge, next(NAMES)) as painter:
        await painter.send(submit("first", f"hold={tmp_path / 'go'}"))
        await painter.send(submit("second"))
        await painter.send(submit("third"))
        await painter.send(Cancel("second"))
        ended, _ = await painter.until(Ended)
        assert isinstance(ended, Ended) and ended.job == "second"
        (tmp_path / "go").touch()
        jobs = [m.job for m in [(await painter.until(Result))[0] for _ in range(2)]]  # type: ignore[union-attr]
        assert jobs == ["first", "third"]


async def test_cancel_of_what_is_over_is_answered_with_how_it_ended(bridge: RunFile) -> None:
    async with client(bridge, next(NAMES)) as painter:
        await finish(painter, submit("done"))
        await painter.send(Cancel("done"))
        assert isinstance((await painter.until(Result, Ended, Unknown))[0], Result)
        await painter.send(submit("bad", "fail"))
        first, _ = await painter.until(Ended)
        await painter.send(Cancel("bad"))
        assert (await painter.until(Ended, Unknown))[0] == first
        await painter.send(submit("bad", "fail"))
        assert (await painter.until(Ended, Accepted))[0] == first
        await painter.send(Cancel("nothing"))
        assert (await painter.until(Ended, Unknown))[0] == Unknown("nothing")


@pytest.mark.parametrize(
    ("prompt", "code"), [("fail", "bad_input"), ("memory", "out_of_memory"), ("crash", "internal")]
)
async def test_a_failure_is_one_sentence_with_a_hint_and_the_next_job_succeeds(
    bridge: RunFile, prompt: str, code: str
) -> None:
    async with client(bridge, next(NAMES)) as painter:
        await painter.send(submit("failing", prompt))
        ended, _ = await painter.until(Ended, Result)
        assert isinstance(ended, Ended)
        assert (ended.state, ended.code) == (JobState.FAILED, code)
        assert ended.message.endswith(".") and ended.hint.endswith(".")
        assert "Traceback" not in ended.message
        await finish(painter, submit("after"))


async def test_what_libraries_print_breaks_no_frame(bridge: RunFile) -> None:
    async with client(bridge, next(NAMES)) as painter:
        await finish(painter, submit("noisy", "noise steps=3"))


async def test_the_line_is_told_as_it_moves(bridge: RunFile, tmp_path: Path) -> None:
    async with client(bridge, next(NAMES)) as painter:

        async def told(count: int) -> dict[str, int]:
            answers = [(await painter.until(Accepted))[0] for _ in range(count)]
            return {m.job: m.position for m in answers if isinstance(m, Accepted)}

        for job in "abc":
            await painter.send(submit(job, f"hold={tmp_path / job}"))
        assert await told(3) == {"a": 0, "b": 1, "c": 2}
        (tmp_path / "a").touch()
        assert await told(2) == {"b": 0, "c": 1}
        (tmp_path / "b").touch()
        assert await told(1) == {"c": 0}
        (tmp_path / "c").touch()


async def test_two_clients_take_turns_and_never_meet(bridge: RunFile, tmp_path: Path) -> None:
    greedy, modest = next(NAMES), next(NAMES)
    first, turn = tmp_path / "first", tmp_path / "turn"
    async with client(bridge, greedy) as many, client(bridge, modest) as one:
        for number in range(6):
            await many.send(submit(f"job-{number}", f"hold={first}", seed=1))
        await many.sync()
        await one.send(submit("job-3", f"hold={turn}", seed=2))
        await one.send(Resume(("job-0",)))
        assert (await one.until(Unknown))[0] == Unknown("job-0")
        await one.send(Cancel("job-5"))
        assert (await one.until(Unknown, Ended))[0] == Unknown("job-5")
        first.touch()
        await one.until(Progress)
        done = sum(isinstance(m, Result) for m in await many.sync())
        assert done <= 2, "the second client did not wait behind all six"
        turn.touch()
        _, frame = await one.until(Result)
        assert bytes(frame.tensors["image"].data)[0] == 2
        await one.send(Acknowledge("job-0"))
        assert not any(isinstance(m, Preview) for m in await one.sync())
        for _ in range(6 - done):
            await many.until(Result)
    async with client(bridge, greedy) as many:
        assert many.welcome is not None and len(many.welcome.unacknowledged) == 6


async def test_an_unknown_preset_names_the_job(bridge: RunFile) -> None:
    async with client(bridge, next(NAMES)) as painter:
        job = Submit("job", PaintRequest("", preset="nope"), Extent(8, 8), Bounds(0, 0, 8, 8))
        await painter.send(job)
        fault, _ = await painter.until(Fault)
        assert isinstance(fault, Fault)
        assert (fault.code, fault.job) == ("unknown_preset", "job") and "nope" in fault.message


def image(height: int, width: int) -> tuple[str, Tensor]:
    return "image", Tensor((height, width, 4), bytes(height * width * 4))


@pytest.mark.parametrize(
    "tensors",
    [
        [image(8, 15)],
        [image(16, 8)],
        [("image", Tensor((8, 16, 3), bytes(8 * 16 * 3)))],
        [("image", Tensor((8, 16), bytes(8 * 16)))],
        [("mask", Tensor((7, 16), bytes(7 * 16)))],
        [image(8, 16), ("mask", Tensor((8, 16, 1), bytes(8 * 16)))],
        [("surprise", Tensor((1,), bytes(1)))],
    ],
)
async def test_pixels_of_another_size_are_refused_and_name_the_job(
    bridge: RunFile, tensors: list[tuple[str, Tensor]]
) -> None:
    async with client(bridge, next(NAMES)) as painter:
        await painter.send(submit("job"), *tensors)
        fault, _ = await painter.until(Fault, Accepted)
        assert isinstance(fault, Fault)
        assert (fault.code, fault.job) == ("bad_message", "job")


async def test_a_prompt_of_100000_characters_gets_one_sentence_naming_the_job(
    bridge: RunFile,
) -> None:
    text = messages.dumps(submit("job")).replace('"prompt": ""', f'"prompt": "{"x" * 100_000}"')
    async with client(bridge, next(NAMES)) as painter:
        await painter.socket.send(text)
        fault, _ = await painter.until(Fault, Accepted)
        assert isinstance(fault, Fault) and fault.job == "job"
        assert fault.message == "The prompt has 100,000 characters; shorten it to 10,000 at most."


@pytest.mark.parametrize(
    "first", ['{"type": "resume", "jobs": []}', "{", "[]", b"", b"\x00" * 9, "hello" * 1000]
)
async def test_before_hello_nothing_else_is_answered(bridge: RunFile, first: str | bytes) -> None:
    async with connected(bridge) as socket:
        await socket.send(first)
        fault = messages.loads(str(await socket.receive()))
        assert isinstance(fault, Fault) and fault.code == "refused"
        assert (await socket.raw.receive()).data == 1008


async def test_another_protocol_version_is_told_what_to_do(bridge: RunFile) -> None:
    async with connected(bridge) as socket:
        await socket.send(messages.dumps(Hello(2, "test", "x")))
        fault = messages.loads(str(await socket.receive()))
        assert isinstance(fault, Fault) and "2" in fault.message and "Update" in fault.hint


async def test_pixels_where_none_belong_are_refused(bridge: RunFile) -> None:
    async with client(bridge, next(NAMES)) as painter:
        tensor = Tensor((1, 1, 4), bytes(4))
        await painter.socket.send(join(Frame(messages.dumps(Cancel("job")), {"image": tensor})))
        fault, _ = await painter.until(Fault)
        assert isinstance(fault, Fault) and fault.job == "job"


async def test_a_client_cannot_play_the_bridge(bridge: RunFile) -> None:
    async with client(bridge, next(NAMES)) as painter:
        await painter.send(Unknown("job"))
        assert isinstance((await painter.until(Fault))[0], Fault)
        await painter.send(Hello(1, "test", "another"))
        assert isinstance((await painter.until(Fault))[0], Fault)


async def test_status_follows_the_worker(bridge: RunFile) -> None:
    async def until(state: EngineState) -> EngineStatus:
        while True:
            message, _ = await painter.until(EngineStatus)
            assert isinstance(message, EngineStatus) and message.sentence.endswith(".")
            if message.state is state:
                return message

    async with client(bridge, next(NAMES)) as painter:
        # A status takes the place of an unsent older one, so BUSY must last until it has been seen.
        await painter.send(submit("status", "steps=1000 pause=0.05"))
        await until(EngineState.BUSY)
        await painter.send(Cancel("status"))
        ready = await until(EngineState.READY)
        assert ready.model == "fake model" and ready.device == "fake"

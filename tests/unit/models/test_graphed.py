"""Recorded graphs, with a recorder that replays by calling again: when there is one, what it reads and writes, and that
nothing depends on there being one. No graph of a real GPU was ever recorded by these tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import AutoencoderTiny

from bridge.engine import held as held_module
from bridge.engine.held import Held
from bridge.engine.pipeline import Engine
from bridge.engine.request import resolve
from bridge.engine.types import Job, Snapshot
from bridge.models.device import memory_format, recorder
from bridge.models.graphed import _KEPT, _OFTEN, _WARM_UPS, CudaRecorder, Graphed
from bridge.models.parts import TinyVae
from krita_plugin.krita_bridge.wire.geometry import Bounds, Extent
from krita_plugin.krita_bridge.wire.messages import PaintRequest
from tests.fake_models import preset, tiny_model


class StandIn:
    """Records as CUDA does: a replay reads and writes the memory that was there when it was recorded."""

    def __init__(self) -> None:
        self.recorded = self.replayed = 0
        self.fails_to_record = self.fails_to_replay = False

    def __call__(
        self, work: Callable[[], torch.Tensor]
    ) -> tuple[torch.Tensor, Callable[[], object]]:
        if self.fails_to_record:
            raise RuntimeError("CUDA error: operation not permitted when stream is capturing")
        result = work()
        self.recorded += 1

        def replay() -> None:
            if self.fails_to_replay:
                raise RuntimeError("CUDA error: launch failure")
            self.replayed += 1
            result.copy_(work())

        return result, replay


class Network:
    """Sums up all that it is given."""

    config = SimpleNamespace(in_channels=4)

    def __init__(self) -> None:
        self.weight = torch.ones(())
        self.calls = 0

    def __call__(
        self, given: torch.Tensor, time: torch.Tensor, *, more: Any = None
    ) -> tuple[torch.Tensor]:
        self.calls += 1
        extra = sum((each.sum() for each in more["list"]), torch.zeros(())) if more else 0
        return (given * self.weight + time + extra,)


@pytest.fixture
def network() -> Network:
    return Network()


@pytest.fixture
def stand_in() -> StandIn:
    return StandIn()


@pytest.fixture
def graphed(network: Network, stand_in: StandIn) -> Graphed:
    return Graphed(network, stand_in)


def call(graphed: Graphed, value: float = 1.0, side: int = 4) -> torch.Tensor:
    return graphed(torch.full((1, 4, side, side), value), torch.tensor(0.5))[0]


def often(graphed: Graphed, side: int = 4) -> None:
    for _ in range(_OFTEN):
        call(graphed, side=side)


def test_at_first_every_call_runs_as_ever(graphed: Graphed, stand_in: StandIn) -> None:
    for _ in range(10):
        assert call(graphed, 2.0).mean() == 2.5
    assert stand_in.recorded == 0


def test_shapes_that_come_again_are_recorded_when_there_is_time_and_replayed_from_then_on(
    graphed: Graphed, stand_in: StandIn
) -> None:
    often(graphed)
    graphed.record()
    graphed.record()
    assert stand_in.recorded == 1
    assert call(graphed, 3.0).mean() == 3.5
    assert call(graphed, 4.0).mean() == 4.5
    assert stand_in.replayed == 2


def test_shapes_that_came_once_are_not_recorded(graphed: Graphed, stand_in: StandIn) -> None:
    for side in range(1, 9):
        call(graphed, side=side)
    graphed.record()
    assert stand_in.recorded == 0


def test_of_several_shapes_the_newest_is_recorded(graphed: Graphed, stand_in: StandIn) -> None:
    often(graphed, side=4)
    often(graphed, side=8)
    graphed.record()
    call(graphed, side=8)
    assert (stand_in.recorded, stand_in.replayed) == (1, 1)


def test_a_result_is_not_written_over_by_the_next_one(graphed: Graphed) -> None:
    often(graphed)
    graphed.record()
    first, second = call(graphed, 1.0), call(graphed, 2.0)
    assert (first.mean(), second.mean()) == (1.5, 2.5)


def test_new_values_in_the_same_weights_count(graphed: Graphed, network: Network) -> None:
    often(graphed)
    graphed.record()
    network.weight.fill_(3.0)
    assert call(graphed, 2.0).mean() == 6.5


def test_tensors_in_lists_and_dicts_are_read_anew(graphed: Graphed, stand_in: StandIn) -> None:
    def given(value: float) -> torch.Tensor:
        more = {"list": [torch.full((2,), value), torch.full((3,), value)], "name": "x"}
        return graphed(torch.zeros(1, 4, 2, 2), torch.tensor(0.0), more=more)[0]

    for _ in range(_OFTEN):
        given(1.0)
    graphed.record()
    assert (given(1.0).mean(), given(2.0).mean()) == (5.0, 10.0)
    assert stand_in.replayed == 2


def test_another_dtype_or_another_structure_is_another_graph(
    graphed: Graphed, stand_in: StandIn
) -> None:
    often(graphed)
    graphed.record()
    assert graphed(torch.ones(1, 4, 4, 4).double(), torch.tensor(0.5))[0].dtype == torch.float64
    more = {"list": [torch.ones(1)]}
    assert graphed(torch.ones(1, 4, 4, 4), torch.tensor(0.5), more=more)[0].mean() == 2.5
    assert stand_in.replayed == 0


def test_what_cannot_be_recorded_runs_as_ever_and_is_not_tried_again(
    graphed: Graphed, stand_in: StandIn
) -> None:
    stand_in.fails_to_record = True
    often(graphed)
    graphed.record()
    stand_in.fails_to_record = False
    often(graphed)
    graphed.record()
    assert call(graphed, 2.0).mean() == 2.5 and stand_in.recorded == 0


def test_what_cannot_be_replayed_runs_as_ever_from_then_on(
    graphed: Graphed, stand_in: StandIn
) -> None:
    often(graphed)
    graphed.record()
    stand_in.fails_to_replay = True
    assert call(graphed, 2.0).mean() == 2.5
    stand_in.fails_to_replay = False
    often(graphed)
    graphed.record()
    assert (stand_in.recorded, stand_in.replayed) == (1, 0)


def test_so_many_graphs_are_kept_those_used_last(graphed: Graphed, stand_in: StandIn) -> None:
    for side in range(1, _KEPT + 2):
        often(graphed, side)
        graphed.record()
        call(graphed, side=1)
    before = stand_in.replayed
    call(graphed, side=2)
    assert stand_in.replayed == before, "the one used longest ago has gone"
    call(graphed, side=1)
    assert stand_in.replayed == before + 1


def test_only_cuda_records_and_has_channels_last() -> None:
    cuda, cpu, mps = torch.device("cuda"), torch.device("cpu"), torch.device("mps")
    assert isinstance(recorder(cuda), CudaRecorder)
    assert recorder(cpu) is None and recorder(mps) is None
    assert memory_format(cuda) == torch.channels_last
    assert memory_format(cpu) == torch.preserve_format


class Cuda:
    """Stands for torch.cuda: says in `seen` on which stream work is done, and in which recording with which memory."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.streams = ["main"]
        self.recording: str | None = None
        self.seen: list[tuple[str, str | None]] = []
        self.devices: list[torch.device] = []
        self.fails = False
        stream = SimpleNamespace(wait_stream=lambda other: None)
        fakes = {
            "Stream": lambda: SimpleNamespace(name="aside", **vars(stream)),
            "current_stream": lambda: SimpleNamespace(name=self.streams[-1], **vars(stream)),
            "stream": self.stream,
            "device": self.device,
            "CUDAGraph": lambda: SimpleNamespace(
                pool=lambda: "the memory of the first", replay=lambda: None
            ),
            "graph": self.graph,
        }
        for name, fake in fakes.items():
            monkeypatch.setattr(torch.cuda, name, fake)

    def work(self) -> torch.Tensor:
        self.seen.append((self.streams[-1], self.recording))
        return torch.zeros(1)

    @contextmanager
    def stream(self, stream: Any) -> Iterator[None]:
        before = list(self.streams)
        self.streams.append(stream.name)
        try:
            yield
        finally:
            self.streams = before

    @contextmanager
    def device(self, device: torch.device) -> Iterator[None]:
        self.devices.append(device)
        yield

    @contextmanager
    def graph(self, graph: Any, pool: str | None) -> Iterator[None]:
        """As in torch 2.13, a recording that fails leaves its stream in use."""
        self.streams.append("recording")
        self.recording = pool or "memory of its own"
        yield
        self.recording = None
        if self.fails:
            raise RuntimeError("CUDA error: operation failed due to a previous error")
        self.streams.pop()


def test_a_graph_is_recorded_after_calls_on_another_stream_in_a_memory_that_all_share(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cuda, device = Cuda(monkeypatch), torch.device("cuda", 1)
    record = CudaRecorder(device)
    record(cuda.work)
    assert cuda.seen == [("aside", None)] * _WARM_UPS + [("recording", "memory of its own")]
    record(cuda.work)
    assert cuda.seen[-1] == ("recording", "the memory of the first")
    assert cuda.devices == [device, device]


def test_after_a_recording_that_failed_the_work_goes_on_where_it_was(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cuda = Cuda(monkeypatch)
    cuda.fails = True
    with pytest.raises(RuntimeError):
        CudaRecorder(torch.device("cuda"))(cuda.work)
    assert cuda.streams == ["main"]


def test_drafts_are_replayed_to_the_same_bytes_and_nothing_else_is(
    monkeypatch: pytest.MonkeyPatch, stand_in: StandIn, tmp_path: Path
) -> None:
    monkeypatch.setattr(held_module, "recorder", lambda device: stand_in)
    engine = Engine(
        {"embedded": preset("embedded")},
        device="cpu",
        home=tmp_path,
        load=lambda *_: tiny_model("sd15"),
    )
    engine.rest()  # before there is a model
    image = np.random.default_rng(0).integers(0, 256, (64, 64, 4), dtype=np.uint8)

    def paint(**changes: Any) -> bytes:
        request = PaintRequest("a", strength=0.5, steps=6, guidance=2.0, seed=3, **changes)
        job = Job(request, Snapshot(Extent(64, 64), Bounds(0, 0, 64, 64), image))
        painting = engine.paint(job, on_step=lambda _: None, is_cancelled=lambda: False)
        engine.rest()
        return painting.image.tobytes()

    whole = paint()
    assert paint() == whole and stand_in.recorded == 0
    assert paint(draft=True) == whole and (stand_in.recorded, stand_in.replayed) == (1, 0)
    assert paint(draft=True) == whole and stand_in.replayed == 3
    assert paint() == whole and stand_in.replayed == 3


@pytest.mark.parametrize("prompt", ["a", "a <hypernet:style>"])
@pytest.mark.parametrize("is_shown_pictures", [True, False])
def test_a_unet_that_something_hooks_into_is_not_replayed(
    prompt: str,
    is_shown_pictures: bool,
    monkeypatch: pytest.MonkeyPatch,
    stand_in: StandIn,
    tmp_path: Path,
) -> None:
    monkeypatch.setattr(held_module, "recorder", lambda device: stand_in)
    network = AutoencoderTiny(
        encoder_block_out_channels=(8,) * 4, decoder_block_out_channels=(8,) * 4
    )
    model = replace(tiny_model("sd15"), tiny_vae=TinyVae(network, "tiny", "0" * 64))
    made = preset("embedded")
    held = Held(made.model, model, tmp_path)
    area = Bounds(0, 0, 64, 64)
    settings = resolve(Job(PaintRequest(prompt, draft=True), Snapshot(area.extent, area)), made)
    painter = held.painter(settings, is_shown_pictures)
    assert isinstance(painter.unet, Graphed) == (prompt == "a" and not is_shown_pictures)
    assert isinstance(painter.unet, Graphed) or painter.unet is model.unet
    assert painter.vae is network, "a draft is one all the same"

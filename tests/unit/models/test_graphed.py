"""Recorded graphs, with a recorder for the CPU (`tests/graph_stand_in.py`): when there is one, what it reads and writes, and
that nothing depends on there being one. No graph of a real GPU was ever recorded by these tests."""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import AutoencoderTiny
from safetensors.torch import save_file

from bridge.engine import held as held_module
from bridge.engine.held import Held
from bridge.engine.pipeline import Engine
from bridge.engine.request import resolve
from bridge.engine.types import Job, Snapshot
from bridge.models.device import memory_format, recorder
from bridge.models.graphed import _KEPT, _OFTEN, _WARM_UPS, CudaRecorder, Graphed, GraphedTinyVae
from bridge.models.parts import TinyVae
from krita_plugin.krita_bridge.wire.folders import HYPERNETWORKS
from krita_plugin.krita_bridge.wire.geometry import Bounds, Extent
from krita_plugin.krita_bridge.wire.messages import PaintRequest
from tests.fake_models import preset, tiny_model
from tests.graph_stand_in import StandIn
from tests.tiny_models import WIDTH


class Network:
    """Sums up all that it is given."""

    def __init__(self) -> None:
        self.weight = torch.ones(())

    def __call__(self, given: torch.Tensor, time: torch.Tensor, more: Any = None) -> torch.Tensor:
        extra = sum((each.sum() for each in more["list"]), torch.zeros(())) if more else 0
        return given * self.weight + time + extra


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
    return graphed(torch.full((1, 4, side, side), value), torch.tensor(0.5))


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
        return graphed(torch.zeros(1, 4, 2, 2), torch.tensor(0.0), more)

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
    assert graphed(torch.ones(1, 4, 4, 4).double(), torch.tensor(0.5)).dtype == torch.float64
    more = {"list": [torch.ones(1)]}
    assert graphed(torch.ones(1, 4, 4, 4), torch.tensor(0.5), more).mean() == 2.5
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


@pytest.mark.parametrize(
    "work",
    [
        lambda given: given * float(given.max()),
        lambda given: given[given > 0],
        lambda given: given + torch.tensor(2.0),
    ],
    ids=["a number for Python", "a size that depends on numbers", "a number from Python"],
)
def test_work_that_no_cuda_graph_takes_is_not_recorded(work: Any, stand_in: StandIn) -> None:
    graphed = Graphed(work, stand_in)
    for _ in range(_OFTEN):
        graphed(torch.ones(2))
    graphed.record()
    assert torch.equal(graphed(torch.ones(2)), work(torch.ones(2))) and stand_in.recorded == 0


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


def test_what_is_no_tensor_is_told_apart_and_kept_until_all_is_forgotten(
    stand_in: StandIn,
) -> None:
    class Other:
        def __init__(self, weight: float) -> None:
            self.weight = torch.tensor(weight)

    graphed = Graphed(lambda given, others: sum((o.weight for o in others), given), stand_in)
    two, five = Other(2.0), Other(5.0)

    def paint(*others: Other) -> float:
        return float(graphed(torch.ones(1), list(others)))

    for others, expected in (((two,), 3.0), ((five,), 6.0), ((two, five), 8.0), ((), 1.0)):
        for _ in range(_OFTEN):
            assert paint(*others) == expected
        graphed.record()
        assert paint(*others) == expected
    assert (stand_in.recorded, stand_in.replayed) == (4, 4)
    gone = weakref.ref(five)
    del five, others
    assert gone() is not None, "a graph reads its memory"
    graphed.forget()
    assert gone() is None
    assert paint(two) == 3.0 and stand_in.replayed == 4


def test_only_cuda_records_and_has_channels_last() -> None:
    cuda, cpu, mps = torch.device("cuda"), torch.device("cpu"), torch.device("mps")
    assert isinstance(recorder(cuda), CudaRecorder)
    assert recorder(cpu) is None and recorder(mps) is None
    assert memory_format(cuda) == torch.channels_last
    assert memory_format(cpu) == torch.preserve_format


class CudaGraph:
    def __init__(self) -> None:
        self.memory = ""

    def pool(self) -> str:
        return self.memory

    def replay(self) -> None:
        pass


class Cuda:
    """Stands for torch.cuda: says in `seen` on which stream work is done, and in which recording with which memory."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.streams = ["main"]
        self.recording: str | None = None
        self.seen: list[tuple[str, str | None]] = []
        self.devices: list[torch.device] = []
        self.fails = False
        self.recorded = 0
        stream = SimpleNamespace(wait_stream=lambda other: None)
        fakes = {
            "Stream": lambda: SimpleNamespace(name="aside", **vars(stream)),
            "current_stream": lambda: SimpleNamespace(name=self.streams[-1], **vars(stream)),
            "stream": self.stream,
            "device": self.device,
            "CUDAGraph": CudaGraph,
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
    def graph(self, graph: CudaGraph, pool: str | None) -> Iterator[None]:
        """As in torch 2.13, a recording that fails leaves its stream in use."""
        self.streams.append("recording")
        self.recorded += 1
        graph.memory = self.recording = pool or f"memory {self.recorded}"
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
    _, first = record(cuda.work)
    assert cuda.seen == [("aside", None)] * _WARM_UPS + [("recording", "memory 1")]
    _, second = record(cuda.work)
    del first
    _, third = record(cuda.work)
    assert [each for each in cuda.seen if each[1]] == [("recording", "memory 1")] * 3
    assert cuda.devices == [device] * 3
    del second, third
    record(cuda.work)
    assert cuda.seen[-1] == ("recording", "memory 4"), "that of graphs that have gone is no more"


def test_after_a_recording_that_failed_the_work_goes_on_where_it_was(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cuda = Cuda(monkeypatch)
    cuda.fails = True
    with pytest.raises(RuntimeError):
        CudaRecorder(torch.device("cuda"))(cuda.work)
    assert cuda.streams == ["main"]


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch, stand_in: StandIn, tmp_path: Path) -> Engine:
    monkeypatch.setattr(held_module, "recorder", lambda device: stand_in)
    return Engine(
        {"embedded": preset("embedded")},
        device="cpu",
        home=tmp_path,
        load=lambda *_: tiny_model("sd15"),
    )


def paint(engine: Engine, prompt: str = "a", **changes: Any) -> bytes:
    image = np.random.default_rng(0).integers(0, 256, (64, 64, 4), dtype=np.uint8)
    request = PaintRequest(prompt, strength=0.5, steps=6, guidance=2.0, seed=3, **changes)
    job = Job(request, Snapshot(Extent(64, 64), Bounds(0, 0, 64, 64), image))
    painting = engine.paint(job, on_step=lambda _: None, is_cancelled=lambda: False)
    return painting.image.tobytes()


def test_drafts_are_replayed_to_the_same_bytes_and_nothing_else_is(
    engine: Engine, stand_in: StandIn
) -> None:
    engine.rest()  # before there is a model
    seen = []
    whole = paint(engine)
    for draft in (False, True, True, False):
        assert paint(engine, draft=draft) == whole
        engine.rest()
        seen.append((stand_in.recorded, stand_in.replayed))
    assert seen == [(0, 0), (1, 0), (1, 3), (1, 3)]


def test_nothing_is_recorded_while_a_hypernetwork_changes_the_unet(
    engine: Engine, stand_in: StandIn, tmp_path: Path
) -> None:
    (tmp_path / HYPERNETWORKS).mkdir()
    tensors = {
        f"{WIDTH}.{n}.linear.0.{name}": tensor
        for n in (0, 1)
        for name, tensor in {"weight": torch.eye(WIDTH), "bias": torch.ones(WIDTH)}.items()
    }
    save_file(tensors, tmp_path / HYPERNETWORKS / "style.safetensors")
    plain = paint(engine, draft=True)
    assert paint(engine, "a <hypernet:style>") != plain
    engine.rest()
    assert stand_in.recorded == 0
    for _ in range(2):
        assert paint(engine, draft=True) == plain
        engine.rest()
    assert (stand_in.recorded, stand_in.replayed) == (1, 3)


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
    assert (painter.graphed is not None) == (prompt == "a" and not is_shown_pictures)
    assert painter.vae.config is network.config, "a draft is one all the same"
    assert isinstance(painter.vae, GraphedTinyVae) == (painter.graphed is not None)


def test_a_tiny_vae_is_replayed_both_ways_to_the_same_bits(stand_in: StandIn) -> None:
    torch.manual_seed(0)
    network = AutoencoderTiny(
        encoder_block_out_channels=(8,) * 4, decoder_block_out_channels=(8,) * 4
    ).eval()
    vae = GraphedTinyVae(network, stand_in)
    with torch.inference_mode():
        for call in range(_OFTEN + 2):
            pixels, latents = torch.rand(1, 3, 16, 16), torch.randn(1, 4, 2, 2)
            assert torch.equal(vae.encode(pixels).latents, network.encode(pixels).latents)
            decoded = network.decode(latents).sample
            assert torch.equal(vae.decode(latents, return_dict=False)[0], decoded)
            if call == _OFTEN - 1:
                assert [vae.record() for _ in range(3)] == [True, True, False], "one at a time"
    assert (stand_in.recorded, stand_in.replayed) == (2, 4)

"""Live pictures on a GPU, with random weights in the shapes of real models: the engine against what it can be at best.

`python -m tests.bench.gpu`; without a GPU it says so and measures nothing. `--tiny` runs all of it with tiny models on the CPU, where
a stand-in takes the place of CUDA graphs: that shows that it works and says nothing about speed.

Arms, in turn in one process, each an image painted anew at every step without guidance, with a tiny VAE:
- `diffusers`: the img2img pipeline (with ControlNet where the case has one), given the prompt's embedding.
- `eager`: the UNet's evaluations alone (and the ControlNet's), as Python launches them.
- `graph`: the same, replayed as one CUDA graph.
- `networks`: that graph, and the tiny VAE both ways as one more: all arithmetic of a picture and nothing else.
- `engine`: ours, bytes to bytes, as it paints live.
- `websocket`: a stroke to its picture, as the plugin finds and sends it, through the bridge, whose worker is another process.

The roofline is the time that the arithmetic of all networks of a picture takes at the rate that this GPU multiplies large matrices
at; both are measured. Memory is what an arm takes beyond the weights that all share: torch's in this process, and what is missing
on the device for the worker of the last arm, its weights included. cuDNN is as the engine sets it for every arm.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import torch
from diffusers import AutoencoderTiny, ControlNetModel, EulerDiscreteScheduler, UNet2DConditionModel
from PIL import Image
from torch.utils.flop_counter import FlopCounterMode
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

from bridge.engine.pipeline import Engine
from bridge.engine.types import Job, Snapshot
from bridge.models.control import ControlNet, ControlNets
from bridge.models.device import choose_dtype, recorder, scalars
from bridge.models.graphed import Recorder
from bridge.models.guided import evaluate
from bridge.models.hashing import HashCache
from bridge.models.load import load
from bridge.models.loaded import LoadedModel
from bridge.models.single_file import CONFIGS
from bridge.presets import DEFAULT_PRESET, ModelFolder, read_preset
from krita_plugin.krita_bridge.link import Pixels
from krita_plugin.krita_bridge.wire.control import Control, ControlKind, ControlSource
from krita_plugin.krita_bridge.wire.geometry import Bounds
from krita_plugin.krita_bridge.wire.messages import PaintRequest
from tests.bench.bridge import REAL, _bridge
from tests.bench.goals import row
from tests.bench.live import Painter
from tests.graph_stand_in import StandIn
from tests.tiny_models import make_tiny_tokenizer

WARM_UPS = 5
"""Of each arm; the engine records graphs of what was called three times with the same shapes, one after each picture."""

STRENGTH = 0.9999
"""All steps are run, and the image is encoded all the same."""

_DEPTH = Control(ControlKind.DEPTH, ControlSource.MAP)


Arm = Callable[[], object]
"""Paints one picture."""


@dataclass(frozen=True)
class Case:
    """`unet`: its config. `width`: channels of the tiny VAE. `times_roofline`: the engine's goal, where it has one."""

    name: str
    unet: dict[str, Any]
    side: int
    steps: int
    controlled: bool = False
    width: int = 64
    times_roofline: float | None = None

    def with_controlnet(self) -> Case:
        return replace(self, name=f"{self.name}, ControlNet", controlled=True, times_roofline=None)

    @property
    def is_xl(self) -> bool:
        return self.unet.get("addition_embed_type") == "text_time"

    @property
    def pooled_width(self) -> int:
        """Of SDXL's pooled text, which is that of its second text encoder."""
        numbers = 6 * int(self.unet["addition_time_embed_dim"])
        return int(self.unet["projection_class_embeddings_input_dim"]) - numbers


def _config(name: str, **changes: Any) -> dict[str, Any]:
    return {**UNet2DConditionModel.load_config(CONFIGS / name / "unet"), **changes}


def real_cases() -> list[Case]:
    sd15, sdxl = _config("sd15"), _config("sdxl")
    turbo = _config(
        "sd15",
        cross_attention_dim=1024,
        attention_head_dim=[5, 10, 20, 20],
        use_linear_projection=True,
    )
    plain = [
        Case("SD-Turbo 512, 1 step", turbo, 512, 1),
        Case("SD 1.5 512, 4 steps", sd15, 512, 4, times_roofline=3.5),
        Case("SDXL 512, 1 step", sdxl, 512, 1),
        Case("SDXL 1024, 4 steps", sdxl, 1024, 4),
    ]
    return [each for case in plain for each in (case, case.with_controlnet())]


def tiny_cases() -> list[Case]:
    small = {"layers_per_block": 1, "norm_num_groups": 8}
    sd15 = _config(
        "sd15", block_out_channels=[32] * 4, cross_attention_dim=32, attention_head_dim=8, **small
    )
    sdxl = _config(
        "sdxl",
        block_out_channels=[32] * 3,
        cross_attention_dim=64,
        attention_head_dim=[2, 4, 4],
        transformer_layers_per_block=[1, 1, 1],
        addition_time_embed_dim=8,
        projection_class_embeddings_input_dim=32 + 6 * 8,
        **small,
    )
    one, xl = (
        Case("tiny SD 1.5", sd15, 64, 2, width=8),
        Case("tiny SDXL", sdxl, 64, 1, width=8, times_roofline=3.5),
    )
    return [one.with_controlnet(), xl, xl.with_controlnet()]


def run(tiny: bool = False, rounds: int = 20, command: tuple[str, ...] = REAL) -> dict[str, object]:
    """Milliseconds a picture, minimum and median; bytes of the GPU's memory at most. `command` starts the bridge."""
    if not tiny and not torch.cuda.is_available():
        print("no GPU: nothing was measured (--tiny shows on the CPU that the benchmark works)")
        return {"gpu": None}
    device = torch.device("cpu" if tiny else "cuda")
    rate = multiplications(device, 256 if tiny else 8192)
    name = "the CPU, tiny models: no figure of a GPU" if tiny else torch.cuda.get_device_name()
    print(f"{name}; {rate / 1e12:.2f} TFLOP/s in large matrices")
    cases = tiny_cases() if tiny else real_cases()
    return {
        "gpu": None if tiny else name,
        "flop_per_s": rate,
        "cases": {case.name: measure(case, device, rate, rounds, command) for case in cases},
    }


def multiplications(device: torch.device, side: int) -> float:
    """FLOP a second of the device's best of ten products of square matrices, in the number format that models get."""
    a, b = torch.randn(2, side, side, device=device, dtype=choose_dtype(device))
    best = min(_timed(lambda: a @ b, device) for _ in range(10))
    return 2 * side**3 / best


def measure(
    case: Case, device: torch.device, rate: float, rounds: int, command: tuple[str, ...]
) -> dict[str, object]:
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        root = Path(folder)
        make_model(case, root / "model", device)
        source = ModelFolder(root / "model")
        model = load(source, str(device))
        net = _controlnet(case, model, root)
        flop = picture_flop(case, model, net)
        preset = write_preset(case, root)
        record = recorder(device) or StandIn()
        painters: list[Painter] = []

        def websocket() -> Arm:
            painter = stack.enter_context(websocket_painter(case, preset, command))
            painters.append(painter)
            strokes = count(1)
            return lambda: painter.paint(next(strokes))

        makers: dict[str, Callable[[], Arm]] = {
            "diffusers": lambda: pipeline_arm(case, model, net),
            "eager": lambda: bare_arm(case, model, net),
            "graph": lambda: graph_arm(case, model, net, record),
            "networks": lambda: networks_arm(case, model, net, record),
            "engine": lambda: engine_arm(case, model, preset, root),
            "websocket": websocket,
        }
        times, memory = in_turn(makers, device, rounds)
        figures = _report(case, times, memory, flop / rate)
        figures["websocket_full"] = share = painters[0].full_share
        print(f"{case.name}: {share:.0%} of the pictures through the websocket had all of the work")
    return figures


def _report(
    case: Case, times: dict[str, list[float]], memory: dict[str, int], roofline: float
) -> dict[str, object]:
    medians = {name: statistics.median(found) for name, found in times.items()}
    for name, found in times.items():
        peak = f", {memory[name] / 2**30:.2f} GiB" if name in memory else ""
        print(
            f"{case.name}: {name} {1e3 * medians[name]:.2f} ms (min {1e3 * min(found):.2f}), "
            f"{medians[name] / roofline:.1f} times the roofline{peak}",
            flush=True,
        )
    ratios = {name: medians["engine"] / medians[name] for name in ("graph", "networks")}
    of_networks = f"({ratios['networks']:.2f} times all networks in graphs)"
    goals = [
        row(
            f"{case.name}, the engine against the UNet in a CUDA graph",
            f"{ratios['graph']:.2f} times {of_networks}",
            "1.05 times",
            ratios["graph"] <= 1.05,
        )
    ]
    if case.times_roofline is not None:
        ratio = medians["engine"] / roofline
        goals.append(
            row(
                f"{case.name}, the engine against the roofline",
                f"{ratio:.1f} times",
                f"{case.times_roofline} times",
                ratio <= case.times_roofline,
            )
        )
    return {
        "ms": {n: {"min": 1e3 * min(t), "median": 1e3 * medians[n]} for n, t in times.items()},
        "bytes": memory,
        "roofline_ms": 1e3 * roofline,
        "to_roofline": {name: median / roofline for name, median in medians.items()},
        "goals": goals,
    }


def in_turn(
    makers: dict[str, Callable[[], Arm]], device: torch.device, rounds: int
) -> tuple[dict[str, list[float]], dict[str, int]]:
    """Seconds of each arm, and on a GPU the bytes that each takes."""
    arms: dict[str, Arm] = {}
    memory: dict[str, int] = {}
    for name, make in makers.items():
        before = _Memory(device)
        arms[name] = arm = make()
        for _ in range(WARM_UPS):
            arm()
        if device.type == "cuda":
            memory[name] = before.missing() if name == "websocket" else before.more_at_most()
    times: dict[str, list[float]] = {name: [] for name in arms}
    for _ in range(rounds):
        for name, arm in arms.items():
            times[name].append(_timed(arm, device))
    return times, memory


class _Memory:
    """A GPU's memory from when this was made."""

    def __init__(self, device: torch.device) -> None:
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats()
            self._allocated = torch.cuda.memory_allocated()
            self._free, _ = torch.cuda.mem_get_info()

    def more_at_most(self) -> int:
        """Bytes that torch gave out in this process at most, beyond those it had given out."""
        return torch.cuda.max_memory_allocated() - self._allocated

    def missing(self) -> int:
        """Bytes that are no longer free, whichever process has them."""
        return self._free - torch.cuda.mem_get_info()[0]


def _timed(work: Callable[[], object], device: torch.device) -> float:
    _finish(device)
    began = time.perf_counter()
    work()
    _finish(device)
    return time.perf_counter() - began


def _finish(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize()


# ---- models


def make_model(case: Case, folder: Path, device: torch.device) -> None:
    """Write a model with random weights in diffusers layout."""
    dtype = choose_dtype(device)
    torch.manual_seed(0)
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        with device:
            unet = UNet2DConditionModel.from_config({**case.unet, "sample_size": case.side // 8})
            vae = AutoencoderTiny(
                encoder_block_out_channels=(case.width,) * 4,
                decoder_block_out_channels=(case.width,) * 4,
            )
            networks = {"unet": unet, "vae": vae}
            if case.controlled:
                networks["controlnet_depth"] = ControlNetModel.from_unet(unet)
    finally:
        torch.set_default_dtype(before)
    width = int(case.unet["cross_attention_dim"])
    if case.is_xl:
        second = CLIPTextModelWithProjection(_text_config(case.pooled_width))
        networks["text_encoder"] = CLIPTextModel(_text_config(width - case.pooled_width))
        networks["text_encoder_2"] = second
    else:
        networks["text_encoder"] = CLIPTextModel(_text_config(width))
    for name, network in networks.items():
        if name.startswith("text_encoder"):
            network.to(dtype)
            make_tiny_tokenizer(folder / name.replace("text_encoder", "tokenizer"))
        network.save_pretrained(folder / name)
    EulerDiscreteScheduler(timestep_spacing="trailing").save_pretrained(folder / "scheduler")


def _text_config(width: int) -> CLIPTextConfig:
    """Two layers: a prompt is read once."""
    size = 2 * (127 - 33) + 2
    return CLIPTextConfig(
        vocab_size=size,
        hidden_size=width,
        intermediate_size=width,
        projection_dim=width,
        num_hidden_layers=2,
        num_attention_heads=4,
        bos_token_id=size - 2,
        eos_token_id=size - 1,
        pad_token_id=size - 1,
    )


def _controlnet(case: Case, model: LoadedModel, root: Path) -> ControlNet | None:
    if not case.controlled:
        return None
    nets = ControlNets(model, root / "model", HashCache(root))
    return nets.use({ControlKind.DEPTH}, {}, lambda share, sentence: None)[ControlKind.DEPTH]


# ---- arms


def picture(side: int, seed: int) -> np.ndarray:
    """RGBA, opaque."""
    image = np.random.default_rng(seed).integers(0, 256, (side, side, 4), dtype=np.uint8)
    image[..., 3] = 255
    return image


def _inputs(case: Case, model: LoadedModel) -> tuple[torch.Tensor, ...]:
    """Latents, timestep, tokens, pooled text, and SDXL's six numbers."""
    options = {"device": model.device, "dtype": model.dtype}
    side = case.side // 8
    width = int(case.unet["cross_attention_dim"])
    tokens = torch.zeros(1, 77, width, **options)
    pooled = torch.zeros(1, case.pooled_width if case.is_xl else 1, **options)
    sizes = torch.tensor([[case.side, case.side, 0, 0, case.side, case.side]], **options)
    timestep = torch.tensor(500.0, device=model.device)
    return torch.randn(1, 4, side, side, **options), timestep, tokens, pooled, sizes


def evaluation(
    case: Case, model: LoadedModel, net: ControlNet | None
) -> Callable[[], torch.Tensor]:
    """One evaluation of the UNet, and of the ControlNet where there is one; its map is embedded beforehand."""
    latents, timestep, tokens, pooled, sizes = _inputs(case, model)
    added = {"text_embeds": pooled, "time_ids": sizes} if case.is_xl else None
    if net is None:
        return lambda: evaluate(model.unet, latents, timestep, tokens, (), added)
    blank = torch.zeros(1, 3, case.side, case.side, device=model.device, dtype=model.dtype)
    with torch.inference_mode():
        guiding = ([net], [net.embed(blank)], scalars((1.0,), model.device, model.dtype))
    return lambda: evaluate(model.unet, latents, timestep, tokens, (), added, *guiding)


def picture_flop(case: Case, model: LoadedModel, net: ControlNet | None) -> float:
    """Of all networks of one picture."""
    step, vae = evaluation(case, model, net), both_ways(case, model)
    with torch.no_grad():
        with FlopCounterMode(display=False) as of_step:
            step()
        with FlopCounterMode(display=False) as of_vae:
            vae()
    return float(case.steps * of_step.get_total_flops() + of_vae.get_total_flops())


def both_ways(case: Case, model: LoadedModel) -> Callable[[], torch.Tensor]:
    """The tiny VAE reads a picture and paints another."""
    options = {"device": model.device, "dtype": model.vae_dtype}
    pixels = torch.zeros(1, 3, case.side, case.side, **options)
    latents = torch.zeros(1, 4, case.side // 8, case.side // 8, **options)

    def work() -> torch.Tensor:
        read, painted = model.vae.encode(pixels).latents, model.vae.decode(latents).sample
        return painted.mean() + read.mean()

    return work


def bare_arm(case: Case, model: LoadedModel, net: ControlNet | None) -> Arm:
    step = evaluation(case, model, net)

    @torch.inference_mode()
    def arm() -> None:
        for _ in range(case.steps):
            step()

    return arm


def graph_arm(case: Case, model: LoadedModel, net: ControlNet | None, record: Recorder) -> Arm:
    step = _recorded(evaluation(case, model, net), record)

    def arm() -> None:
        for _ in range(case.steps):
            step()

    return arm


def networks_arm(case: Case, model: LoadedModel, net: ControlNet | None, record: Recorder) -> Arm:
    steps, vae = graph_arm(case, model, net, record), _recorded(both_ways(case, model), record)

    def arm() -> None:
        steps()
        vae()

    return arm


@dataclass(frozen=True)
class _Recorded:
    """A graph, and what it reads and writes: that memory must live as long."""

    work: Callable[[], torch.Tensor]
    result: torch.Tensor
    replay: Callable[[], object]

    @torch.inference_mode()
    def __call__(self) -> object:
        return self.replay()


def _recorded(work: Callable[[], torch.Tensor], record: Recorder) -> Arm:
    with torch.inference_mode():
        return _Recorded(work, *record(work))


def pipeline_arm(case: Case, model: LoadedModel, net: ControlNet | None) -> Arm:
    _, _, tokens, pooled, _ = _inputs(case, model)
    kind = "XL" if case.is_xl else ""
    control = "ControlNet" if net is not None else ""
    parts: dict[str, Any] = {
        "unet": model.unet,
        "vae": model.vae,
        "text_encoder": model.text[0].model,
        "tokenizer": model.text[0].tokenizer,
        "scheduler": EulerDiscreteScheduler.from_config(dict(model.scheduler_config)),
    }
    given: dict[str, Any] = {"prompt_embeds": tokens, "image": _pil(picture(case.side, 1))}
    if case.is_xl:
        parts |= {
            "text_encoder_2": model.text[1].model,
            "tokenizer_2": model.text[1].tokenizer,
            "add_watermarker": False,
        }
        given["pooled_prompt_embeds"] = pooled
    else:
        parts |= {"safety_checker": None, "feature_extractor": None}
        parts["requires_safety_checker"] = False
    if net is not None:
        whole = _whole_controlnet(net)
        parts["controlnet"] = whole
        given["control_image"] = _pil(picture(case.side, 2))
    made = getattr(diffusers, f"StableDiffusion{kind}{control}Img2ImgPipeline")(**parts)
    made.set_progress_bar_config(disable=True)

    def arm() -> object:
        painted = made(
            **given, strength=1.0, num_inference_steps=case.steps, guidance_scale=0.0
        ).images[0]
        return np.asarray(painted)

    return arm


def _whole_controlnet(net: ControlNet) -> ControlNetModel:
    """As diffusers takes it, with the same weights."""
    whole = ControlNetModel.from_config(net.net.config)
    whole.load_state_dict(
        {
            **net.net.state_dict(),
            **{f"controlnet_cond_embedding.{n}": w for n, w in net.embed.state_dict().items()},
        }
    )
    return whole.to(net.net.device, net.net.dtype).eval()


def _pil(image: np.ndarray) -> Image.Image:
    return Image.fromarray(image[..., :3])


def write_preset(case: Case, root: Path) -> Path:
    path = root / "bench.toml"
    path.write_text(
        f'label = "{case.name}"\nnative = {case.side}\n'
        f'[model]\nfolder = "{(root / "model").as_posix()}"\n'
        f'[sampling]\nsteps = {case.steps}\nguidance = 1.0\nscheduler = "euler"\n'
        f"[live]\nsteps = {case.steps}\n"
    )
    return path


def request_of(case: Case) -> PaintRequest:
    controls = (_DEPTH,) if case.controlled else ()
    return PaintRequest("a lake", preset="bench", strength=STRENGTH, controls=controls)


def engine_arm(case: Case, model: LoadedModel, preset: Path, root: Path) -> Arm:
    engine = Engine(
        {"bench": read_preset(preset)}, device=str(model.device), home=root, load=lambda *_: model
    )
    area = Bounds(0, 0, case.side, case.side)
    maps = {0: picture(case.side, 2)} if case.controlled else {}
    snapshot = Snapshot(area.extent, area, picture(case.side, 1), controls=maps)
    job = Job(replace(request_of(case), draft=True), snapshot)

    def arm() -> object:
        painting = engine.paint(job, on_step=lambda _: None, is_cancelled=lambda: False)
        engine.rest()
        return painting

    return arm


@contextlib.contextmanager
def websocket_painter(case: Case, preset: Path, command: tuple[str, ...]) -> Iterator[Painter]:
    def offer(home: Path) -> None:
        (home / "presets").mkdir()
        # Under the default's name: the worker loads it when it starts.
        (home / "presets" / f"{DEFAULT_PRESET}.toml").write_text(preset.read_text())

    controls = {"control-0": ("map", Drawn(picture(case.side, 2)))} if case.controlled else {}
    with _bridge(command, offer) as (process, _):
        process.wait_until_listening()
        request = replace(request_of(case), preset="")
        with Painter(process.home, case.side, "gpu", case.side, request, controls) as painter:
            yield painter


class Drawn:
    """A control layer of the canvas's size."""

    strip_bytes = 1 << 20

    def __init__(self, image: np.ndarray) -> None:
        self._image = image

    def is_idle(self) -> bool:
        return True

    def read(self, area: Bounds) -> bytes:
        return self._image[area.y : area.bottom, area.x : area.right].tobytes()

    def reduced(self) -> Generator[float, None, Pixels]:
        raise NotImplementedError("it is no reference")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.gpu", description=__doc__)
    parser.add_argument("--tiny", action="store_true", help="tiny models on the CPU")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--json", type=Path, metavar="FILE")
    arguments = parser.parse_args()
    figures = run(arguments.tiny, arguments.rounds)
    if arguments.json is not None:
        arguments.json.write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()

"""Training of the UNet and the text encoder, together, on latents from disk.

One process or several (``--ranks``): each reads its own shards and the weights are averaged over
gloo now and then. Sizes alternate, three quarters of the pixels native, the rest larger and not square,
so that in a larger picture one house stays one house. The arithmetic is bfloat16 under autocast, the
weights stay float32.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
import torch.distributed as dist
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.multiprocessing.spawn import spawn
from torch.nn.attention import SDPBackend, sdpa_kernel
from tqdm import tqdm
from transformers import CLIPTokenizer

from bridge.models.training.captions import mirrored
from bridge.models.training.checkpoint import Checkpoint
from bridge.models.training.dataset import SIZES, lesson_of, load_shard
from bridge.models.training.holes import draw_holes, grey_latent, inputs_of, loss_weights
from bridge.models.training.networks import (
    LATENT_FACTOR,
    NATIVE_SIDE,
    build_scheduler,
    build_text_encoder,
    build_unet,
    build_vae,
)
from bridge.models.training.scenes import OVERPAINTED
from bridge.models.training.schedule import Average, learning_rate
from bridge.models.training.tokens import load_tokenizer, write_tokenizer

EMPTY = 0.1
"""Share of captions left empty, for classifier-free guidance (Ho and Salimans 2022)."""

BATCH_PIXELS = 16 * 128 * 128
"""Pixels of one process's batch: 16 native pictures, or 7 of 192 x 192."""

NATIVE_LATENTS = (NATIVE_SIDE // LATENT_FACTOR,) * 2

STEPS_APART = 16
"""Steps that a process goes alone before weights are averaged (local SGD, Stich 2019). Averaging
gradients at every step halved the speed on a busy machine, where one process always waits."""

AVERAGE = 0.999
"""Of the averaged weights, kept at a step: what is decided where noise is strongest wavers most from step
to step."""

TEXT_RATE = 0.4
"""The text encoder's learning rate, as a share of the UNet's."""


@dataclass(frozen=True)
class DenoiserRun:
    """``images`` counts native-size equivalents of all ranks together; ``shards`` bounds the disk;
    ``start`` is an exported folder to begin from where there is no checkpoint. ``compiled``: fused
    kernels for native-size batches, 1.35 times as fast on one core; takes a C++ compiler and minutes at
    the start, too long for the rarer sizes to pay."""

    cache: Path
    images: int
    shards: int
    seed: int = 0
    rate: float = 7e-4
    decay: float = 0.3
    save_every: float = 120.0
    rank: int = 0
    ranks: int = 1
    start: Path | None = None
    compiled: bool = False


@dataclass(frozen=True)
class Batch:
    """``latents`` N x 4 x h x w, ``holes`` N x 1 x h x w, ``inputs`` N x 5 x h x w (``holes``)."""

    latents: Tensor
    tokens: Tensor
    holes: Tensor
    inputs: Tensor


def state_path(cache: Path) -> Path:
    return cache / "denoiser.safetensors"


def _batches(run: DenoiserRun, tokenizer: CLIPTokenizer, epoch: int) -> Iterator[Batch]:
    """Endless. Every rank has shards of its own, in an order that the epoch and seed decide."""
    vae = build_vae()
    grey = grey_latent(vae)
    mine = np.arange(run.shards // run.ranks) * run.ranks + run.rank
    while True:
        rng = np.random.default_rng((run.seed, epoch, run.rank))
        for number in rng.permutation(mine):
            shard = load_shard(run.cache / "shards", int(number), vae)
            width, height = SIZES[int(number) % len(SIZES)]
            selections = lesson_of(int(number)) is OVERPAINTED
            size = max(1, BATCH_PIXELS // (width * height))
            order = rng.permutation(len(shard.captions))
            for start in range(0, len(order) - size + 1, size):
                chosen = order[start : start + size]
                texts = [str(rng.choice(shard.captions[i])) for i in chosen]
                picked = torch.from_numpy(chosen)
                latents, things = shard.latents[picked], shard.things[picked]
                if rng.random() < 0.5:
                    latents, things = latents.flip(-1), things.flip(-1)
                    texts = [mirrored(t) for t in texts]
                texts = ["" if rng.random() < EMPTY else t for t in texts]
                holes = draw_holes(rng, latents, things, selections)
                inputs = inputs_of(latents, holes, grey)
                yield Batch(latents, tokenize(tokenizer, texts), holes, inputs)
        epoch += 1


def tokenize(tokenizer: CLIPTokenizer, texts: list[str]) -> Tensor:
    """N x 77 int64, padded and cut as every Stable Diffusion pipeline does."""
    encoded = tokenizer(
        texts,
        padding="max_length",
        max_length=tokenizer.model_max_length,
        truncation=True,
        return_tensors="pt",
    )
    ids: Tensor = encoded.input_ids
    return ids


def _spread_times(count: int) -> Tensor:
    """One random step from each of ``count`` equally likely parts of the schedule, in random order.

    With 75 in 100 from the upper, noisy half a stem was lost to a fifth of the noise; with 43 now and
    then the whole thing was missing.
    """
    parts = (torch.randperm(count) + torch.rand(count)) / count
    return (parts * 1000).long().clamp(max=999)


@torch.no_grad()
def _average_weights(parameters: list[nn.Parameter], ranks: int) -> None:
    if ranks == 1:
        return
    flat = torch.cat([p.flatten() for p in parameters])
    dist.all_reduce(flat)
    flat /= ranks
    start = 0
    for p in parameters:
        p.copy_(flat[start : start + p.numel()].view_as(p))
        start += p.numel()


@torch.no_grad()
def warm_start(
    folder: Path, unet: nn.Module, text: nn.Module, tokenizer: CLIPTokenizer
) -> dict[str, float]:
    """Copies exported weights in place; a word keeps its embedding whatever its number has become.

    Returns the counts that the export recorded. The optimiser's moments are not exported.
    """
    unet.load_state_dict(load_file(folder / "unet" / "diffusion_pytorch_model.safetensors"))
    saved = load_file(folder / "text_encoder" / "model.safetensors")
    old = load_tokenizer(folder / "tokenizer").get_vocab()
    for name, parameter in text.state_dict().items():
        if not name.endswith("token_embedding.weight"):
            parameter.copy_(saved[name])
            continue
        for word, number in tokenizer.get_vocab().items():
            if word in old:
                parameter[number] = saved[name][old[word]]
    run = json.loads((folder / "provenance.json").read_text())["runs"]["denoiser"]
    return {
        "images": run["images_seen"],
        "steps": run["optimiser_steps"],
        "seconds": run["wall_seconds"],
        "passes": run["starts"],
    }


def train_denoiser(run: DenoiserRun) -> None:
    """Trains until ``run.images``, from the last checkpoint where there is one."""
    torch.manual_seed(run.seed)
    write_tokenizer(run.cache / f"tokenizer-{run.rank}")
    tokenizer = load_tokenizer(run.cache / f"tokenizer-{run.rank}")
    text = build_text_encoder(len(tokenizer), tokenizer.bos_token_id, tokenizer.eos_token_id)
    unet = build_unet().to(memory_format=torch.channels_last)
    modules: dict[str, nn.Module] = {"unet": unet, "text_encoder": text}
    groups = [
        {"params": list(unet.parameters()), "share": 1.0},
        {"params": list(text.parameters()), "share": TEXT_RATE, "weight_decay": 0.0},
    ]
    parameters = [p for m in modules.values() for p in m.parameters()]
    optimiser = torch.optim.AdamW(groups, lr=run.rate, betas=(0.9, 0.98), fused=True)
    average = Average(modules.values(), AVERAGE)
    checkpoint = Checkpoint(modules, average, optimiser)
    counts: dict[str, float] = {"images": 0, "steps": 0, "seconds": 0, "passes": 0}
    if state_path(run.cache).exists():
        counts = checkpoint.load(state_path(run.cache))
    elif run.start is not None:
        counts |= warm_start(run.start, unet, text, tokenizer)
        average.reset()
    torch.manual_seed(run.seed + 1000 * int(counts["steps"]) + run.rank)

    scheduler = build_scheduler()

    def loss_of(batch: Batch, noisy: Tensor, times: Tensor, target: Tensor) -> Tensor:
        context = text(batch.tokens).last_hidden_state
        given = torch.cat([noisy, batch.inputs], dim=1)
        laid_out = given.contiguous(memory_format=torch.channels_last)
        predicted = unet(laid_out, times, context).sample
        off = (predicted.float() - target).square()
        loss: Tensor = (off * loss_weights(batch.holes)).mean()
        return loss

    native = torch.compile(loss_of) if run.compiled else loss_of
    batches = _batches(run, tokenizer, int(counts["passes"]) * 1000)
    counts["passes"] += 1
    saved = started = time.monotonic()
    recent, begun = 0.0, int(counts["images"])
    bar = tqdm(total=run.images, initial=int(counts["images"]), unit="img", disable=run.rank > 0)
    while counts["images"] < run.images:
        batch = next(batches)
        for group in optimiser.param_groups:
            group["lr"] = group["share"] * learning_rate(
                run.rate, int(counts["images"]), run.images, 3000, run.decay, begun
            )
        noise = torch.randn_like(batch.latents)
        times = _spread_times(len(noise))
        noisy = scheduler.add_noise(batch.latents, noise, times)
        target = scheduler.get_velocity(batch.latents, noise, times)
        compute = native if batch.latents.shape[2:] == NATIVE_LATENTS else loss_of
        with sdpa_kernel(SDPBackend.MATH), torch.autocast("cpu", torch.bfloat16):
            loss = compute(batch, noisy, times, target)
            torch.autograd.backward(loss)
        nn.utils.clip_grad_norm_(parameters, 1.0)
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
        average.update(int(counts["steps"]))
        pictures = BATCH_PIXELS // (128 * 128) * run.ranks
        counts["images"] += pictures
        counts["steps"] += 1
        done = counts["images"] >= run.images
        together = done or counts["steps"] % STEPS_APART == 0
        if together:
            _average_weights(parameters, run.ranks)
        recent += 0.02 * (loss.item() - recent) if recent else loss.item()
        bar.update(pictures)
        bar.set_postfix(loss=f"{recent:.4f}", refresh=False)
        now = time.monotonic()
        if run.rank == 0 and together and (now - saved > run.save_every or done):
            counts["seconds"] += now - saved
            saved = now
            checkpoint.save(state_path(run.cache), counts)
            tqdm.write(f"{counts['images']:.0f} images, loss {recent:.4f}, {now - started:.0f} s")


def _rank(rank: int, run: DenoiserRun, meeting: str) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=meeting, rank=rank, world_size=run.ranks)
    train_denoiser(replace(run, rank=rank))
    dist.destroy_process_group()


def train_on_ranks(run: DenoiserRun) -> None:
    """``train_denoiser`` in ``run.ranks`` processes of one thread each."""
    if run.ranks == 1:
        train_denoiser(run)
        return
    run.cache.mkdir(parents=True, exist_ok=True)
    meeting = run.cache.resolve() / "ranks"
    meeting.unlink(missing_ok=True)
    spawn(_rank, (run, f"file://{meeting}"), nprocs=run.ranks)  # type: ignore[no-untyped-call]

"""Short trainings: they learn, they stop and go on, and what they make is a model."""

from __future__ import annotations

import hashlib
import json
import shutil
from itertools import islice
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from bridge.models.training import dataset, decoder, denoiser, soup
from bridge.models.training.__main__ import main
from bridge.models.training.checkpoint import Checkpoint
from bridge.models.training.dataset import load_shard
from bridge.models.training.decoder import train_decoder
from bridge.models.training.denoiser import DenoiserRun, train_denoiser, warm_start
from bridge.models.training.export import EMBEDDED, export
from bridge.models.training.loop import PartRun
from bridge.models.training.networks import build_text_encoder, build_unet, build_vae
from bridge.models.training.sampler import Sampling, generate, load
from bridge.models.training.scenes import OVERPAINTED
from bridge.models.training.schedule import Average, learning_rate
from bridge.models.training.tokens import load_tokenizer, write_tokenizer


@pytest.fixture(autouse=True)
def _small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dataset, "PIXELS_PER_SHARD", 32 * 128 * 128)


def _counts(path: Path) -> dict[str, float]:
    with safe_open(path, framework="pt") as file:
        counts: dict[str, float] = json.loads(file.metadata()["counts"])
        return counts


def test_a_shard_is_painted_once_and_then_read(tmp_path: Path) -> None:
    first = load_shard(tmp_path, 7, build_vae())
    path = next(tmp_path.rglob("*.safetensors"))
    written = path.stat().st_mtime_ns
    again = load_shard(tmp_path, 7, build_vae())
    assert path.stat().st_mtime_ns == written
    assert torch.equal(first.latents, again.latents)
    assert torch.equal(first.things, again.things)
    assert first.things.shape == (len(first.latents), 1, *first.latents.shape[2:])
    assert 0.02 < first.things.mean() < 0.6
    assert first.captions == again.captions
    assert len(first.captions) == len(first.latents)
    assert {len(texts) for texts in first.captions} == {dataset.CAPTIONS}


def test_shards_hold_equal_pixels_whatever_their_size() -> None:
    for number in range(len(dataset.SIZES)):
        pixels = sum(painting.mask.size for painting in dataset.paintings_of(number))
        assert 0.85 * dataset.PIXELS_PER_SHARD < pixels <= dataset.PIXELS_PER_SHARD


def _smallest_and_largest_hole(cache: Path, number: int) -> tuple[float, float]:
    """Shares of the picture, over the first four batches of the only shard that this rank reads."""
    write_tokenizer(cache / "tokenizer")
    run = DenoiserRun(cache, images=0, shards=number + 1, rank=number, ranks=number + 1)
    batches = denoiser._batches(run, load_tokenizer(cache / "tokenizer"), 0)
    shares = torch.cat([batch.holes.mean((1, 2, 3)) for batch in islice(batches, 4)])
    return shares.min().item(), shares.max().item()


def test_only_the_lesson_about_selections_never_shows_a_whole_picture(tmp_path: Path) -> None:
    lessons = [dataset.lesson_of(dozen * len(dataset.SIZES)) for dozen in range(5)]
    selections = lessons.index(OVERPAINTED) * len(dataset.SIZES)
    least, most = _smallest_and_largest_hole(tmp_path, selections)
    assert 0 < least < most < 1
    assert _smallest_and_largest_hole(tmp_path, 0)[1] == 1


@pytest.mark.slow
def test_stopping_and_going_on_then_exporting_makes_a_pipeline(tmp_path: Path) -> None:
    train_decoder(PartRun(tmp_path, images=2 * decoder.BATCH))
    train_denoiser(DenoiserRun(tmp_path, images=32, shards=1))
    train_denoiser(DenoiserRun(tmp_path, images=64, shards=1))
    counts = _counts(denoiser.state_path(tmp_path))
    assert (counts["images"], counts["steps"], counts["passes"]) == (64, 4, 2)

    folder = tmp_path / "model"
    export(tmp_path, folder, seed=3, note="a test")
    made = json.loads((folder / "provenance.json").read_text())
    run = made["runs"]["denoiser"]
    assert (run["images_seen"], run["seed"], run["note"]) == (64, 3, "a test")
    assert set(made["sha256"]) == {
        p.relative_to(folder).as_posix() for p in folder.rglob("*.safetensors")
    }
    again = tmp_path / "again"
    train_denoiser(DenoiserRun(again, images=80, shards=1, start=folder))
    counts = _counts(denoiser.state_path(again))
    assert (counts["images"], counts["steps"], counts["passes"]) == (80, 5, 3)
    images = generate(load(folder), ["a red boat"], [1], Sampling(steps=2, width=64, height=32))
    assert images.shape == (1, 32, 64, 3)


def test_a_warm_start_keeps_weights_and_words_whose_number_changed(tmp_path: Path) -> None:
    """Another vocabulary gives every word another number; each must find its own embedding."""
    write_tokenizer(tmp_path / "now")
    tokenizer = load_tokenizer(tmp_path / "now")
    vocabulary = tokenizer.get_vocab()
    size, start, end = len(tokenizer), tokenizer.bos_token_id, tokenizer.eos_token_id
    torch.manual_seed(1)
    unet, text = build_unet(), build_text_encoder(size, start, end)
    folder = tmp_path / "old"
    shutil.copytree(tmp_path / "now", folder / "tokenizer")
    words = list(vocabulary)
    shuffled = dict(zip(words, reversed(vocabulary.values()), strict=True))
    (folder / "tokenizer" / "vocab.json").write_text(json.dumps(shuffled))
    unet.save_pretrained(folder / "unet")
    text.save_pretrained(folder / "text_encoder")
    run = {"images_seen": 5, "optimiser_steps": 4, "wall_seconds": 3, "starts": 2}
    (folder / "provenance.json").write_text(json.dumps({"runs": {"denoiser": run}}))

    torch.manual_seed(2)
    other_unet, other = build_unet(), build_text_encoder(size, start, end)
    counts = warm_start(folder, other_unet, other, tokenizer)

    assert counts == {"images": 5, "steps": 4, "seconds": 3, "passes": 2}
    assert torch.equal(other_unet.conv_in.weight, unet.conv_in.weight)
    old, new = (model.get_input_embeddings().weight for model in (text, other))
    for word in ("red</w>", "boat</w>", "the</w>"):
        assert torch.equal(new[vocabulary[word]], old[shuffled[word]])


def test_a_checkpoint_restores_weights_averages_and_moments(tmp_path: Path) -> None:
    def build(seed: int) -> tuple[torch.nn.Linear, Average, torch.optim.AdamW, Checkpoint]:
        torch.manual_seed(seed)
        net = torch.nn.Linear(3, 2)
        average = Average([net], 0.9)
        optimiser = torch.optim.AdamW(net.parameters(), lr=0.1)
        return net, average, optimiser, Checkpoint({"net": net}, average, optimiser)

    def step(net: torch.nn.Linear, average: Average, optimiser: torch.optim.AdamW) -> None:
        torch.autograd.backward(net(torch.ones(1, 3)).square().sum())
        optimiser.step()
        optimiser.zero_grad()
        average.update(5)

    net, average, optimiser, checkpoint = build(0)
    step(net, average, optimiser)
    checkpoint.save(tmp_path / "state.safetensors", {"images": 16})
    step(net, average, optimiser)

    other, other_average, other_optimiser, restored = build(1)
    assert restored.load(tmp_path / "state.safetensors") == {"images": 16}
    step(other, other_average, other_optimiser)
    assert torch.equal(net.weight, other.weight)
    assert torch.equal(average.values[0], other_average.values[0])


def test_swapping_the_average_twice_changes_nothing() -> None:
    net = torch.nn.Linear(2, 2)
    average = Average([net], 0.5)
    with torch.no_grad():
        net.weight += 1
    live, kept = net.weight.clone(), average.values[0].clone()
    average.swap()
    assert torch.equal(net.weight, kept)
    average.swap()
    assert torch.equal(net.weight, live)


def test_the_rate_rises_stays_and_falls() -> None:
    rates = [learning_rate(1.0, seen, 1000, 100, 0.25) for seen in (0, 50, 400, 700, 875, 1000)]
    assert rates[0] < rates[1] < rates[2] == rates[3] == 1.0
    assert rates[4] == pytest.approx(0.5)
    assert rates[5] == pytest.approx(0.02)


def test_a_soup_is_the_mean_of_two_denoisers_and_its_record_fits(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    for folder in (one, two):
        shutil.copytree(EMBEDDED, folder)
    part = "text_encoder/model.safetensors"
    before = load_file(two / part)
    save_file({name: tensor * 3 for name, tensor in before.items()}, two / part, {"format": "pt"})
    soup.stir(one, two, "of two")
    after = load_file(one / part)
    name = next(name for name in before if name.endswith("token_embedding.weight"))
    torch.testing.assert_close(after[name].float(), before[name].float() * 2, rtol=1e-3, atol=1e-3)
    record = json.loads((one / "provenance.json").read_text())
    assert record["runs"]["denoiser"]["note"] == "of two"
    assert record["sha256"][part] == hashlib.sha256((one / part).read_bytes()).hexdigest()
    assert (
        record["runs"]["decoder"]
        == json.loads((two / "provenance.json").read_text())["runs"]["decoder"]
    )
    (two / "tokenizer" / "vocab.json").write_text("{}")
    with pytest.raises(ValueError, match="words"):
        soup.stir(one, two)


def test_a_soup_of_one_is_refused_with_a_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["training", "soup"])
    with pytest.raises(SystemExit):
        main()
    assert "soup needs --start" in capsys.readouterr().err

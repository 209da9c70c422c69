"""The judge of things that was trained: it names what the painter drew, and calls a blot a blot."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file

from bridge.models.training import DATA_VERSION, calibration, recogniser, things
from bridge.models.training.canvas import Canvas
from bridge.models.training.colours import NAMED
from bridge.models.training.dataset import HELD_OUT
from bridge.models.training.examples import NOTHINGS, Examples, Look
from bridge.models.training.loop import PartRun
from bridge.models.training.outlines import NAMES
from bridge.models.training.recogniser import shipped, train_recogniser
from bridge.models.training.things import Frame

SEED = HELD_OUT + 900_000


def drawn(*nouns: str, colours: tuple[str, str] = ("blue", "pink")) -> np.ndarray:
    """Things from left to right, 160 x 96 px, in the first colour before the second."""
    canvas = Canvas(160, 96)
    canvas.rectangle(0, 0, 160, 96, NAMED[colours[1]])
    rng = np.random.default_rng(SEED)
    for place, noun in enumerate(nouns):
        thing = next(each for each in things.ALL if each.noun == noun)
        x = 160 * (place + 0.5) / len(nouns)
        thing.draw(Frame(canvas, x, 76, 52), NAMED[colours[0]], rng)
    return canvas.image()


def test_each_thing_is_named_whatever_its_colours() -> None:
    pairs = [("blue", "pink"), ("yellow", "purple"), ("black", "grey"), ("white", "teal")]
    said = {(n, *pair): shipped().thing_of(drawn(n, colours=pair)) for n in NAMES for pair in pairs}
    wrong = {asked: name for asked, name in said.items() if name != asked[0]}
    assert len(wrong) <= 4, wrong


def test_of_two_things_each_is_named_in_its_half() -> None:
    image = drawn("star", "house")
    left = np.zeros(image.shape[:2], dtype=bool)
    left[:, :80] = True
    assert shipped().thing_of(image, left) == "star"
    assert shipped().thing_of(image, ~left) == "house"
    assert shipped().thing_of(drawn()) is None


def test_blots_hybrids_and_bent_things_get_no_name() -> None:
    source = Examples(SEED, backdrops=4)
    rng = np.random.default_rng(SEED)
    refused = {
        kind: shipped().names([source.draw_nothing(rng, kind) for _ in range(20)]).count(None)
        for kind in NOTHINGS
    }
    assert refused["empty"] == 20
    assert sum(refused.values()) >= 75, refused


def test_a_clumsy_drawing_is_still_named_and_a_clumsier_one_less_often() -> None:
    source = Examples(SEED, backdrops=4)

    def named(bend: float) -> int:
        rng = np.random.default_rng(SEED)
        look = Look(bend=(bend, bend), scenes=0.0)
        pictures = [source.draw(rng, name, look) for name in NAMES * 4]
        return sum(a == b for a, b in zip(shipped().names(pictures), NAMES * 4, strict=True))

    mildly, badly = named(0.03), named(0.25)
    assert mildly >= 0.75 * len(NAMES) * 4
    assert badly < 0.5 * mildly


def test_a_picture_gets_the_same_name_alone_and_among_others() -> None:
    source = Examples(SEED, backdrops=4)
    rng = np.random.default_rng(SEED)
    pictures = [source.draw(rng, name) for name in NAMES]
    together = shipped().chances(pictures)
    alone = np.concatenate([shipped().chances([picture]) for picture in pictures])
    np.testing.assert_allclose(together, alone, atol=1e-4)
    again = np.random.default_rng(SEED)
    assert all((source.draw(again, n) == p).all() for n, p in zip(NAMES, pictures, strict=True))


def test_training_is_deterministic_and_records_what_was_trained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recogniser, "Examples", lambda seed: Examples(seed, backdrops=4))
    files = []
    for name in ("one", "other"):
        files.append(tmp_path / f"{name}.safetensors")
        train_recogniser(PartRun(tmp_path / name, 2 * recogniser.BATCH), files[-1])
    one, other = map(load_file, files)
    assert all(torch.equal(one[name], other[name]) for name in one | other)
    with safe_open(files[0], framework="pt") as file:
        made = file.metadata()
    assert (made["images_seen"], made["data_version"]) == ("64", str(DATA_VERSION))


def test_the_shipped_weights_are_a_whole_training_of_seeds_not_held_out() -> None:
    with safe_open(recogniser.WEIGHTS, framework="pt") as file:
        made = file.metadata()
    assert made["images_seen"] == str(recogniser.EXAMPLES)
    assert recogniser.SEEDS_FROM + 256 < HELD_OUT
    assert recogniser.WEIGHTS.stat().st_size < 400_000


def test_the_calibration_counts_what_it_says() -> None:
    rates = calibration.calibration(shipped(), 2)
    assert [rate.of for rate in rates] == [28, 28, 10, 28, 10, 28, 28, 10]
    assert rates[0].hits >= 22 and rates[0].hits >= rates[1].hits - 3

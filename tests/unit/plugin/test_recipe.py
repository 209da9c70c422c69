from __future__ import annotations

import json
from dataclasses import replace

import pytest

from krita_plugin.krita_bridge.recipe import (
    OURS,
    PARAMETERS,
    Recipe,
    read_parameters,
    read_recipe,
    texts,
    write_parameters,
)
from krita_plugin.krita_bridge.wire.geometry import Bounds, Extent
from krita_plugin.krita_bridge.wire.messages import PLACE, ResultFacts, UsedWeights, WeightsKind

FACTS = ResultFacts(
    prompt="a {red|blue} boat",
    negative_prompt="blurry",
    preset="mine",
    seed=42,
    strength=0.6,
    steps=20,
    steps_run=12,
    guidance=7.0,
    scheduler="dpmpp_2m_karras",
    model="dream, v8",
    model_sha256="0123456789abcdef" * 4,
    width=512,
    height=512,
    seconds=1.5,
    version="0.1.0",
    full_prompt="a red boat",
    full_negative_prompt="blurry",
    clip_skip=2,
    weights=(UsedWeights(WeightsKind.LORA, "ink", "f" * 64, 0.8),),
)
SIZE = Extent(640, 480)


def test_it_is_written_as_a1111_writes_it() -> None:
    assert write_parameters(FACTS, "DPM++ 2M Karras", SIZE) == (
        "a red boat\n"
        "Negative prompt: blurry\n"
        "Steps: 20, Sampler: DPM++ 2M, Schedule type: Karras, CFG scale: 7, Seed: 42, Size: 640x480, "
        'Model hash: 0123456789, Model: "dream, v8", Denoising strength: 0.6, Clip skip: 2, '
        'Lora hashes: "ink: ffffffffff", Version: krita-bridge 0.1.0'
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "masterpiece, (boat:1.2)\nat sea\nNegative prompt: blurry,\nugly\n"
            "Steps: 30, Sampler: Euler a, CFG scale: 7.5, Seed: 123, Size: 512x768, "
            "Model hash: 6ce0161689, Model: v1-5-pruned, Clip skip: 2, Version: v1.9.4",
            Recipe(
                prompt="masterpiece, (boat:1.2)\nat sea",
                negative_prompt="blurry,\nugly",
                model="v1-5-pruned",
                seed=123,
                steps=30,
                guidance=7.5,
                scheduler="Euler a",
                clip_skip=2,
                size=Extent(512, 768),
                template=PLACE,
            ),
        ),
        (
            "Steps: 4, Sampler: DPM++ 2M Karras, CFG scale: 1, Seed: 5",
            Recipe(seed=5, steps=4, guidance=1.0, scheduler="DPM++ 2M Karras", template=PLACE),
        ),
        (
            'a\nSteps: 4, Sampler: DPM++ 2M, Schedule type: Karras, Seed: 5, Model: "a: b, c", X: "q'
            '\\"uote"',
            Recipe(
                "a",
                seed=5,
                steps=4,
                scheduler="DPM++ 2M Karras",
                model="a: b, c",
                template=PLACE,
            ),
        ),
        ("only words, no: numbers", Recipe("only words, no: numbers")),
        (
            "a\r\nSteps: 4, Seed: 5, CFG scale: 6\r\n",
            Recipe("a", seed=5, steps=4, guidance=6.0, template=PLACE),
        ),
        (
            "a\nSteps: 9999, Sampler: X, CFG scale: nan, Seed: -1, Size: 0x5, Denoising strength: 7",
            Recipe("a", scheduler="X", template=PLACE),
        ),
    ],
)
def test_texts_of_other_programs_are_read(text: str, expected: Recipe) -> None:
    assert read_parameters(text) == expected


def test_no_text_is_no_recipe() -> None:
    assert read_recipe({}) is None
    assert read_recipe({PARAMETERS: " \n", OURS: ""}) is None


def test_ours_counts_where_it_can_be_read() -> None:
    written = texts(FACTS, "DPM++ 2M Karras", SIZE, Bounds(0, 0, 64, 64))
    ours = read_recipe(written)
    assert ours is not None and (ours.prompt, ours.preset) == ("a {red|blue} boat", "mine")
    newer = json.loads(written[OURS])
    newer["facts"]["of a later version"] = 1
    theirs = read_recipe({**written, OURS: json.dumps(newer)})
    assert theirs is not None and theirs.prompt == "a red boat" and theirs.seed == 42


@pytest.mark.parametrize("ours", ["[]", "{}", '{"facts": 1}', "[" * 100_000, "nonsense", "NaN"])
def test_damaged_texts_are_none(ours: str) -> None:
    assert read_recipe({OURS: ours}) is None


def test_what_may_not_be_asked_for_is_left_out() -> None:
    facts = replace(FACTS, steps=100_000, seed=-1)
    recipe = read_recipe(texts(facts, "Euler", Extent(0, 1), Bounds(0, 0, 1, 1)))
    assert recipe is not None
    assert recipe.steps is None and recipe.seed is None and recipe.size is None

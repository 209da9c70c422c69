"""The procedural painter: what a seed gives, and whether picture, mask and words agree."""

from __future__ import annotations

import numpy as np
import pytest

from bridge.models.training import judge, media, scenes
from bridge.models.training.captions import MEDIA, Mention, Scene, describe, mirrored
from bridge.models.training.painter import Painting, paint


def test_a_seed_gives_the_same_painting_again() -> None:
    first, again = paint(7, 128, 96, 3), paint(7, 128, 96, 3)
    assert np.array_equal(first.image, again.image)
    assert np.array_equal(first.mask, again.mask)
    assert np.array_equal(first.depth, again.depth)
    assert first.captions == again.captions


def test_other_seeds_give_other_paintings() -> None:
    assert len({paint(seed, 32, 32).image.tobytes() for seed in range(20)}) == 20


@pytest.mark.parametrize(("width", "height"), [(128, 128), (32, 32), (256, 128), (160, 224)])
def test_every_layer_has_the_size_asked_for(width: int, height: int) -> None:
    painting = paint(3, width, height)
    assert painting.image.shape == (height, width, 3)
    assert painting.mask.shape == painting.depth.shape == (height, width)
    assert {painting.image.dtype, painting.mask.dtype, painting.depth.dtype} == {np.dtype("uint8")}


def test_size_changes_the_detail_and_not_the_composition() -> None:
    """What keeps one house one house at 256 px: a seed's scene is the same at any scale."""
    small, large = paint(11, 128, 128), paint(11, 256, 256)
    assert small.scene == large.scene
    halved = large.image.reshape(128, 2, 128, 2, 3).mean((1, 3))
    assert np.abs(halved - small.image).mean() < 6


def _plain_shapes(seeds: range) -> list[Painting]:
    paintings = [paint(seed, 128, 128, kinds=((scenes.shapes, 1.0),)) for seed in seeds]
    plain = [p for p in paintings if len(p.scene.things) == 1 and not p.scene.medium]
    return [p for p in plain if _tells_apart(p.scene)]


def _tells_apart(scene: Scene) -> bool:
    """Whether shape and background have two different colours, both of the judge's twelve."""
    names = {scene.things[0].colour, scene.setting[0].colour}
    return len(names) == 2 and names <= set(judge.NAMES)


def test_the_judge_sees_what_the_painter_says() -> None:
    paintings = _plain_shapes(range(150))
    assert len(paintings) > 40
    right = 0
    for p in paintings:
        assert judge.object_colour(p.image) == p.scene.things[0].colour
        assert judge.background_colour(p.image) == p.scene.setting[0].colour
        right += judge.shape_of(p.image) == p.scene.things[0].noun
    assert right >= 0.95 * len(paintings)


def test_the_mask_covers_the_thing_and_nothing_else() -> None:
    for p in _plain_shapes(range(40)):
        seen = judge.foreground(p.image)
        marked = p.mask > 127
        assert (seen & marked).sum() / (seen | marked).sum() > 0.93


def test_things_are_nearer_than_the_sky() -> None:
    compared = 0
    for seed in range(60):
        p = paint(seed, 64, 64)
        if (p.mask == 255).any() and (p.mask == 0).any():
            assert p.depth[p.mask == 255].mean() > p.depth[0].mean() - 1
            compared += 1
    assert compared > 30


def test_captions_name_the_colour_of_the_thing() -> None:
    scene = Scene((Mention("boat", "red", "left"),), (Mention("water", "blue"),))
    texts = [describe(np.random.default_rng(seed), scene) for seed in range(200)]
    assert all("boat" in text and "red" in text for text in texts)
    assert len(set(texts)) > 60
    assert sum("water" in text for text in texts) > 50
    assert "a red boat" in texts


def test_mirroring_swaps_the_sides_only() -> None:
    assert mirrored("a red boat on the left, a tree to the right of a house") == (
        "a red boat on the right, a tree to the left of a house"
    )
    assert mirrored("bright light") == "bright light"


@pytest.mark.parametrize("medium", sorted(MEDIA))
def test_a_medium_changes_the_paint_and_is_said(medium: str) -> None:
    flat = paint(4, 96, 64).image
    painted = media.paint_with(np.random.default_rng(1), medium, flat)
    assert painted.shape == flat.shape and painted.dtype == np.uint8
    assert np.abs(painted.astype(int) - flat).mean() > 1
    scene = Scene((Mention("boat", "red"),), (), medium=medium)
    said = [describe(np.random.default_rng(seed), scene) for seed in range(30)]
    words = {"watercolour": ("watercolo",), "oil": ("oil",), "line drawing": ("drawing", "sketch")}
    assert all(any(word in text for word in words[medium]) for text in said)


def test_counted_things_are_as_many_as_said() -> None:
    seen = set()
    for seed in range(60):
        p = paint(seed, 192, 128, kinds=((scenes.group, 1.0),))
        thing = p.scene.things[0]
        word = {1: "", 2: "two ", 3: "three "}[thing.count]
        assert thing.phrase().startswith(word or ("a", "the"))
        seen.add(thing.count)
        assert p.mask.max() == 255
    assert seen == {1, 2, 3}


def test_a_single_thing_is_large_and_nearly_all_of_it_is_there() -> None:
    heights, cut = [], 0
    for seed in range(60):
        painting = paint(seed, 128, 128, 1, ((scenes.specimens, 1.0),))
        if len(painting.scene.things) > 1:
            continue
        solid = painting.mask >= 128
        heights.append(np.ptp(np.flatnonzero(solid.any(1))) / 128)
        cut += int(solid[:, 0].sum() + solid[:, -1].sum() > 13)
    assert len(heights) > 20
    assert min(heights) > 0.25
    assert np.median(heights) > 0.5
    assert cut <= len(heights) // 10


def test_of_an_overpainted_picture_only_what_was_added_is_told_and_masked() -> None:
    crowded = 0
    for seed in range(40):
        added = paint(seed, 128, 128, 4, scenes.OVERPAINTED)
        (thing,) = added.scene.things
        assert not added.scene.setting
        assert all(thing.noun in caption for caption in added.captions)
        rows, columns = (np.flatnonzero((added.mask >= 128).any(axis)) for axis in (1, 0))
        assert 0.1 * 128 < np.ptp(rows) <= 0.67 * 128
        assert 0.08 * 128 < np.ptp(columns) <= 0.67 * 128
        edges = np.abs(np.diff(added.image.astype(int), axis=0)).max(-1) > 60
        edges[max(0, rows[0] - 2) : rows[-1] + 2, max(0, columns[0] - 2) : columns[-1] + 2] = False
        crowded += int(edges.sum() > 10)
    assert crowded > 15  # there is more in it than that thing and a backdrop

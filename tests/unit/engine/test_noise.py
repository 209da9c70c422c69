from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from bridge.engine.noise import gaussian, on_device, philox


@pytest.mark.parametrize(
    ("counter", "key", "expected"),
    [
        # The known answers that come with the authors' Random123 library.
        (
            (0, 0, 0, 0),
            (0, 0),
            (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8),
        ),
        (
            (0xFFFFFFFF,) * 4,
            (0xFFFFFFFF,) * 2,
            (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD),
        ),
        (
            (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
            (0xA4093822, 0x299F31D0),
            (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
        ),
    ],
)
def test_philox_gives_the_published_answers(
    counter: tuple[int, ...], key: tuple[int, int], expected: tuple[int, ...]
) -> None:
    words = philox(np.array(counter, np.uint64)[:, None], key[0] | key[1] << 32)
    assert tuple(words[:, 0].tolist()) == expected


def test_a_position_has_the_same_noise_for_ever() -> None:
    """Box-Muller written out: with another layout old seeds would paint something else."""
    seed, (x, y), draw = 2**40 + 7, (3, -4), 2
    drawn = gaussian(seed, (x - 1, y - 1), (3, 3), 6, draw)[0, :, 1, 1]
    expected: list[float] = []
    for block in range(2):
        counter = np.array([[x], [y & 0xFFFFFFFF], [draw], [block]], np.uint64)
        first, second, *angles = ((int(w) + 0.5) / 2**32 for w in philox(counter, seed)[:, 0])
        radii = [math.sqrt(-2 * math.log(share)) for share in (first, second)]
        for wave in (math.cos, math.sin):
            expected += [r * wave(2 * math.pi * a) for r, a in zip(radii, angles, strict=True)]
    assert drawn.tolist() == pytest.approx(expected[:6], rel=1e-12)


def test_every_crop_sees_the_same_noise() -> None:
    whole = gaussian(7, (-20, 10), (40, 50), 4)
    part = gaussian(7, (-5, 23), (9, 11), 4)
    torch.testing.assert_close(part, whole[..., 13:22, 15:26], rtol=0, atol=0)


@pytest.mark.parametrize(
    "other",
    [
        gaussian(8, (0, 0), (8, 8), 4),
        gaussian(7 | 1 << 40, (0, 0), (8, 8), 4),
        gaussian(7, (0, 0), (8, 8), 4, draw=1),
    ],
)
def test_seed_and_draw_change_all_of_it(other: torch.Tensor) -> None:
    assert (gaussian(7, (0, 0), (8, 8), 4) != other).all()


def test_it_is_standard_normal_and_independent() -> None:
    drawn = gaussian(1, (1000, -1000), (128, 128), 4)[0].reshape(4, -1).numpy()
    count = drawn.shape[1]
    assert np.abs(drawn.mean(axis=1)).max() < 5 / np.sqrt(count)
    assert np.abs(drawn.var(axis=1) - 1).max() < 5 * np.sqrt(2 / count)
    assert np.abs((drawn**4).mean(axis=1) - 3).max() < 5 * np.sqrt(96 / count)
    neighbours = np.corrcoef(drawn[0, :-1], drawn[0, 1:])[0, 1]
    channels = np.corrcoef(drawn)[np.triu_indices(4, 1)]
    assert max(abs(neighbours), np.abs(channels).max()) < 5 / np.sqrt(count)


def test_more_than_four_channels() -> None:
    drawn = gaussian(1, (0, 0), (4, 4), 6)
    assert drawn.shape == (1, 6, 4, 4)
    assert (drawn[:, :2] != drawn[:, 4:]).all()


def test_noise_on_a_device_is_that_of_the_canvas_and_drawn_once() -> None:
    place = (torch.device("cpu"), 7, (-20, 10), (8, 9), 4, 1)
    drawn = on_device(*place)
    assert torch.equal(drawn, gaussian(*place[1:]).float())
    assert on_device(*place) is drawn and on_device(*place[:-1], 2) is not drawn


def test_all_that_live_painting_asks_for_in_turn_is_drawn_once() -> None:
    """LCM draws anew at each step, and on a slow machine full and smaller pictures take turns."""
    wanted = [((side, side), draw) for side in (8, 4) for draw in range(8)]

    def draw_all() -> list[torch.Tensor]:
        return [on_device(torch.device("cpu"), 11, (0, 0), size, 4, draw) for size, draw in wanted]

    first = draw_all()
    assert all(again is drawn for again, drawn in zip(draw_all(), first, strict=True))

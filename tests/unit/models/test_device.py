"""The choice of device and number format, with computers made up for it."""

from __future__ import annotations

import pytest
import torch

from bridge.errors import BridgeError, Code
from bridge.models import device as device_module
from bridge.models.device import choose_device, choose_dtype


def computer_with(monkeypatch: pytest.MonkeyPatch, *kinds: str) -> None:
    monkeypatch.setattr(device_module, "_is_there", lambda kind: kind in kinds)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)


@pytest.mark.parametrize(
    ("there", "chosen"),
    [
        ((), "cpu"),
        (("cuda",), "cuda"),
        (("mps",), "mps"),
        (("xpu",), "xpu"),
        (("xpu", "cuda"), "cuda"),
    ],
)
def test_auto_takes_the_best_that_is_there(
    monkeypatch: pytest.MonkeyPatch, there: tuple[str, ...], chosen: str
) -> None:
    computer_with(monkeypatch, *there)
    assert choose_device("auto").type == chosen


def test_a_wish_is_granted_where_it_can_be(monkeypatch: pytest.MonkeyPatch) -> None:
    computer_with(monkeypatch, "cuda")
    assert choose_device("cpu").type == "cpu"
    assert choose_device("cuda:0") == torch.device("cuda:0")


@pytest.mark.parametrize("wish", ["mps", "cuda:1", "meta", "gpu", "", "cuda:x"])
def test_a_device_that_is_not_there_is_refused_with_those_that_are(
    monkeypatch: pytest.MonkeyPatch, wish: str
) -> None:
    computer_with(monkeypatch, "cuda")
    with pytest.raises(BridgeError, match="there is: cuda, cpu") as caught:
        choose_device(wish)
    assert caught.value.code is Code.BAD_INPUT


@pytest.mark.parametrize(
    ("card", "capability", "expected"),
    [
        ("NVIDIA GeForce RTX 4090", (8, 9), torch.float16),
        ("NVIDIA GeForce RTX 2060", (7, 5), torch.float16),
        ("NVIDIA GeForce GTX 1660 Ti", (7, 5), torch.float32),
        ("NVIDIA GeForce GTX 1080", (6, 1), torch.float32),
    ],
)
def test_half_precision_only_on_cards_that_are_fast_and_right_in_it(
    monkeypatch: pytest.MonkeyPatch,
    card: str,
    capability: tuple[int, int],
    expected: torch.dtype,
) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda _device: card)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _device: capability)
    assert choose_dtype(torch.device("cuda")) is expected


def test_other_devices_have_one_format_each() -> None:
    assert choose_dtype(torch.device("cpu")) is torch.float32
    assert choose_dtype(torch.device("mps")) is torch.float16
    assert choose_dtype(torch.device("xpu")) is torch.float16

"""Hypernetworks do to a UNet what their module in A1111's web UI does, and leave no trace."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from bridge.errors import BridgeError, Code
from bridge.models.hashing import HashCache
from bridge.models.hypernetwork import Hypernetworks, read_hypernetwork
from bridge.models.library import Library
from bridge.models.load import load
from bridge.models.loaded import LoadedModel
from bridge.presets import ModelFolder
from tests.tiny_models import WIDTH


@pytest.fixture(scope="module")
def model(sd15: Path, tmp_path_factory: pytest.TempPathFactory) -> LoadedModel:
    return load(ModelFolder(sd15), "cpu", home=tmp_path_factory.mktemp("home"))


def perceptron(
    width: int,
    structure: Sequence[float],
    activation: type[nn.Module] | None,
    *,
    norm: bool = False,
    dropout: bool = False,
    activate_output: bool = False,
) -> nn.Sequential:
    """The layers in the order in which A1111's module puts them: linear, activation, norm, dropout."""
    layers: list[nn.Module] = []
    for number, (one, other) in enumerate(pairwise(structure)):
        at_end = number == len(structure) - 2
        layers.append(nn.Linear(int(width * one), int(width * other)))
        if activation is not None and (activate_output or not at_end):
            layers.append(activation())
        if norm:
            layers.append(nn.LayerNorm(int(width * other)))
        if dropout and not at_end:
            layers.append(nn.Dropout(0.3))
    return nn.Sequential(*layers).eval().requires_grad_(False)


def write(path: Path, pairs: dict[int, tuple[nn.Module, nn.Module]], **metadata: str) -> Path:
    tensors = {
        f"{width}.{which}.linear.{name}": tensor.clone()
        for width, pair in pairs.items()
        for which, part in enumerate(pair)
        for name, tensor in part.state_dict().items()
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file(tensors, path, metadata)
    return path


class Changed(nn.Module):
    """A layer that is given x + strength * f(x)."""

    def __init__(self, layer: nn.Linear, change: nn.Module, strength: float) -> None:
        super().__init__()
        self.layer, self.change, self.strength = layer, change, strength

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.layer(x + self.change(x) * self.strength)
        return out


def evaluated(unet: Any) -> torch.Tensor:
    generator = torch.Generator().manual_seed(4)
    latents = torch.randn(1, 4, 8, 8, generator=generator)
    tokens = torch.randn(1, 77, WIDTH, generator=generator)
    with torch.inference_mode():
        output: torch.Tensor = unet(latents, 500, encoder_hidden_states=tokens).sample
    return output


def reference(model: LoadedModel, pair: tuple[nn.Module, nn.Module], strength: float) -> Any:
    unet = copy.deepcopy(model.unet)
    for module in list(unet.modules()):
        if hasattr(module, "to_k"):
            module.to_k = Changed(module.to_k, pair[0], strength)
            module.to_v = Changed(module.to_v, pair[1], strength)
    return unet


def hypernetworks(model: LoadedModel, folder: Path) -> Hypernetworks:
    return Hypernetworks(model, Library(folder, "hypernetwork"), HashCache(folder))


SHAPES: dict[str, tuple[dict[str, Any], dict[str, str]]] = {
    "plain": ({"structure": (1, 2, 1), "activation": None}, {}),
    "relu": ({"structure": (1, 2, 1), "activation": nn.ReLU}, {"activation_func": "relu"}),
    "swish, deep": (
        {"structure": (1, 1.5, 2, 1), "activation": nn.Hardswish},
        {"activation_func": "swish", "activate_output": "False"},
    ),
    "norm and dropout": (
        {"structure": (1, 2, 1), "activation": nn.Mish, "norm": True, "dropout": True},
        {"activation_func": "mish", "is_layer_norm": "True"},
    ),
    "linear with dropout": (
        {"structure": (1, 2, 1), "activation": None, "dropout": True},
        {"activation_func": "linear"},
    ),
    "activated output": (
        {"structure": (1, 2, 1), "activation": nn.Tanh, "activate_output": True},
        {"activation_func": "tanh", "activate_output": "True"},
    ),
}


@pytest.mark.parametrize("shape", SHAPES)
def test_keys_and_values_are_changed_as_the_file_says(
    shape: str, model: LoadedModel, tmp_path: Path
) -> None:
    torch.manual_seed(3)
    options, metadata = SHAPES[shape]
    pair = (perceptron(WIDTH, **options), perceptron(WIDTH, **options))
    other = perceptron(9 * WIDTH, (1, 1), None)
    write(tmp_path / "ink.safetensors", {WIDTH: pair, 9 * WIDTH: (other, other)}, **metadata)
    plain, used = evaluated(model.unet), hypernetworks(model, tmp_path)
    hooks = [len(module._forward_pre_hooks) for module in model.unet.modules()]  # the brake's
    expected = evaluated(reference(model, pair, 0.7))
    (found,), changed = used.use({"ink": 0.7})
    assert changed and (found.name, found.strength) == ("ink", 0.7) and len(found.sha256) == 64
    torch.testing.assert_close(evaluated(model.unet), expected, rtol=0, atol=1e-5)
    assert not torch.allclose(expected, plain, atol=1e-4)
    assert not used.use({"ink": 0.7})[1]
    assert used.use({}) == ((), True)
    assert torch.equal(evaluated(model.unet), plain)
    assert hooks == [len(module._forward_pre_hooks) for module in model.unet.modules()]


def test_two_are_applied_one_after_the_other(model: LoadedModel, tmp_path: Path) -> None:
    torch.manual_seed(5)
    pairs = [(perceptron(WIDTH, (1, 1), None), perceptron(WIDTH, (1, 1), None)) for _ in range(2)]
    for name, pair in zip("ab", pairs, strict=True):
        write(tmp_path / f"{name}.safetensors", {WIDTH: pair})

    def both(which: int) -> nn.Module:
        first, second = pairs[0][which], pairs[1][which]

        class Both(nn.Module):
            def forward(self, x: torch.Tensor) -> torch.Tensor:
                once = x + 0.5 * first(x)
                out: torch.Tensor = once - 0.3 * second(once) - x
                return out

        return Both()

    expected = evaluated(reference(model, (both(0), both(1)), 1.0))
    used = hypernetworks(model, tmp_path)
    used.use({"a": 0.5, "b": -0.3})
    torch.testing.assert_close(evaluated(model.unet), expected, rtol=0, atol=1e-5)
    used.use({})


def test_what_cannot_be_used_says_so(model: LoadedModel, tmp_path: Path) -> None:
    good = perceptron(WIDTH, (1, 2, 1), None)
    wide = perceptron(7, (1, 1), None)
    broken = copy.deepcopy(good)
    broken[0].weight.fill_(float("nan"))
    half = {f"{WIDTH}.0.linear.{name}": tensor for name, tensor in good.state_dict().items()}
    cases: list[tuple[Path, str, Code]] = []

    def case(name: str, sentence: str, code: Code, path: Path) -> None:
        cases.append((path.rename(tmp_path / f"{name}.safetensors"), sentence, code))

    new = tmp_path / "new.safetensors"
    case("wide", "another kind of model", Code.BAD_INPUT, write(new, {7: (wide, wide)}))
    case("nan", "NaN", Code.MODEL_CORRUPT, write(new, {WIDTH: (broken, good)}))
    case("act", "activation", Code.BAD_INPUT, write(new, {WIDTH: (good, good)}, activation_func="warp"))  # fmt: skip
    save_file({"other": torch.zeros(1)}, new)
    case("other", "is no hypernetwork", Code.BAD_INPUT, new)
    save_file(half, new)
    case("half", "do not fit together", Code.MODEL_CORRUPT, new)
    save_file({f"{WIDTH}.{n}.linear.0.weight": torch.zeros(WIDTH, WIDTH) for n in (0, 1)}, new)
    case("no-bias", "do not fit together", Code.MODEL_CORRUPT, new)
    short = perceptron(WIDTH, (1, 2), None)
    case("short", "do not fit together", Code.MODEL_CORRUPT, write(new, {WIDTH: (short, short)}))
    for path, sentence, code in cases:
        with pytest.raises(BridgeError, match=sentence) as caught:
            read_hypernetwork(path, model)
        assert caught.value.code is code


def test_a_missing_one_is_named(model: LoadedModel, tmp_path: Path) -> None:
    with pytest.raises(BridgeError, match="There is no hypernetwork “ink”"):
        hypernetworks(model, tmp_path).use({"ink": 1.0})

"""LoRA files in every layout do to a model what their numbers say, and come out again to the bit."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
from torch import nn

from bridge.errors import BridgeError, Code
from bridge.models.adapters import Adapters
from bridge.models.hashing import HashCache
from bridge.models.library import Library
from bridge.models.load import load
from bridge.models.loaded import LoadedModel
from bridge.models.lora import read_lora
from bridge.presets import ModelFolder
from tests.tiny_loras import (
    Low,
    kohya,
    old_diffusers,
    original_names,
    peft,
    random_updates,
    write,
)


@pytest.fixture(scope="module")
def models(sd15: Path, sdxl: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, LoadedModel]:  # fmt: skip
    home = tmp_path_factory.mktemp("home")
    return {
        "sd15": load(ModelFolder(sd15), "cpu", home=home),
        "sdxl": load(ModelFolder(sdxl), "cpu", home=home),
    }


def parts(model: LoadedModel) -> list[nn.Module]:
    return [model.unet, *(text.model for text in model.text)]


def weights(model: LoadedModel) -> list[dict[str, torch.Tensor]]:
    return [{name: w.clone() for name, w in part.state_dict().items()} for part in parts(model)]


def in_attention(name: str) -> bool:
    return re.search(r"attn\d\.to_(q|k|v|out\.0)$", name) is not None


def assert_updated(
    model: LoadedModel, before: list[dict[str, torch.Tensor]], expected: list[dict[str, Low]]
) -> None:
    """Exactly the weights of `expected` have changed, by their delta."""
    for old, new, updates in zip(before, weights(model), expected, strict=True):
        for name, weight in new.items():
            update = updates.get(name.removesuffix(".weight"))
            if update is None or not name.endswith(".weight"):
                assert torch.equal(weight, old[name]), name
            else:
                torch.testing.assert_close(weight, old[name] + update.delta, rtol=0, atol=1e-5)


def adapters(model: LoadedModel, folder: Path) -> Adapters:
    return Adapters(model, Library(folder, "LoRA"), HashCache(folder))


def without_wrapper(updates: dict[str, Low]) -> dict[str, Low]:
    return {name.removeprefix("text_model."): update for name, update in updates.items()}


def layouts(name: str, model: LoadedModel) -> tuple[list[dict[str, torch.Tensor]], list[dict[str, Low]]]:  # fmt: skip
    """The tensors of the layout `name`, and by part of the model what they should do."""
    unet, *text = parts(model)
    nothing: list[dict[str, Low]] = [{} for _ in text]
    te = ("lora_te_",) if len(text) == 1 else ("lora_te1_", "lora_te2_")
    all_unet, ranks = random_updates(unet), random_updates(unet, in_attention, alpha=None)
    if name == "kohya":
        all_text = [random_updates(part, seed=n + 1) for n, part in enumerate(text)]
        files = [kohya("lora_unet_", all_unet)]
        for prefix, updates in zip(te, all_text, strict=True):
            named = {n: u for n, u in updates.items() if n != "text_projection"}
            files.append(kohya(f"{prefix}text_model_", without_wrapper(named)))
            files.append(kohya(prefix, {n: u for n, u in updates.items() if n not in named}))
        return files, [all_unet, *all_text]
    if name == "kohya, part of the text encoder":
        some = random_updates(text[0], lambda n: n.endswith("q_proj"))
        files = [kohya("lora_unet_", ranks), kohya(f"{te[0]}text_model_", without_wrapper(some))]
        return files, [ranks, some, *nothing[1:]]
    if name == "kohya without alpha":
        return [kohya("lora_unet_", ranks, with_alpha=False)], [ranks, *nothing]
    if name == "kohya, original names":
        names = original_names(unet)
        renamed = {names[n]: update for n, update in all_unet.items()}
        return [kohya("lora_unet_", renamed)], [all_unet, *nothing]
    if name == "peft":
        some = random_updates(text[0], lambda n: n.endswith("fc1"), alpha=None)
        named = {f"text_model.{n}": update for n, update in without_wrapper(some).items()}
        return [peft("unet.", ranks), peft("text_encoder.", named)], [ranks, some, *nothing[1:]]
    if name == "diffusers, linear layers":
        return [peft("unet.", ranks, ("lora.down", "lora.up"))], [ranks, *nothing]
    assert name == "diffusers, processors"
    return [old_diffusers(ranks)], [ranks, *nothing]


LAYOUTS = (
    "kohya",
    "kohya, part of the text encoder",
    "kohya without alpha",
    "kohya, original names",
    "peft",
    "diffusers, linear layers",
    "diffusers, processors",
)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("kind", ["sd15", "sdxl"])
def test_a_lora_adds_what_it_says_and_comes_out_again(
    models: dict[str, LoadedModel], tmp_path: Path, kind: str, layout: str
) -> None:
    model = models[kind]
    files, expected = layouts(layout, model)
    write(tmp_path / "ink.safetensors", *files)
    before, used = weights(model), adapters(model, tmp_path)
    (found,), changed = used.use({"ink": 1.0})
    assert changed and found.name == "ink" and len(found.sha256) == 64
    assert_updated(model, before, expected)
    assert used.use({}) == ((), True)
    for old, new in zip(before, weights(model), strict=True):
        assert all(torch.equal(new[name].view(torch.uint8), w.view(torch.uint8)) for name, w in old.items() if w.ndim)  # fmt: skip


def test_strengths_scale_and_several_add_up(models: dict[str, LoadedModel], tmp_path: Path) -> None:
    model = models["sd15"]
    first, second = (random_updates(model.unet, in_attention, seed=seed) for seed in (1, 2))
    write(tmp_path / "one.safetensors", kohya("lora_unet_", first))
    write(tmp_path / "two.safetensors", kohya("lora_unet_", second))
    before, used = weights(model)[0], adapters(model, tmp_path)
    used.use({"one": 5.0})  # and what was there before must not remain
    used.use({"one": 0.5, "two": -1.5})
    after = weights(model)[0]
    for name in first:
        expected = before[f"{name}.weight"] + 0.5 * first[name].delta - 1.5 * second[name].delta
        torch.testing.assert_close(after[f"{name}.weight"], expected, rtol=0, atol=1e-5)
    used.use({})
    assert all(torch.equal(w, before[name]) for name, w in weights(model)[0].items())


def test_half_precision_comes_out_to_the_bit(sd15: Path, tmp_path: Path) -> None:
    model = load(ModelFolder(sd15), "cpu", torch.float16)
    write(tmp_path / "ink.safetensors", kohya("lora_unet_", random_updates(model.unet)))
    before, used = weights(model), adapters(model, tmp_path)
    for strength in (0.1, 0.7, 3.0):
        used.use({"ink": strength})
        assert model.unet.conv_in.weight.dtype == torch.float16
    used.use({})
    for old, new in zip(before, weights(model), strict=True):
        assert all(torch.equal(new[name], weight) for name, weight in old.items())


def test_the_same_loras_again_cost_nothing(models: dict[str, LoadedModel], tmp_path: Path) -> None:
    model = models["sd15"]
    path = write(tmp_path / "ink.safetensors", kohya("lora_unet_", random_updates(model.unet)))
    used = adapters(model, tmp_path)
    assert used.use({"ink": 0.8})[1]
    assert not used.use({"ink": 0.8})[1]
    assert used.use({"ink": 0.9})[1]
    write(path, kohya("lora_unet_", random_updates(model.unet, in_attention, seed=5)))
    assert used.use({"ink": 0.9})[1], "the file has changed"
    used.use({})


def test_a_missing_lora_names_those_that_come_near(
    models: dict[str, LoadedModel], tmp_path: Path
) -> None:
    used = adapters(models["sd15"], tmp_path / "loras")
    with pytest.raises(BridgeError, match="There is no LoRA “ink”") as caught:
        used.use({"ink": 1.0})
    assert caught.value.code is Code.MODEL_MISSING and str(tmp_path / "loras") in caught.value.hint
    for name in ("Ink_v2", "inkling", "ocean"):
        write(tmp_path / "loras" / f"{name}.safetensors", {"a": torch.zeros(1)})
    with pytest.raises(BridgeError) as caught:
        used.use({"ink": 1.0})
    assert "“Ink_v2”" in caught.value.hint and "“inkling”" in caught.value.hint
    assert "ocean" not in caught.value.hint


def test_an_error_leaves_the_model_as_it_was(
    models: dict[str, LoadedModel], tmp_path: Path
) -> None:
    model = models["sd15"]
    write(tmp_path / "ink.safetensors", kohya("lora_unet_", random_updates(model.unet)))
    before, used = weights(model), adapters(model, tmp_path)
    with pytest.raises(BridgeError):
        used.use({"ink": 1.0, "gone": 1.0})
    for old, new in zip(before, weights(model), strict=True):
        assert all(torch.equal(new[name], weight) for name, weight in old.items())


def test_names_are_found_whatever_their_case_and_folder(tmp_path: Path) -> None:
    library = Library(tmp_path, "LoRA")
    one = write(tmp_path / "styles" / "Ink.safetensors", {"a": torch.zeros(1)})
    two = write(tmp_path / "ink.safetensors", {"a": torch.zeros(1)})
    three = write(tmp_path / "styles" / "Oil v1.5.safetensors", {"a": torch.zeros(1)})
    assert library.find("INK") == two
    assert library.find("styles/ink") == one
    assert library.find("oil v1.5") == three
    (tmp_path / "secret.txt").write_text("x")
    for name in ("../secret", "/etc/passwd", "styles/../ink", "secret", ""):
        with pytest.raises(BridgeError):
            library.find(name)


def test_the_painters_files_come_before_those_of_a_model(tmp_path: Path) -> None:
    mine, its = tmp_path / "mine", tmp_path / "its"
    one = write(mine / "ink.safetensors", {"a": torch.zeros(1)})
    write(its / "ink.safetensors", {"a": torch.zeros(1)})
    two = write(its / "oil.safetensors", {"a": torch.zeros(1)})
    library = Library(mine, "LoRA", its)
    assert (library.find("ink"), library.find("oil")) == (one, two)
    with pytest.raises(BridgeError, match="LoRA"):
        Library(mine, "LoRA").find("oil")


def test_a_pickled_lora_is_not_opened(models: dict[str, LoadedModel], tmp_path: Path) -> None:
    (tmp_path / "ink.pt").write_bytes(b"\x80\x02whatever")
    with pytest.raises(BridgeError) as caught:
        adapters(models["sd15"], tmp_path).use({"ink": 1.0})
    assert caught.value.code is Code.MODEL_UNSAFE


def test_files_that_are_no_lora_for_the_model_say_so(
    models: dict[str, LoadedModel], tmp_path: Path
) -> None:
    sd15, sdxl = models["sd15"], models["sdxl"]
    updates = random_updates(sdxl.unet, in_attention)
    wide = {n: Low(torch.zeros(2, 7), torch.zeros(7, 2), 1.0) for n in random_updates(sd15.unet, in_attention)}  # fmt: skip
    half = {n: t for n, t in kohya("lora_unet_", updates).items() if "lora_up" not in n}
    broken = {n: t * float("nan") for n, t in kohya("lora_unet_", random_updates(sd15.unet)).items()}  # fmt: skip
    cases: list[tuple[dict[str, torch.Tensor], str]] = [
        ({"weight": torch.zeros(2)}, "is no LoRA"),
        (kohya("lora_unet_", {"elsewhere.to_q": Low(torch.zeros(2, 2), torch.zeros(2, 2), 1.0)}), "another kind of model"),
        (kohya("lora_unet_", wide), "another kind of model"),
        (half, "lacks the second half"),
        (broken, "NaN"),
        ({"lora_unet_x.hada_w1_a": torch.zeros(2)}, "is a LoHa"),
        ({"lora_unet_x.lokr_w1": torch.zeros(2)}, "is a LoKr"),
        ({**kohya("lora_unet_", updates), "lora_unet_x.dora_scale": torch.zeros(2)}, "is a DoRA"),
    ]  # fmt: skip
    for tensors, sentence in cases:
        path = write(tmp_path / "x.safetensors", tensors)
        with pytest.raises(BridgeError, match=sentence):
            read_lora(path, sd15)

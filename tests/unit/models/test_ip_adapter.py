"""Which files are taken for an IP-Adapter and its encoder, and what is said of the others."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from bridge.errors import BridgeError, Code
from bridge.models.hashing import HashCache
from bridge.models.ip_adapter import IpAdapter, cross_attentions, read_ip_adapter
from bridge.models.load import load
from bridge.models.loaded import LoadedModel
from bridge.presets import IpAdapterFiles, ModelFolder
from tests.tiny_adapters import TOKENS, make_adapter, make_image_encoder, make_source
from tests.tiny_models import WIDTH


@pytest.fixture(scope="module")
def model(sd15: Path, tmp_path_factory: pytest.TempPathFactory) -> LoadedModel:
    return load(ModelFolder(sd15), "cpu", home=tmp_path_factory.mktemp("home"))


@pytest.fixture
def source(model: LoadedModel, tmp_path: Path) -> IpAdapterFiles:
    return make_source(tmp_path, model.unet)


def read(source: IpAdapterFiles, model: LoadedModel) -> IpAdapter:
    return read_ip_adapter(source, model, HashCache(source.file.parent))


def refused(source: IpAdapterFiles, model: LoadedModel, code: Code, says: str) -> None:
    processors = dict(model.unet.attn_processors)
    with pytest.raises(BridgeError, match=says) as caught:
        read(source, model)
    assert caught.value.code is code
    assert model.unet.attn_processors == processors and model.unet.encoder_hid_proj is None


@pytest.mark.parametrize(("kind", "count"), [("plain", 4), ("plus", TOKENS), ("full", 5)])
def test_each_kind_makes_its_tokens(
    kind: str, count: int, model: LoadedModel, tmp_path: Path
) -> None:
    adapter = read(make_source(tmp_path, model.unet, kind), model)
    shown, nothing = adapter.tokens(Image.new("RGB", (31, 9), "teal"))
    assert shown.shape == nothing.shape == (1, count, WIDTH)
    assert not torch.equal(shown, nothing)
    assert model.unet.encoder_hid_proj is None


def test_a_picture_of_one_row_is_a_picture(model: LoadedModel, source: IpAdapterFiles) -> None:
    adapter = read(source, model)
    shown, _ = adapter.tokens(Image.new("RGB", (40, 1), "teal"))
    square, _ = adapter.tokens(Image.new("RGB", (40, 40), "teal"))
    torch.testing.assert_close(shown, square)


def test_files_of_another_kind_are_refused(
    model: LoadedModel, source: IpAdapterFiles, tmp_path: Path
) -> None:
    make_adapter(source.file, model.unet, "faceid")
    refused(source, model, Code.BAD_INPUT, "is no IP-Adapter that the bridge can read")
    save_file({"some.weight": torch.zeros(2)}, source.file)
    refused(source, model, Code.BAD_INPUT, "is no IP-Adapter that the bridge can read")
    source.file.unlink()
    refused(source, model, Code.MODEL_MISSING, "There is no model at")


def test_an_adapter_for_another_kind_of_model_is_refused(
    model: LoadedModel, source: IpAdapterFiles
) -> None:
    tensors = load_file(source.file)
    fewer = {n: t for n, t in tensors.items() if not n.startswith("ip_adapter.3.")}
    save_file(fewer, source.file)
    refused(source, model, Code.BAD_INPUT, "was made for another kind of model")
    wider = {
        n: torch.zeros(64, 99) if n.startswith("ip_adapter") else t for n, t in tensors.items()
    }
    save_file(wider, source.file)
    refused(source, model, Code.BAD_INPUT, "was made for another kind of model")


@pytest.mark.parametrize("kind", ["plain", "plus", "full"])
def test_an_adapter_for_another_encoder_is_refused(
    kind: str, model: LoadedModel, tmp_path: Path
) -> None:
    source = make_source(tmp_path, model.unet, kind)
    tensors = load_file(source.file)
    width = "image_proj.proj.weight", "image_proj.proj_in.weight", "image_proj.proj.0.weight"
    (name,) = (name for name in width if name in tensors)
    tensors[name] = torch.zeros(len(tensors[name]), 40)
    if kind == "full":  # its first layer is square
        tensors[name] = torch.zeros(40, 40)
        tensors["image_proj.proj.0.bias"] = torch.zeros(40)
        tensors["image_proj.proj.2.weight"] = torch.zeros(WIDTH, 40)
    save_file(tensors, source.file)
    refused(source, model, Code.BAD_INPUT, "was made for another image encoder")


def test_damaged_adapters_are_refused(model: LoadedModel, source: IpAdapterFiles) -> None:
    tensors = load_file(source.file)
    save_file({**tensors, "image_proj.norm.bias": torch.full((WIDTH,), torch.nan)}, source.file)
    refused(source, model, Code.MODEL_CORRUPT, "NaN or infinite")
    lacking = {name: each for name, each in tensors.items() if name != "image_proj.norm.bias"}
    save_file(lacking, source.file)
    refused(source, model, Code.MODEL_CORRUPT, "does not fit together|lacks 1 of the weights")
    source.file.write_bytes(source.file.read_bytes()[:-7])
    refused(source, model, Code.MODEL_CORRUPT, "is incomplete")


def test_pickles_are_never_opened(model: LoadedModel, tmp_path: Path) -> None:
    encoder = make_image_encoder(tmp_path / "encoder")
    pickled = tmp_path / "adapter.bin"
    torch.save({"image_proj": {}}, pickled)
    refused(IpAdapterFiles(pickled, encoder), model, Code.MODEL_UNSAFE, "was not opened")
    adapter = make_adapter(tmp_path / "adapter.safetensors", model.unet)
    (encoder / "model.safetensors").rename(encoder / "pytorch_model.bin")
    refused(IpAdapterFiles(adapter, encoder), model, Code.MODEL_UNSAFE, "was not opened")


def test_what_is_no_image_encoder_is_refused(model: LoadedModel, source: IpAdapterFiles) -> None:
    config = source.image_encoder / "config.json"
    settings = json.loads(config.read_text())
    config.write_text(json.dumps({**settings, "architectures": ["CLIPTextModel"]}))
    refused(source, model, Code.BAD_INPUT, "is no image encoder of an IP-Adapter")
    config.write_text(json.dumps({**settings, "hidden_size": 64}))
    refused(
        source, model, Code.MODEL_CORRUPT, "of other shapes than its config.json says|does not fit"
    )
    config.unlink()
    refused(source, model, Code.MODEL_MISSING, "There is no model at")


def test_the_attentions_are_in_the_published_order(model: LoadedModel) -> None:
    """Down, up, mid: as `ip_adapter.1`, `.3` ... count them."""
    names = list(cross_attentions(model))
    parts = [name.split("_")[0] for name in names]
    assert parts == sorted(parts, key=["down", "up", "mid"].index)
    assert len(names) == sum(
        name.endswith("attn2.processor") for name in model.unet.attn_processors
    )

"""Broken safetensors: cut at every 64th, with flipped bytes in the header, with lying headers."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file

from bridge.errors import BridgeError, Code
from bridge.models.folder import inspect_folder
from bridge.models.load import load
from bridge.models.weights import read_header
from bridge.presets import ModelFile, ModelFolder
from tests.single_file import write_single_file
from tests.tiny_models import make_tiny_sd15

UNET = "unet/diffusion_pytorch_model.safetensors"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KRITA_BRIDGE_HOME", str(tmp_path / "home"))


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_sd15(tmp_path_factory.mktemp("tiny") / "sd15")


@pytest.fixture
def model(pristine: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(pristine, tmp_path / "model"))


def header_size(data: bytes) -> int:
    return 8 + int.from_bytes(data[:8], "little")


@pytest.mark.parametrize("sixtyfourth", range(64))
def test_weights_cut_anywhere_are_corrupt(model: Path, sixtyfourth: int) -> None:
    path = model / UNET
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) * sixtyfourth // 64])
    with pytest.raises(BridgeError) as caught:
        load(ModelFolder(model), "cpu")
    assert caught.value.code is Code.MODEL_CORRUPT
    assert str(path) in caught.value.message


@pytest.mark.parametrize("sixtyfourth", range(0, 64, 7))
def test_a_single_file_cut_anywhere_is_corrupt(
    pristine: Path, tmp_path: Path, sixtyfourth: int
) -> None:
    path = write_single_file(pristine, tmp_path / "model.safetensors")
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) * sixtyfourth // 64])
    with pytest.raises(BridgeError) as caught:
        load(ModelFile(path, pristine), "cpu")
    assert caught.value.code is Code.MODEL_CORRUPT


def test_every_cut_within_the_header_is_corrupt(model: Path) -> None:
    path = model / "vae" / "diffusion_pytorch_model.safetensors"
    whole = path.read_bytes()
    for length in range(0, header_size(whole), 97):
        path.write_bytes(whole[:length])
        with pytest.raises(BridgeError) as caught:
            inspect_folder(model)
        assert caught.value.code is Code.MODEL_CORRUPT


def test_more_bytes_than_promised_are_corrupt(model: Path) -> None:
    with (model / UNET).open("ab") as file:
        file.write(b"\0")
    with pytest.raises(BridgeError) as caught:
        inspect_folder(model)
    assert caught.value.code is Code.MODEL_CORRUPT


def test_a_flipped_byte_in_the_header_is_a_model_or_a_model_error(
    pristine: Path, tmp_path: Path
) -> None:
    """A flip may leave a header that is whole; loading then says which weight it cannot place."""
    model = Path(shutil.copytree(pristine, tmp_path / "model"))
    path = model / UNET
    whole = path.read_bytes()
    seen = set()
    for number, position in enumerate(range(0, header_size(whole), 331)):
        flipped = bytes([whole[position] ^ 0x15])
        path.write_bytes(whole[:position] + flipped + whole[position + 1 :])
        try:
            inspect_folder(model)
            if number % 9 == 0:
                load(ModelFolder(model), "cpu")
        except BridgeError as error:
            seen.add(error.code)
    assert seen == {Code.MODEL_CORRUPT}


def with_header(header: object, data: bytes = b"\0" * 4) -> bytes:
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + data


def entry(
    dtype: object = "F32", shape: object = (1,), offsets: object = (0, 4)
) -> dict[str, object]:
    return {"dtype": dtype, "shape": shape, "data_offsets": offsets}


@pytest.mark.parametrize(
    "header",
    [
        {"x": entry(shape=[2**62])},
        {"x": entry(shape=[2**32, 2**32])},
        {"x": entry(shape=[-1])},
        {"x": entry(shape=[1.5])},
        {"x": entry(shape="1")},
        {"x": entry(dtype="F31")},
        {"x": entry(dtype=None)},
        {"x": entry(offsets=[4, 0])},
        {"x": entry(offsets=[0, 2**63])},
        {"x": entry(offsets=[-4, 0])},
        {"x": entry(offsets=[0])},
        {"x": entry(), "y": entry()},
        {"x": 1},
        {"x": entry(), "__metadata__": [1]},
        {"x": entry(), "__metadata__": {"a": 1}},
        {"__metadata__": {"a": "b"}},
    ],
)
def test_a_lying_header_is_corrupt(header: object, tmp_path: Path) -> None:
    path = tmp_path / "lying.safetensors"
    path.write_bytes(with_header(header))
    with pytest.raises(BridgeError) as caught:
        read_header(path)
    assert caught.value.code is Code.MODEL_CORRUPT


@settings(max_examples=300, deadline=None)
@given(data=st.one_of(st.binary(max_size=200), st.binary(max_size=200).map(lambda b: b"{" + b)))
def test_any_bytes_are_weights_or_an_error_of_ours(
    tmp_path_factory: pytest.TempPathFactory, data: bytes
) -> None:
    path = tmp_path_factory.getbasetemp() / "any.safetensors"
    for content in (data, len(data).to_bytes(8, "little") + data):
        path.write_bytes(content)
        try:
            read_header(path)
        except BridgeError as error:
            assert error.code in (Code.MODEL_CORRUPT, Code.MODEL_UNSAFE)


@pytest.mark.parametrize("name", ["unet/config.json", "scheduler/scheduler_config.json"])
@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b"null", b"\xff\xfe", b"[" * 100_000, b'{"a": NaN']
)
def test_a_broken_configuration_is_corrupt(model: Path, name: str, content: bytes) -> None:
    (model / name).write_bytes(content)
    with pytest.raises(BridgeError) as caught:
        inspect_folder(model)
    assert caught.value.code is Code.MODEL_CORRUPT
    assert str(model / name) in caught.value.message


@pytest.mark.parametrize("class_name", ["FluxTransformer2DModel", "os.system", "", 7, None])
def test_a_class_that_is_not_on_the_list_is_never_looked_up(
    model: Path, class_name: object
) -> None:
    path = model / "unet" / "config.json"
    config = json.loads(path.read_text())
    path.write_text(json.dumps({**config, "_class_name": class_name}))
    with pytest.raises(BridgeError) as caught:
        inspect_folder(model)
    assert caught.value.code is Code.BAD_INPUT


def test_weights_of_a_format_that_torch_cannot_compute_in_are_an_error_of_ours(
    model: Path,
) -> None:
    tensors = {"conv_in.weight": torch.zeros(4, dtype=torch.int64)}
    save_file(tensors, model / UNET, {"format": "pt"})
    with pytest.raises(BridgeError) as caught:
        load(ModelFolder(model), "cpu")
    assert caught.value.code is Code.MODEL_CORRUPT

"""Broken safetensors: cut at every 64th, with flipped bytes in the header, with lying headers."""

from __future__ import annotations

import json
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

UNET = "unet/diffusion_pytorch_model.safetensors"


pytestmark = pytest.mark.usefixtures("bridge_home")


def header_size(data: bytes) -> int:
    return 8 + int.from_bytes(data[:8], "little")


@pytest.mark.parametrize("sixtyfourth", range(64))
def test_weights_cut_anywhere_are_corrupt(own_sd15: Path, sixtyfourth: int) -> None:
    path = own_sd15 / UNET
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) * sixtyfourth // 64])
    with pytest.raises(BridgeError) as caught:
        load(ModelFolder(own_sd15), "cpu")
    assert caught.value.code is Code.MODEL_CORRUPT
    assert str(path) in caught.value.message


@pytest.mark.parametrize("sixtyfourth", range(0, 64, 7))
def test_a_single_file_cut_anywhere_is_corrupt(
    sd15: Path, tmp_path: Path, sixtyfourth: int
) -> None:
    path = write_single_file(sd15, tmp_path / "model.safetensors")
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) * sixtyfourth // 64])
    with pytest.raises(BridgeError) as caught:
        load(ModelFile(path, sd15), "cpu")
    assert caught.value.code is Code.MODEL_CORRUPT


def test_every_cut_within_the_header_is_corrupt(own_sd15: Path) -> None:
    path = own_sd15 / "vae" / "diffusion_pytorch_model.safetensors"
    whole = path.read_bytes()
    for length in range(0, header_size(whole), 97):
        path.write_bytes(whole[:length])
        with pytest.raises(BridgeError) as caught:
            inspect_folder(own_sd15)
        assert caught.value.code is Code.MODEL_CORRUPT


def test_more_bytes_than_promised_are_corrupt(own_sd15: Path) -> None:
    with (own_sd15 / UNET).open("ab") as file:
        file.write(b"\0")
    with pytest.raises(BridgeError) as caught:
        inspect_folder(own_sd15)
    assert caught.value.code is Code.MODEL_CORRUPT


def test_a_flipped_byte_in_the_header_is_a_model_or_a_model_error(
    own_sd15: Path,
) -> None:
    """A flip may leave a header that is whole; loading then says which weight it cannot place."""
    path = own_sd15 / UNET
    whole = path.read_bytes()
    seen = set()
    for number, position in enumerate(range(0, header_size(whole), 331)):
        flipped = bytes([whole[position] ^ 0x15])
        path.write_bytes(whole[:position] + flipped + whole[position + 1 :])
        try:
            inspect_folder(own_sd15)
            if number % 9 == 0:
                load(ModelFolder(own_sd15), "cpu")
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
def test_a_broken_configuration_is_corrupt(own_sd15: Path, name: str, content: bytes) -> None:
    (own_sd15 / name).write_bytes(content)
    with pytest.raises(BridgeError) as caught:
        inspect_folder(own_sd15)
    assert caught.value.code is Code.MODEL_CORRUPT
    assert str(own_sd15 / name) in caught.value.message


@pytest.mark.parametrize("class_name", ["FluxTransformer2DModel", "os.system", "", 7, None])
def test_a_class_that_is_not_on_the_list_is_never_looked_up(
    own_sd15: Path, class_name: object
) -> None:
    path = own_sd15 / "unet" / "config.json"
    config = json.loads(path.read_text())
    path.write_text(json.dumps({**config, "_class_name": class_name}))
    with pytest.raises(BridgeError) as caught:
        inspect_folder(own_sd15)
    assert caught.value.code is Code.BAD_INPUT


def test_weights_of_a_format_that_torch_cannot_compute_in_are_an_error_of_ours(
    own_sd15: Path,
) -> None:
    tensors = {"conv_in.weight": torch.zeros(4, dtype=torch.int64)}
    save_file(tensors, own_sd15 / UNET, {"format": "pt"})
    with pytest.raises(BridgeError) as caught:
        load(ModelFolder(own_sd15), "cpu")
    assert caught.value.code is Code.MODEL_CORRUPT

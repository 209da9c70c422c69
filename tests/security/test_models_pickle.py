"""No pickle is ever opened: canaries that would leave a mark when unpickled, everywhere a model has files."""

from __future__ import annotations

import ast
import io
import json
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

import bridge
from bridge.errors import BridgeError, Code
from bridge.models.control_segments import load_segmenter
from bridge.models.hashing import HashCache
from bridge.models.ip_adapter import read_ip_adapter
from bridge.models.load import load
from bridge.presets import IpAdapterFiles, ModelFile, ModelFolder
from tests.fake_models import tiny_model
from tests.tiny_adapters import make_adapter, make_image_encoder
from tests.tiny_detectors import make_tiny_segmenter

UNET = "unet/diffusion_pytorch_model.safetensors"


pytestmark = pytest.mark.usefixtures("bridge_home")


@pytest.fixture
def mark(tmp_path: Path) -> Path:
    """The file that a canary leaves when it fires."""
    return tmp_path / "fired"


def oldest(mark: Path) -> bytes:
    """Protocol 0, as Python 2 wrote it: calls open(mark, "w")."""
    return f"cbuiltins\nopen\n(V{mark}\nVw\ntR.".encode()


def newer(mark: Path) -> bytes:
    """Protocol 2, as torch.save writes it."""
    return b"\x80\x02" + oldest(mark)


def framed(mark: Path) -> bytes:
    """Protocol 4."""
    return b"\x80\x04" + oldest(mark)


def zipped(mark: Path) -> bytes:
    """A checkpoint as torch.save writes it since 1.6: a zip with a pickle in it."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("archive/data.pkl", newer(mark))
        archive.writestr("archive/version", "3\n")
    return buffer.getvalue()


CANARIES = [oldest, newer, framed, zipped]
Canary = Callable[[Path], bytes]


@pytest.mark.parametrize("canary", CANARIES[:3])
def test_the_canaries_are_alive(canary: Canary, mark: Path, tmp_path: Path) -> None:
    """Unpickled, each leaves its mark: otherwise the tests below would show nothing."""
    path = tmp_path / "canary"
    path.write_bytes(canary(mark))
    code = "import pickle, sys; pickle.load(open(sys.argv[1], 'rb'))"
    subprocess.run([sys.executable, "-c", code, str(path)], check=True)
    assert mark.exists()


@pytest.mark.parametrize("canary", CANARIES)
@pytest.mark.parametrize("name", ["m.ckpt", "m.pt", "m.pth", "m.bin", "m.CKPT", "m.safetensors"])
def test_a_pickled_checkpoint_is_refused_by_name_and_by_content(
    canary: Canary, name: str, mark: Path, tmp_path: Path
) -> None:
    path = tmp_path / name
    path.write_bytes(canary(mark))
    with pytest.raises(BridgeError) as caught:
        load(ModelFile(path), "cpu")
    assert caught.value.code is Code.MODEL_UNSAFE
    assert str(path) in caught.value.message
    assert "safe_serialization" in caught.value.hint
    assert not mark.exists()


@pytest.mark.parametrize("canary", CANARIES)
@pytest.mark.parametrize(
    "part",
    [UNET, "vae/diffusion_pytorch_model.safetensors", "text_encoder/model.safetensors"],
)
def test_a_pickle_under_a_weights_name_is_refused(
    canary: Canary, part: str, own_sd15: Path, mark: Path
) -> None:
    (own_sd15 / part).write_bytes(canary(mark))
    with pytest.raises(BridgeError) as caught:
        load(ModelFolder(own_sd15), "cpu")
    assert caught.value.code is Code.MODEL_UNSAFE
    assert not mark.exists()


@pytest.mark.parametrize("canary", CANARIES)
def test_a_folder_of_pickles_is_refused(canary: Canary, own_sd15: Path, mark: Path) -> None:
    for path in list(own_sd15.glob("*/*.safetensors")):
        stem = "pytorch_model" if path.parent.name == "text_encoder" else path.stem
        path.with_name(f"{stem}.bin").write_bytes(canary(mark))
        path.unlink()
    with pytest.raises(BridgeError) as caught:
        load(ModelFolder(own_sd15), "cpu")
    assert caught.value.code is Code.MODEL_UNSAFE
    assert not mark.exists()


def test_pickles_beside_good_weights_are_left_alone(own_sd15: Path, mark: Path) -> None:
    for path in list(own_sd15.glob("*/*.safetensors")):
        path.with_suffix(".bin").write_bytes(newer(mark))
    (own_sd15 / "text_encoder" / "pytorch_model.bin").write_bytes(newer(mark))
    assert load(ModelFolder(own_sd15), "cpu").name == "own"
    assert not mark.exists()


@pytest.mark.parametrize(
    "shard",
    [
        "diffusion_pytorch_model-00001-of-00001.bin",
        "../../outside.safetensors",
        "/etc/outside.safetensors",
        "..\\outside.safetensors",
        "C:\\outside.safetensors",
    ],
)
def test_an_index_of_shards_leads_to_no_pickle_and_nowhere_else(
    shard: str, own_sd15: Path, mark: Path
) -> None:
    path = own_sd15 / UNET
    index = path.with_name(f"{path.name}.index.json")
    path.unlink()
    index.write_text(json.dumps({"metadata": {}, "weight_map": {"conv_in.weight": shard}}))
    if "/" not in shard and "\\" not in shard:
        (index.parent / shard).write_bytes(newer(mark))
    with pytest.raises(BridgeError) as caught:
        load(ModelFolder(own_sd15), "cpu")
    assert caught.value.code is Code.MODEL_UNSAFE
    assert not mark.exists()


def put_adapter(folder: Path, mark: Path) -> None:
    """transformers would load it along with the network, from a pickle if need be."""
    (folder / "adapter_config.json").write_text(json.dumps({"peft_type": "LORA"}))
    (folder / "adapter_model.bin").write_bytes(newer(mark))


def test_an_adapter_beside_the_text_encoder_is_refused(own_sd15: Path, mark: Path) -> None:
    put_adapter(own_sd15 / "text_encoder", mark)
    with pytest.raises(BridgeError, match="has an adapter"):
        load(ModelFolder(own_sd15), "cpu")
    assert not mark.exists()


def test_an_adapter_beside_a_network_of_its_own_is_refused(tmp_path: Path, mark: Path) -> None:
    segmenter, encoder = tmp_path / "segmenter", tmp_path / "encoder"
    make_tiny_segmenter(segmenter)
    make_image_encoder(encoder)
    model = tiny_model("sd15")
    make_adapter(tmp_path / "adapter.safetensors", model.unet)
    files, hashes = IpAdapterFiles(tmp_path / "adapter.safetensors", encoder), HashCache(tmp_path)
    for folder in (segmenter, encoder):
        put_adapter(folder, mark)
    with pytest.raises(BridgeError, match="has an adapter"):
        load_segmenter(ModelFolder(segmenter), torch.device("cpu"), hashes, lambda *_: None)
    with pytest.raises(BridgeError, match="has an adapter"):
        read_ip_adapter(files, model, hashes)
    assert not mark.exists()


@pytest.mark.parametrize(
    ("config", "key"),
    [
        ("text_encoder/config.json", "auto_map"),
        ("tokenizer/tokenizer_config.json", "auto_map"),
        ("unet/config.json", "auto_map"),
    ],
)
def test_code_that_comes_with_a_model_never_runs(
    config: str, key: str, own_sd15: Path, mark: Path
) -> None:
    path = own_sd15 / config
    code = f"open({str(mark)!r}, 'w')\nclass Own: pass\n"
    (path.parent / "own.py").write_text(code)
    mapping = {"AutoModel": "own.Own", "AutoTokenizer": ["own.Own", "own.Own"]}
    path.write_text(json.dumps({**json.loads(path.read_text()), key: mapping}))
    load(ModelFolder(own_sd15), "cpu")
    assert not mark.exists()


@pytest.mark.parametrize("config", ["config.json", "preprocessor_config.json"])
def test_code_that_comes_with_a_detector_never_runs(
    config: str, tmp_path: Path, mark: Path
) -> None:
    root = make_tiny_segmenter(tmp_path / "segmenter")
    (root / "own.py").write_text(f"open({str(mark)!r}, 'w')\nclass Own: pass\n")
    names = ("AutoConfig", "AutoImageProcessor", "AutoModelForSemanticSegmentation")
    settings = json.loads((root / config).read_text())
    mapped = {**settings, "auto_map": dict.fromkeys(names, "own.Own")}
    (root / config).write_text(json.dumps(mapped))
    load_segmenter(ModelFolder(root), torch.device("cpu"), HashCache(tmp_path), lambda *_: None)
    assert not mark.exists()


def test_the_source_names_no_unpickler() -> None:
    """No module of the bridge or the plugin imports pickle or its kin, or calls a loader that does."""
    root = Path(bridge.__file__).parent.parent
    kin = {"pickle", "cPickle", "_pickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}
    found = []
    for path in [*root.glob("bridge/**/*.py"), *root.glob("krita_plugin/**/*.py")]:
        for node in ast.walk(ast.parse(path.read_text())):
            names = set()
            if isinstance(node, ast.Import):
                names = {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                names = {(node.module or "").split(".")[0]}
            loads = (
                isinstance(node, ast.Attribute)
                and isinstance(node.value, ast.Name)
                and (node.value.id, node.attr) == ("torch", "load")
            )
            if names & kin or loads:
                found.append(f"{path}:{getattr(node, 'lineno', 0)}")
    assert found == []

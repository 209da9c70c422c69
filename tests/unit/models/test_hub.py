"""Fetching from a hub: what is fetched, what is not, and what the painter is told when it fails."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import huggingface_hub.constants
import pytest
import torch

from bridge.engine.reference import References
from bridge.errors import BridgeError, Code
from bridge.models import folder, hub
from bridge.models.brake import stop_if
from bridge.models.hashing import HashCache
from bridge.models.load import load
from bridge.presets import HubModel, IpAdapterOnHub, ModelFolder
from krita_plugin.krita_bridge.wire.reference import Reference
from tests.fake_models import preset
from tests.hub_stand_in import COMMIT, HubStandIn, serving

TINY = HubModel("tests/tiny")


@pytest.fixture
def stand_in(sd15: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[HubStandIn]:
    """A hub whose one model lies there in several forms, as real ones do; with a cache of its own."""
    root = Path(shutil.copytree(sd15, tmp_path / "repository"))
    for path in list(root.glob("*/*.safetensors")):
        shutil.copy(path, path.with_name(path.name.replace(".safetensors", ".fp16.safetensors")))
        path.with_suffix(".bin").write_bytes(b"\x80\x02.")
    (root / "v1.ckpt").write_bytes(b"\x80\x02.")
    (root / "v1.safetensors").write_bytes(b"the same once more")
    with serving(HubStandIn({TINY.repository: root})) as server:
        constants = huggingface_hub.constants
        url = server.url + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr(constants, "ENDPOINT", server.url)
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", url)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
        yield server


def silent(_share: float, _sentence: str) -> None:
    """No progress wanted."""


def test_the_fetched_model_is_the_folder_itself(stand_in: HubStandIn, sd15: Path) -> None:
    fetched, there = load(TINY, "cpu"), load(ModelFolder(sd15), "cpu")
    assert fetched.sha256 == there.sha256
    assert fetched.name == "tests/tiny"
    for name, weight in there.unet.state_dict().items():
        assert torch.equal(weight, fetched.unet.state_dict()[name])


def test_only_the_files_that_are_read_are_fetched_each_once(
    stand_in: HubStandIn, sd15: Path
) -> None:
    root = hub.fetch(TINY, silent)
    read = {path.relative_to(root).as_posix() for path in folder.inspect_folder(root).files}
    assert set(stand_in.fetched) == read | {"model_index.json"}
    assert len(stand_in.fetched) == len(set(stand_in.fetched))


def test_a_variant_is_fetched_instead_of_the_full_weights(stand_in: HubStandIn) -> None:
    hub.fetch(HubModel(TINY.repository, variant="fp16"), silent)
    weights = [name for name in stand_in.fetched if name.endswith(".safetensors")]
    assert len(weights) == 3
    assert all(name.endswith(".fp16.safetensors") for name in weights)


def test_progress_rises_to_the_end_and_names_the_model(stand_in: HubStandIn) -> None:
    reports: list[tuple[float, str]] = []
    hub.fetch(TINY, lambda share, text: reports.append((share, text)))
    shares = [share for share, _ in reports]
    assert shares == sorted(shares)
    assert shares[-1] == pytest.approx(1.0)
    assert all("tests/tiny" in text for _, text in reports)


def test_a_cached_model_needs_no_network(
    stand_in: HubStandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = hub.fetch(TINY, silent)
    stand_in.repositories.clear()
    monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", "http://127.0.0.1:9")
    assert hub.fetch(TINY, silent) == first
    assert first.name == COMMIT


def test_a_download_that_broke_off_is_an_error_and_is_completed_next_time(
    stand_in: HubStandIn,
) -> None:
    stand_in.break_after = 10_000
    with pytest.raises(BridgeError) as caught:
        hub.fetch(TINY, silent)
    assert caught.value.code is Code.MODEL_MISSING
    assert "tests/tiny" in caught.value.message
    stand_in.break_after = None
    assert folder.inspect_folder(hub.fetch(TINY, silent)).unet.class_name


@pytest.mark.parametrize("share", [0.0, 0.5])
def test_a_fetch_that_was_cancelled_ends_so_and_is_completed_next_time(
    stand_in: HubStandIn, share: float
) -> None:
    with pytest.raises(BridgeError) as caught:
        hub.fetch(TINY, lambda done, _: stop_if(lambda: done >= share))
    assert caught.value.code is Code.CANCELLED
    assert hub.find_cached(TINY) is None
    assert folder.inspect_folder(hub.fetch(TINY, silent)).unet.class_name


def test_an_unknown_repository_is_said_to_be_unknown(stand_in: HubStandIn) -> None:
    with pytest.raises(BridgeError, match="hub has no model tests/other") as caught:
        hub.fetch(HubModel("tests/other"), silent)
    assert caught.value.code is Code.MODEL_MISSING


def test_a_gated_repository_asks_for_its_licence(stand_in: HubStandIn) -> None:
    stand_in.gated.add(TINY.repository)
    with pytest.raises(BridgeError, match="agreed to its licence"):
        hub.fetch(TINY, silent)


def test_an_unknown_revision_is_named(stand_in: HubStandIn) -> None:
    with pytest.raises(BridgeError, match="no revision “v9”"):
        hub.fetch(HubModel(TINY.repository, revision="v9"), silent)


def test_a_hub_out_of_reach_is_one_sentence(
    stand_in: HubStandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(BridgeError, match="could not be fetched") as caught:
        hub.fetch(TINY, silent)
    assert caught.value.code is Code.MODEL_MISSING
    assert "Check the connection" in caught.value.hint


def test_a_full_disk_is_told_as_such(stand_in: HubStandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_args: object, **_kwargs: object) -> str:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(hub, "snapshot_download", full)
    with pytest.raises(BridgeError) as caught:
        hub.fetch(TINY, silent)
    assert caught.value.code is Code.DISK_FULL


def test_a_repository_with_pickles_only_is_refused_before_anything_is_fetched(
    stand_in: HubStandIn,
) -> None:
    for path in stand_in.repositories[TINY.repository].glob("unet/*.safetensors"):
        path.unlink()
    with pytest.raises(BridgeError) as caught:
        hub.fetch(TINY, silent)
    assert caught.value.code is Code.MODEL_UNSAFE
    assert stand_in.fetched == []


def test_a_repository_of_another_kind_is_refused_before_anything_is_fetched(
    stand_in: HubStandIn,
) -> None:
    shutil.rmtree(stand_in.repositories[TINY.repository] / "unet")
    with pytest.raises(BridgeError) as caught:
        hub.fetch(TINY, silent)
    assert caught.value.code is Code.BAD_INPUT
    assert stand_in.fetched == []


def test_shards_are_fetched_with_their_index() -> None:
    sizes = dict.fromkeys(
        [
            "unet/config.json",
            "unet/diffusion_pytorch_model.safetensors.index.json",
            "unet/diffusion_pytorch_model-00001-of-00002.safetensors",
            "unet/diffusion_pytorch_model-00002-of-00002.safetensors",
            "unet/diffusion_pytorch_model-00001-of-00002.bin",
            "vae/config.json",
            "vae/diffusion_pytorch_model.safetensors",
            "text_encoder/config.json",
            "text_encoder/model.safetensors",
        ],
        1,
    )
    chosen = hub.choose_files(sizes, TINY)
    assert sorted(set(sizes) - set(chosen)) == ["unet/diffusion_pytorch_model-00001-of-00002.bin"]


def test_the_usual_variables_say_where_the_hub_and_its_cache_are(
    stand_in: HubStandIn, tmp_path: Path
) -> None:
    code = (
        "from bridge.models import hub; from bridge.presets import HubModel; "
        "print(hub.fetch(HubModel('tests/tiny'), lambda share, text: None))"
    )
    places = {"HF_ENDPOINT": stand_in.url, "HF_HOME": str(tmp_path / "elsewhere")}
    run = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, **places},
        capture_output=True,
        text=True,
        check=True,
    )
    assert run.stdout.strip().startswith(str(tmp_path / "elsewhere"))
    offline = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, **places, "HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path / "empty")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "not in the cache and the hub is switched off" in offline.stderr


def test_a_network_that_has_a_repository_of_its_own_is_fetched_once(
    stand_in: HubStandIn, sd15: Path, tmp_path: Path
) -> None:
    from tests.tiny_models import make_tiny_controlnet

    root = make_tiny_controlnet(sd15, tmp_path / "controlnet")
    (root / "diffusion_pytorch_model.bin").write_bytes(b"\x80\x02.")
    stand_in.repositories["tests/control"] = root
    source = HubModel("tests/control", variant="fp16")
    fetched = hub.fetch_part(source, folder.CONTROLNET, silent)
    expected = ["config.json", "diffusion_pytorch_model.safetensors"]
    assert sorted(stand_in.fetched) == expected
    assert sorted(path.name for path in fetched.iterdir()) == expected
    assert hub.fetch_part(source, folder.CONTROLNET, silent) == fetched
    assert sorted(stand_in.fetched) == expected


@pytest.mark.parametrize("name", [folder.DEPTH, folder.SEGMENTER, folder.POSE, folder.PERSONS])
def test_what_looks_at_pictures_comes_with_its_preprocessor_once(
    name: str, stand_in: HubStandIn, tmp_path: Path
) -> None:
    from tests import tiny_detectors, tiny_models

    make = {
        folder.DEPTH: tiny_models.make_tiny_depth_estimator,
        folder.SEGMENTER: tiny_detectors.make_tiny_segmenter,
        folder.POSE: tiny_detectors.make_tiny_pose_estimator,
        folder.PERSONS: tiny_detectors.make_tiny_person_detector,
    }[name]
    root = stand_in.repositories["tests/part"] = make(tmp_path / "part")
    (root / "pytorch_model.bin").write_bytes(b"\x80\x02.")
    fetched = hub.fetch_part(HubModel("tests/part"), name, silent)
    expected = ["config.json", "model.safetensors", "preprocessor_config.json"]
    assert sorted(stand_in.fetched) == expected
    assert hub.fetch_part(HubModel("tests/part"), name, silent) == fetched
    assert sorted(stand_in.fetched) == expected


@pytest.fixture
def on_hub(stand_in: HubStandIn, sd15: Path, tmp_path: Path) -> IpAdapterOnHub:
    """An adapter among others in a repository, with its encoder as a pickle too, as published."""
    from tests.tiny_adapters import make_adapter, make_image_encoder

    root, unet = tmp_path / "adapters", load(ModelFolder(sd15), "cpu").unet
    make_adapter(root / "models" / "plain.safetensors", unet)
    make_adapter(root / "models" / "plus.safetensors", unet, "plus")
    encoder = make_image_encoder(root / "models" / "image_encoder")
    (encoder / "pytorch_model.bin").write_bytes(b"\x80\x02.")
    stand_in.repositories["tests/adapters"] = root
    return IpAdapterOnHub(
        "tests/adapters", "main", "models/plus.safetensors", "models/image_encoder"
    )


def test_an_ip_adapter_and_its_encoder_are_fetched_once(
    stand_in: HubStandIn, on_hub: IpAdapterOnHub, sd15: Path, tmp_path: Path
) -> None:
    reports: list[str] = []
    files = hub.find_ip_adapter(on_hub, lambda _, text: reports.append(text))
    expected = ["image_encoder/config.json", "image_encoder/model.safetensors", "plus.safetensors"]
    assert sorted(stand_in.fetched) == [f"models/{name}" for name in expected]
    assert all("tests/adapters" in text for text in reports) and reports
    stand_in.repositories.clear()
    assert hub.find_ip_adapter(on_hub, silent) == files
    assert hub.find_ip_adapter(files, silent) is files

    model = load(ModelFolder(sd15), "cpu")
    held = References(model, HashCache(tmp_path))
    said: list[str] = []
    held.prepare(
        [Reference()], preset(ip_adapter=on_hub), lambda _, sentence: said.append(sentence)
    )
    assert said == ["Loading the IP-Adapter plus."]


@pytest.mark.parametrize(
    ("changed", "code", "says"),
    [
        ({"file": "models/none.safetensors"}, Code.MODEL_MISSING, "has no file models/none"),
        ({"image_encoder": "models"}, Code.MODEL_MISSING, "has no file models/config.json"),
        ({"file": "models/image_encoder/pytorch_model.bin"}, Code.MODEL_UNSAFE, "was not opened"),
        ({"repository": "tests/other"}, Code.MODEL_MISSING, "hub has no model tests/other"),
    ],
)
def test_what_is_not_an_ip_adapter_there_is_not_fetched(
    changed: dict[str, str], code: Code, says: str, stand_in: HubStandIn, on_hub: IpAdapterOnHub
) -> None:
    with pytest.raises(BridgeError, match=says) as raised:
        hub.find_ip_adapter(replace(on_hub, **changed), silent)
    assert raised.value.code is code
    assert stand_in.fetched == []


def test_a_repository_without_such_a_network_is_refused(stand_in: HubStandIn) -> None:
    with pytest.raises(BridgeError) as raised:
        hub.fetch_part(TINY, folder.CONTROLNET, silent)
    assert raised.value.code is Code.BAD_INPUT
    assert stand_in.fetched == []

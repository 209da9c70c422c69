"""Fetching a model in diffusers layout from the hub: only the files that are read, safetensors and JSON.

What lies in the hub's cache already is used without asking the network; HF_HOME, HF_ENDPOINT, HF_TOKEN and
HF_HUB_OFFLINE mean what they mean everywhere.
"""

from __future__ import annotations

import errno
import io
import threading
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from huggingface_hub import HfApi, snapshot_download, try_to_load_from_cache
from huggingface_hub.errors import (
    GatedRepoError,
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from tqdm import tqdm

from bridge.errors import BridgeError, Code
from bridge.models import folder, weights
from bridge.presets import HubModel, IpAdapterFiles, IpAdapterSource, PartFolder

OnProgress = Callable[[float, str], None]


def fetch(source: HubModel, on_progress: OnProgress) -> Path:
    """The folder of the model, fetched when the cache does not hold all of it.

    Raises BridgeError: MODEL_MISSING when it is not there or cannot be reached, MODEL_UNSAFE when the
    repository has pickled weights only, DISK_FULL.
    """
    return find_cached(source) or _fetch(source, choose_files, on_progress)


def fetch_part(source: HubModel, name: str, on_progress: OnProgress) -> Path:
    """The folder of a network that has a repository of its own, as `folder.inspect_part` takes it."""
    cached = _find_cached(
        source, "config.json", lambda root: folder.inspect_part(root, name, source.variant)
    )
    choose = partial(_choose_part, name)
    return cached or _fetch(source, choose, on_progress)


def find_part(source: PartFolder, name: str, on_progress: OnProgress) -> Path:
    """The folder of such a network, fetched where it is on the hub. Raises BridgeError as `fetch`."""
    return fetch_part(source, name, on_progress) if isinstance(source, HubModel) else source.path


def find_ip_adapter(source: IpAdapterSource, on_progress: OnProgress) -> IpAdapterFiles:
    """An IP-Adapter's files, fetched where they are on the hub and the cache does not hold them all. Raises BridgeError
    as `fetch`."""
    if isinstance(source, IpAdapterFiles):
        return source
    encoder = source.image_encoder
    wanted = [source.file, f"{encoder}/config.json", f"{encoder}/model{weights.SUFFIX}"]

    def choose(sizes: Mapping[str, int], repository: HubModel) -> list[str]:
        if not source.file.endswith(weights.SUFFIX):
            raise weights.unsafe(Path(source.repository) / source.file)
        absent = [name for name in wanted if name not in sizes]
        if absent:
            raise BridgeError(
                Code.MODEL_MISSING,
                f"The repository {repository.repository} of the hub has no file {absent[0]}.",
                "Correct “file” or “image_encoder” under [ip_adapter] in the preset.",
            )
        return wanted

    def inspect(root: Path) -> None:
        for name in wanted:
            if not (root / name).is_file():
                raise weights.missing(root / name)

    repository = HubModel(source.repository, source.revision)
    cached = _find_cached(repository, source.file, inspect)
    root = cached or _fetch(repository, choose, on_progress)
    return IpAdapterFiles(root / source.file, root / encoder)


def _fetch(
    source: HubModel,
    choose: Callable[[Mapping[str, int], HubModel], list[str]],
    on_progress: OnProgress,
) -> Path:
    try:
        sizes = _list_files(source)
        wanted = choose(sizes, source)
        total = sum(sizes[name] for name in wanted)
        on_progress(0.0, f"Fetching {source.label} ({total / 1e9:.1f} GB).")
        path = snapshot_download(
            source.repository,
            revision=source.revision,
            allow_patterns=wanted,
            tqdm_class=_progress_class(source.label, total, on_progress),
        )
    except BridgeError:
        raise
    except Exception as error:
        raise _sentence(source, error) from error
    return Path(path)


def find_cached(source: HubModel) -> Path | None:
    """The model's folder in the hub's cache when it is there as a whole, otherwise None."""
    return _find_cached(
        source,
        f"{folder.UNET}/config.json",
        lambda root: folder.inspect_folder(root, source.variant),
    )


def _find_cached(source: HubModel, marker: str, inspect: Callable[[Path], object]) -> Path | None:
    found = try_to_load_from_cache(source.repository, marker, revision=source.revision)
    if not isinstance(found, str):
        return None
    root = Path(found).parents[marker.count("/")]
    try:
        inspect(root)
    except BridgeError as error:
        if error.code is Code.MODEL_MISSING:
            return None
        raise
    return root


def choose_files(sizes: Mapping[str, int], source: HubModel) -> list[str]:
    """Of a repository's files (path: bytes) those that make up the model, each once, in order.

    A repository holds the same weights several times: in half precision, as pickles, for other
    libraries. Raises BridgeError when one of the parts is not there as safetensors.
    """
    wanted = ["model_index.json", folder.SCHEDULER_CONFIG]
    parts = [part for part in folder.MODEL_PARTS if f"{part}/config.json" in sizes]
    if not {folder.UNET, folder.VAE, folder.TEXT} <= set(parts):
        raise folder.unknown_kind(source.label, "it is not laid out as diffusers does for these")
    for part in parts:
        present = {Path(name).name for name in sizes if name.startswith(f"{part}/")}
        names = ["config.json", *_weights(part, present, source, part)]
        wanted += [f"{part}/{name}" for name in names]
    if folder.DEPTH in parts:
        wanted.append(f"{folder.FEATURE_EXTRACTOR}/{folder.PREPROCESSOR}")
    for tokenizer in ("tokenizer", "tokenizer_2"):
        wanted += [f"{tokenizer}/{name}" for name in folder.TOKENIZER_FILES]
    return [name for name in wanted if name in sizes]


def _choose_part(name: str, sizes: Mapping[str, int], source: HubModel) -> list[str]:
    """As `choose_files`, of a repository that holds one network."""
    present = {path for path in sizes if "/" not in path}
    if "config.json" not in present:
        raise folder.unknown_kind(source.label, "it has no config.json")
    wanted = ["config.json", *_weights(name, present, source, "")]
    return [*wanted, *(path for path in (folder.PREPROCESSOR,) if path in present)]


def _weights(name: str, present: set[str], source: HubModel, place: str) -> list[str]:
    """Of the names in the folder `place` of a repository those that hold the weights of a component."""
    found = folder.weight_names(name, present, source.variant)
    if not found:
        raise weights.unsafe(Path(source.label) / place)
    stem = found[0].partition(weights.SUFFIX)[0]
    shards = [
        each
        for each in sorted(present)
        if found[0].endswith(".json") and each.startswith(f"{stem}-") and "-of-" in each
    ]
    return [*found, *(each for each in shards if each.endswith(weights.SUFFIX))]


def _list_files(source: HubModel) -> dict[str, int]:
    info = HfApi().model_info(source.repository, revision=source.revision, files_metadata=True)
    return {file.rfilename: file.size or 0 for file in info.siblings or []}


def _progress_class(label: str, total: int, on_progress: OnProgress) -> type[tqdm[Any]]:
    """A progress bar for huggingface_hub that shows nothing and reports the bytes written."""
    lock = threading.Lock()

    class Progress(tqdm):  # type: ignore[misc]
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **{**kwargs, "file": io.StringIO()})
            description = str(kwargs.get("desc", ""))
            self._counts = kwargs.get("unit") == "B" and description.startswith("Reconstruct")
            self._bytes = 0.0

        def update(self, n: float | None = 1) -> bool | None:
            shown = super().update(n)
            if self._counts:
                with lock:
                    self._bytes += n or 0
                    share = min(1.0, self._bytes / max(1, total))
                    on_progress(share, f"Fetching {label}: {share:.0%} of {total / 1e9:.1f} GB.")
            return bool(shown)

    return Progress


def _sentence(source: HubModel, error: Exception) -> BridgeError:
    """What went wrong between here and the hub, for the painter."""
    name = source.repository
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return BridgeError(
            Code.DISK_FULL,
            f"The disk has no room for the model {name}.",
            "Free some space, or let HF_HOME name a folder on another disk.",
        )
    if isinstance(error, GatedRepoError):
        return BridgeError(
            Code.MODEL_MISSING,
            f"The model {name} is only for those who agreed to its licence.",
            "Agree to it on the model's page, then log in with “hf auth login”.",
        )
    if isinstance(error, RevisionNotFoundError):
        return BridgeError(
            Code.MODEL_MISSING,
            f"The model {name} has no revision “{source.revision}”.",
            "Correct “revision” in the preset, or leave it out.",
        )
    if isinstance(error, RepositoryNotFoundError):
        return BridgeError(
            Code.MODEL_MISSING,
            f"The hub has no model {name}, or not for you.",
            "Correct “repo” in the preset, or log in with “hf auth login”.",
        )
    if isinstance(error, OfflineModeIsEnabled | LocalEntryNotFoundError):
        reason = "it is not in the cache and the hub is switched off or out of reach"
    else:
        reason = "the hub cannot be reached, or broke off"
    return BridgeError(
        Code.MODEL_MISSING,
        f"The model {name} could not be fetched: {reason}.",
        "Check the connection and try again (what has come so far is kept), or choose another preset.",
    )

"""Presets: a name for a model and how to sample from it, one TOML file each.

The packaged ones lie in `presets/` of the repository; the painter's own in the folder `presets` of the
bridge's home, where a file of the same name takes the packaged one's place.
Imports no torch, numpy or diffusers: the server process lists presets, only the worker loads models.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from bridge.errors import BridgeError, Code
from bridge.live.sampling import LiveSampling
from bridge.toml_table import Table
from krita_plugin.krita_bridge.wire import limits
from krita_plugin.krita_bridge.wire.control import ControlKind
from krita_plugin.krita_bridge.wire.messages import PLACE, PresetInfo

DEFAULT_PRESET = "embedded"

DETAIL = 0.4
"""Strength of the second pass unless a preset says otherwise: what is where stays, how it looks close up is new."""

LIVE = LiveSampling(steps=6)
"""How live pictures are sampled unless a preset says otherwise: with fewer steps most models leave them unfinished."""

_MAX_FILE_BYTES = 64 * 1024
MIN_NATIVE, MAX_NATIVE = 64, 4096
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
_REPOSITORY = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}", re.ASCII)
_REVISION = re.compile(r"[A-Za-z0-9][\w./-]{0,199}", re.ASCII)
_INSIDE = re.compile(r"[A-Za-z0-9_][\w.-]*(/[A-Za-z0-9_][\w.-]*){0,9}", re.ASCII)
"""A path in a repository, which cannot lead out of it."""

_VARIANT = re.compile(r"[A-Za-z0-9_]{1,32}", re.ASCII)
_PREDICTION = re.compile("epsilon|v_prediction")


@dataclass(frozen=True, kw_only=True)
class _Source:
    """`vae`: a .safetensors file whose VAE takes the place of the model's own. `tiny_vae`: an AutoencoderTiny for the same
    latents, for previews and live painting; None: the model's own, if it has one."""

    vae: Path | None = None
    tiny_vae: PartFolder | None = None


@dataclass(frozen=True)
class EmbeddedModel(_Source):
    """The small model that comes with the bridge."""

    @property
    def label(self) -> str:
        return "embedded model"


@dataclass(frozen=True)
class ModelFolder(_Source):
    """A folder in diffusers layout. `variant` picks files such as `model.fp16.safetensors`."""

    path: Path
    variant: str | None = None

    @property
    def label(self) -> str:
        return self.path.name


@dataclass(frozen=True)
class ModelFile(_Source):
    """A checkpoint in one .safetensors file, in the original layout.

    `config`: a folder in diffusers layout whose configurations (and tokenizers, where it has them)
    describe the model; None for a plain SD 1.5, SD 2 or SDXL one, of which the bridge has them.
    `prediction`: what the UNet predicts, "epsilon" or "v_prediction"; None: what the file says, or is found to predict.
    """

    path: Path
    config: Path | None = None
    prediction: str | None = None

    @property
    def label(self) -> str:
        return self.path.stem


@dataclass(frozen=True)
class HubModel(_Source):
    """A repository of the hub in diffusers layout; fetched once, then read from the hub's cache."""

    repository: str
    revision: str = "main"
    variant: str | None = None

    @property
    def label(self) -> str:
        return self.repository


@dataclass(frozen=True)
class IpAdapterFiles:
    """What reference images need: an adapter's .safetensors file, and the folder of its image encoder in the layout of
    transformers (`config.json`, `model.safetensors`)."""

    file: Path
    image_encoder: Path


@dataclass(frozen=True)
class IpAdapterOnHub:
    """The same in a repository of the hub; `file` and `image_encoder` are paths in it."""

    repository: str
    revision: str
    file: str
    image_encoder: str


IpAdapterSource = IpAdapterFiles | IpAdapterOnHub
ModelSource = EmbeddedModel | ModelFolder | ModelFile | HubModel
PartFolder = ModelFolder | HubModel
PartSource = ModelFolder | ModelFile | HubModel
"""Where a network beside the model lies: for these `vae` and `tiny_vae` are always None."""


@dataclass(frozen=True)
class PoseFolders:
    """What poses are taken from pictures with: `person_detector` finds people, `estimator` the joints of each."""

    estimator: PartFolder
    person_detector: PartFolder


@dataclass(frozen=True)
class Preset:
    """`native`: the side the model was trained at, px. `steps`, `guidance`, `scheduler` and
    `negative_prompt` are used where a request leaves them open. `template` goes round every prompt, which
    stands in it as {prompt}. `clip_skip` counts as A1111 does, 1 is none; `guidance_rescale` 0 to 1. `detail`: strength, 0 to 1, of
    a second pass over what is larger than the model likes; 0 is none. `controls`: where the ControlNets lie;
    `depth_estimator`: what works depth out from pictures. For both, None or left out: what the model itself brings.
    `segmenter` and `pose`: what works segments and poses out.
    `live`: how it samples while live painting is on."""

    name: str
    label: str
    model: ModelSource
    native: int
    steps: int
    guidance: float
    scheduler: str
    negative_prompt: str = ""
    template: str = PLACE
    clip_skip: int = 1
    guidance_rescale: float = 0.0
    detail: float = 0.0
    live: LiveSampling = LIVE
    controls: Mapping[ControlKind, PartSource] = field(default_factory=dict)
    depth_estimator: PartFolder | None = None
    segmenter: PartFolder | None = None
    pose: PoseFolders | None = None
    ip_adapter: IpAdapterSource | None = None

    @property
    def info(self) -> PresetInfo:
        """As the docker shows it."""
        return PresetInfo(
            name=self.name,
            label=self.label,
            model=self.model.label,
            native=self.native,
            steps=self.steps,
            guidance=self.guidance,
            scheduler=self.scheduler,
            clip_skip=self.clip_skip,
            guidance_rescale=self.guidance_rescale,
            detail=self.detail,
            template=self.template,
        )


def packaged_folder() -> Path:
    """Where the presets that come with the bridge lie: inside the wheel, or in the repository."""
    here = Path(__file__).resolve().parent
    inside = here / "presets"
    return inside if inside.is_dir() else here.parent / "presets"


def load_presets(
    extra_dir: Path | None = None,
    *,
    on_bad: Callable[[BridgeError], None] | None = None,
) -> dict[str, Preset]:
    """All presets by name, the default one first, then by label.

    A file that is no preset raises BridgeError; with `on_bad`, a bad file of `extra_dir` is
    reported to it instead and left out.
    """
    found = {preset.name: preset for preset in map(read_preset, _files(packaged_folder()))}
    for path in _files(extra_dir) if extra_dir is not None else []:
        try:
            preset = read_preset(path)
        except BridgeError as error:
            if on_bad is None:
                raise
            on_bad(error)
        else:
            found[preset.name] = preset
    ordered = sorted(found.values(), key=lambda p: (p.name != DEFAULT_PRESET, p.label.casefold()))
    return {preset.name: preset for preset in ordered}


def read_preset(path: Path) -> Preset:
    """One preset; its name is the file's. Raises BridgeError naming the file and the key at fault."""
    if _NAME.fullmatch(path.stem) is None:
        raise BridgeError(
            Code.BAD_INPUT,
            f"The preset file {path} has a name that cannot be used.",
            "Use small letters, digits, - and _ only, 64 at most.",
        )
    top = Table(path, "", _read_toml(path))
    sampling = top.table("sampling")
    preset = Preset(
        name=path.stem,
        label=top.text("label", most=limits.MAX_NAME_CHARACTERS),
        model=replace(
            _read_source(top.table("model"), path.parent),
            tiny_vae=_read_part_folder(top, "tiny_vae", path.parent),
        ),
        native=top.whole("native", MIN_NATIVE, MAX_NATIVE),
        steps=sampling.whole("steps", 1, limits.MAX_STEPS),
        guidance=sampling.number("guidance", 0.0, limits.MAX_GUIDANCE),
        scheduler=sampling.text("scheduler", most=limits.MAX_NAME_CHARACTERS),
        negative_prompt=sampling.text(
            "negative_prompt", default="", most=limits.MAX_PROMPT_CHARACTERS
        ),
        template=_read_template(sampling) or PLACE,
        clip_skip=sampling.whole("clip_skip", 1, limits.MAX_CLIP_SKIP, default=1),
        guidance_rescale=sampling.number("guidance_rescale", 0.0, 1.0, default=0.0),
        detail=sampling.number("detail", 0.0, 1.0, default=DETAIL),
        controls=_read_controls(top, path.parent),
        depth_estimator=_read_part_folder(top, "depth_estimator", path.parent),
        segmenter=_read_part_folder(top, "segmenter", path.parent),
        pose=_read_pose(top, path.parent),
        live=_read_live(top),
        ip_adapter=_read_ip_adapter(top, path.parent),
    )
    sampling.refuse_unknown_keys()
    top.refuse_unknown_keys()
    return preset


def _files(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.toml")) if folder.is_dir() else []


def _read_toml(path: Path) -> dict[str, object]:
    try:
        with path.open("rb") as file:
            data = file.read(_MAX_FILE_BYTES + 1)
        if len(data) > _MAX_FILE_BYTES:
            raise ValueError(f"it is larger than {_MAX_FILE_BYTES // 1024} KiB")
        return tomllib.loads(data.decode("utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise BridgeError(
            Code.BAD_INPUT,
            f"The preset file {path} cannot be read: {error}.",
            "Mend or remove the file.",
        ) from error


def _read_live(top: Table) -> LiveSampling:
    if "live" not in top:
        return LIVE
    table = top.table("live")
    sampling = LiveSampling(
        table.whole("steps", 1, limits.MAX_STEPS, default=LIVE.steps),
        table.number("guidance", 0.0, limits.MAX_GUIDANCE) if "guidance" in table else None,
        table.text("scheduler", most=limits.MAX_NAME_CHARACTERS) if "scheduler" in table else None,
        _read_template(table),
    )
    table.refuse_unknown_keys()
    return sampling


def _read_template(table: Table) -> str | None:
    if "template" not in table:
        return None
    template = table.text("template", most=limits.MAX_PROMPT_CHARACTERS)
    if PLACE not in template:
        raise table.error("template", f"must say where the prompt goes: {PLACE}")
    return template


def _read_ip_adapter(top: Table, base: Path) -> IpAdapterSource | None:
    if "ip_adapter" not in top:
        return None
    table = top.table("ip_adapter")
    source: IpAdapterSource
    if "repo" in table:
        inside = (table.matching(key, _INSIDE) for key in ("file", "image_encoder"))
        source = IpAdapterOnHub(*_read_repository(table), *inside)
    else:
        source = IpAdapterFiles(table.path("file", base), table.path("image_encoder", base))
    table.refuse_unknown_keys()
    return source


def _read_controls(top: Table, base: Path) -> dict[ControlKind, PartSource]:
    """The tables `[control.depth]`, `[control.canny]` ..., each of which names a ControlNet."""
    if "control" not in top:
        return {}
    table = top.table("control")
    found = {
        kind: _read_part(table.table(kind.value), base, ("folder", "file", "repo"))
        for kind in ControlKind
        if kind.value in table
    }
    table.refuse_unknown_keys()
    return found


def _read_pose(top: Table, base: Path) -> PoseFolders | None:
    names = ("pose_estimator", "person_detector")
    estimator, person_detector = (_read_part_folder(top, name, base) for name in names)
    if estimator is None and person_detector is None:
        return None
    if estimator is None:
        raise top.error(names[0], f"is missing beside [{names[1]}]")
    if person_detector is None:
        raise top.error(names[1], f"is missing beside [{names[0]}]")
    return PoseFolders(estimator, person_detector)


def _read_part_folder(top: Table, name: str, base: Path) -> PartFolder | None:
    if name not in top:
        return None
    source = _read_part(top.table(name), base, ("folder", "repo"))
    assert not isinstance(source, ModelFile)  # no file was offered
    return source


def _read_part(table: Table, base: Path, kinds: Sequence[str]) -> PartSource:
    """A table that names one network beside the model, in one of these ways."""
    given = [key for key in kinds if key in table]
    if len(given) != 1:
        raise table.error("", f"must name exactly one of {', '.join(kinds)}")
    source: PartSource
    if given == ["file"]:
        source = ModelFile(table.path("file", base))
    elif given == ["folder"]:
        variant = table.optional_matching("variant", _VARIANT)
        source = ModelFolder(table.path("folder", base), variant)
    else:
        source = _read_hub(table)
    table.refuse_unknown_keys()
    return source


def _read_hub(table: Table, vae: Path | None = None) -> HubModel:
    repository, revision = _read_repository(table)
    variant = table.optional_matching("variant", _VARIANT)
    return HubModel(repository, revision, variant, vae=vae)


def _read_repository(table: Table) -> tuple[str, str]:
    """Its name and the revision."""
    repository = table.matching("repo", _REPOSITORY)
    if ".." in repository:
        raise table.error("repo", "is not of the form owner/name")
    return repository, table.matching("revision", _REVISION, "main")


def _read_source(table: Table, base: Path) -> ModelSource:
    """The `[model]` table: exactly one of embedded, folder, file, repo, and what goes with it."""
    kinds = [key for key in ("embedded", "folder", "file", "repo") if key in table]
    if len(kinds) != 1:
        raise table.error("", "must name exactly one of embedded, folder, file or repo")
    source: ModelSource
    vae = table.path("vae", base) if "vae" in table else None
    if kinds == ["embedded"]:
        if table.flag("embedded") is not True:
            raise table.error("embedded", "must be true, or left out")
        source = EmbeddedModel(vae=vae)
    elif kinds == ["folder"]:
        source = ModelFolder(
            path=table.path("folder", base),
            variant=table.optional_matching("variant", _VARIANT),
            vae=vae,
        )
    elif kinds == ["file"]:
        source = ModelFile(
            path=table.path("file", base),
            config=table.path("config", base) if "config" in table else None,
            prediction=table.optional_matching("prediction", _PREDICTION),
            vae=vae,
        )
    else:
        source = _read_hub(table, vae)
    table.refuse_unknown_keys()
    return source

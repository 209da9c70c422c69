"""Every message of the protocol as a frozen dataclass, and its strict reading from JSON.

A message without pixels is a text frame `{"type": "...", ...}`; one with pixels is the metadata of a
binary frame (`frames.py`). Client to bridge: Hello, Submit, Cancel, Acknowledge, Resume, LiveUpdate, LiveStop. Bridge to
client: Welcome, EngineStatus, Accepted, Progress, Preview, Result, Ended, Unknown, Fault, LivePicture, LiveResync.

What each message means and in which order they come: docs/protocol.md.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, fields, is_dataclass
from enum import Enum
from functools import lru_cache
from typing import Any, Dict, Optional, Tuple, Type, TypeVar, Union, get_type_hints

from . import limits, tiles
from .checks import MessageError as MessageError
from .checks import check_name, check_range, check_text
from .control import Control, ControlKind, UsedControl, control_tensor
from .geometry import Bounds, Extent
from .modes import Blend, Mode
from .reference import Reference, ReferenceMode, UsedReference

IMAGE = "image"
MASK = "mask"

PLACE = "{prompt}"
"""Where in a template the painter's own words go."""


class JobState(Enum):
    """Where a job is. The allowed changes are the table in bridge/jobs/states.py."""

    QUEUED = "queued"
    RUNNING = "running"
    FINISHED = "finished"
    FAILED = "failed"
    CANCELLED = "cancelled"


class EngineState(Enum):
    """What the bridge's worker is doing."""

    STARTING = "starting"
    LOADING = "loading"
    READY = "ready"
    BUSY = "busy"
    FAILED = "failed"


@dataclass(frozen=True)
class UpscalePart:
    """A part of an upscaling that is too large for one job. `whole`: the area of the canvas that is upscaled in all its parts,
    px; tiles are laid out for all of it, so that parts side by side are one picture. `target`: what this job makes, in px of
    the larger canvas."""

    whole: Bounds
    target: Bounds


@dataclass(frozen=True)
class PaintRequest:
    """What the painter asked for. None means: as the preset says.

    `strength` 0 to 1: 0 changes nothing, 1 ignores what is there. `seed` 0 to 2**63 - 1.
    `scheduler` is a name of `schedulers.py`. Without a `mode`, strength 1 fills and less refines.
    `clip_skip` counts as A1111 does: 1 is none. `guidance_rescale` 0 to 1. What `prompt` and `negative_prompt` may
    say: docs/prompts.md.
    `match_colors`: shift what was painted by what the model did to the colours around the selection.
    `upscale`: the result is so many times as large, 1 to 8; `strength` then says how much the model may refine it.
    `part`: only a part of such a picture; the bounds that are submitted hold what the part's tiles are made from.
    `controls` are added up where there are several, and so are `references`.
    `scale`: the model works on a picture so many times as wide and high as it would choose, 0.25 to 1.
    `detail`: strength, 0 to 1, of the second pass over what is larger than the model likes; 0 is none.
    `template` stands round the prompt, which goes where it says PLACE.
    `draft`: pixels are read and written by the model's tiny VAE, where it has one: many times as fast, and coarser.
    `vae`: the name of a file in the bridge's folder of VAEs, in place of the preset's; a tiny VAE comes before it.
    """

    prompt: str
    negative_prompt: str = ""
    preset: str = ""
    strength: float = 1.0
    seed: int = 0
    steps: Optional[int] = None
    guidance: Optional[float] = None
    scheduler: Optional[str] = None
    mode: Optional[Mode] = None
    clip_skip: Optional[int] = None
    guidance_rescale: Optional[float] = None
    blend: Blend = Blend.SOFT
    match_colors: bool = True
    upscale: float = 1.0
    controls: Tuple[Control, ...] = ()
    references: Tuple[Reference, ...] = ()
    scale: float = 1.0
    detail: Optional[float] = None
    template: Optional[str] = None
    draft: bool = False
    vae: Optional[str] = None
    part: Optional[UpscalePart] = None

    def __post_init__(self) -> None:
        check_text("prompt", self.prompt, limits.MAX_PROMPT_CHARACTERS)
        check_text("negative prompt", self.negative_prompt, limits.MAX_PROMPT_CHARACTERS)
        check_text("preset", self.preset, limits.MAX_NAME_CHARACTERS)
        check_text("scheduler", self.scheduler or "", limits.MAX_NAME_CHARACTERS)
        check_text("VAE", self.vae or "", limits.MAX_NAME_CHARACTERS)
        check_range("strength", self.strength, 0.0, 1.0)
        check_range("seed", self.seed, 0, limits.MAX_SEED)
        if self.steps is not None:
            check_range("steps", self.steps, 1, limits.MAX_STEPS)
        if self.guidance is not None:
            check_range("guidance", self.guidance, 0.0, limits.MAX_GUIDANCE)
        if self.clip_skip is not None:
            check_range("clip skip", self.clip_skip, 1, limits.MAX_CLIP_SKIP)
        if self.guidance_rescale is not None:
            check_range("guidance rescale", self.guidance_rescale, 0.0, 1.0)
        check_range("upscale", self.upscale, 1.0, limits.MAX_UPSCALE)
        check_range("scale", self.scale, limits.MIN_SCALE, 1.0)
        if self.scale < 1 < self.upscale:
            raise MessageError("A job cannot both upscale and paint smaller: choose one.")
        if self.part is not None:
            _check_request_of_part(self)
        if self.detail is not None:
            check_range("detail", self.detail, 0.0, 1.0)
        if self.template is not None:
            check_text("template", self.template, limits.MAX_PROMPT_CHARACTERS)
            if PLACE not in self.template:
                raise MessageError(f"The template must say where the prompt goes: {PLACE}.")
        if len(self.controls) > limits.MAX_CONTROLS:
            raise MessageError(f"There are more than {limits.MAX_CONTROLS} controls: use fewer.")
        if len(self.references) > limits.MAX_REFERENCES:
            raise MessageError(
                f"There are more than {limits.MAX_REFERENCES} references: use fewer."
            )


def _check_request_of_part(request: PaintRequest) -> None:
    if request.upscale == 1:
        raise MessageError("Only what is upscaled is made in parts.")
    for control in request.controls:
        if not control.suits_parts:
            raise MessageError(
                f"Each part of so large a picture would have another {control.kind.value} map: "
                "give the whole map as it is, or upscale by less."
            )


class WeightsKind(Enum):
    """What a file of weights beside the model is."""

    LORA = "lora"
    HYPERNETWORK = "hypernetwork"
    EMBEDDING = "embedding"
    VAE = "vae"
    IP_ADAPTER = "ip_adapter"
    IMAGE_ENCODER = "image_encoder"


@dataclass(frozen=True)
class UsedWeights:
    """A file of weights that a result was made with, beside the model. `strength` counts for LoRAs and hypernetworks."""

    kind: WeightsKind
    name: str
    sha256: str
    strength: float = 1.0


@dataclass(frozen=True)
class ResultFacts:
    """Where a result comes from: enough to make it again.

    `prompt` and `negative_prompt` are as they were typed, `full_prompt` and `full_negative_prompt` as they were
    read: within the preset's template, alternatives chosen, comments gone. `weights` are the files beside the
    model. `template` is the one that stood round the prompt; empty where it is not known. `image_sha256` and
    `mask_sha256` are those of the tensors that were painted from, in the order of bytes R G B A, empty when there was
    none. `software`: the libraries and the device.

    `steps_run` is how many of `steps` were run at this strength; `width` and `height` are the size
    at which the model painted, px; `seconds` is the worker's time for the job. `vae`: the name of the VAE that was asked for,
    empty for the preset's.
    """

    prompt: str
    negative_prompt: str
    preset: str
    seed: int
    strength: float
    steps: int
    steps_run: int
    guidance: float
    scheduler: str
    model: str
    model_sha256: str
    width: int
    height: int
    seconds: float
    version: str
    mode: Mode = Mode.FILL
    full_prompt: str = ""
    full_negative_prompt: str = ""
    clip_skip: int = 1
    guidance_rescale: float = 0.0
    weights: Tuple[UsedWeights, ...] = ()
    image_sha256: str = ""
    mask_sha256: str = ""
    software: str = ""
    blend: Blend = Blend.SOFT
    match_colors: bool = True
    upscale: float = 1.0
    controls: Tuple[UsedControl, ...] = ()
    references: Tuple[UsedReference, ...] = ()
    scale: float = 1.0
    detail: float = 0.0
    draft: bool = False
    vae: str = ""
    template: str = ""


@dataclass(frozen=True)
class PresetInfo:
    """A preset as the docker shows it. `native` is the model's own side, px (for `context_bounds`).

    `controls`: the kinds that it has a ControlNet for, or a depth channel. `references`: what can be taken from a
    reference; empty where there is no IP-Adapter. Of a model that is still on the hub only what its preset names is known.
    `vaes`: the names of the VAEs that fit the model. `depth_built_in`: the UNet has a channel for depth; the control that fills it
    has neither strength nor range. `map_only`: the kinds of control whose map it cannot work out from a picture.
    `tags`: what the model brings that prompts can name beside words, as it is written there. `template`: what stands round the
    prompt.
    """

    name: str
    label: str
    model: str
    native: int
    steps: int
    guidance: float
    scheduler: str
    controls: Tuple[ControlKind, ...] = ()
    references: Tuple[ReferenceMode, ...] = ()
    clip_skip: int = 1
    guidance_rescale: float = 0.0
    vaes: Tuple[str, ...] = ()
    depth_built_in: bool = False
    map_only: Tuple[ControlKind, ...] = ()
    detail: float = 0.0
    tags: Tuple[str, ...] = ()
    template: str = PLACE


# ---- client to bridge


@dataclass(frozen=True)
class Hello:
    """The first message. `client_id` names the client across its runs: results are kept for it."""

    protocol: int
    client: str
    client_id: str

    def __post_init__(self) -> None:
        check_text("client", self.client, limits.MAX_NAME_CHARACTERS)
        check_name("client_id", self.client_id)


@dataclass(frozen=True)
class Submit:
    """A job. Tensors: `image` H x W x 4 and `mask` H x W, both of the size of `bounds`. Grey in a mask is less strength.
    A control that does not look at `image` brings H x W x 4 of the same size, named by `control_tensor`; a
    reference H x W x 4 of a size of its own, named by `reference_tensor`.

    `bounds` is the captured part of the canvas. Without `image` the job is text-to-image of the size of
    `bounds`; without `mask` all of `bounds` is painted. `document` is the client's own note about where the
    result belongs; the bridge hands it back unread. Submitting the same `job` twice is harmless.
    """

    job: str
    request: PaintRequest
    canvas: Extent
    bounds: Bounds
    document: str = ""
    previews: bool = True

    def __post_init__(self) -> None:
        check_name("job", self.job)
        check_text("document", self.document, limits.MAX_DOCUMENT_CHARACTERS)
        _check_sides(self.canvas, self.bounds)
        if self.bounds.width * self.bounds.height > limits.MAX_PIXELS:
            raise MessageError(
                f"The area of {self.bounds.width} x {self.bounds.height} px is too large: "
                "select a smaller part."
            )
        larger = self.bounds.extent.scaled(self.request.upscale)
        if self.request.part is not None:
            _check_part(self.request.part, self.canvas, self.bounds, self.request.upscale)
            larger = self.request.part.target.extent
        if (
            max(larger.width, larger.height) > limits.MAX_SIDE
            or larger.width * larger.height > limits.MAX_PIXELS
        ):
            raise MessageError(
                f"Upscaled, the area would be {larger.width} x {larger.height} px, which is too large: "
                "select a smaller part, or upscale by less."
            )
        controls = self.request.controls
        most = max(sum(c.brings_picture for c in controls), sum(c.keep for c in controls))
        if self.bounds.width * self.bounds.height * (5 + 4 * most) > limits.MAX_PIXELS * 5:
            raise MessageError(
                f"The area is too large for {most} control pictures: select a smaller part."
            )
        if not Bounds.of_canvas(self.canvas).contains(self.bounds):
            raise MessageError("The area does not lie on the canvas.")


@dataclass(frozen=True)
class Cancel:
    """Stop the job within one step. Answered by Ended, or by Result when it was done already."""

    job: str

    def __post_init__(self) -> None:
        check_name("job", self.job)


@dataclass(frozen=True)
class Acknowledge:
    """The result is safe with the client; the bridge may forget it."""

    job: str

    def __post_init__(self) -> None:
        check_name("job", self.job)


@dataclass(frozen=True)
class Resume:
    """Where are these jobs? Each is answered: Accepted, Result, Ended or Unknown."""

    jobs: Tuple[str, ...]

    def __post_init__(self) -> None:
        for job in self.jobs:
            check_name("job", job)


@dataclass(frozen=True)
class LiveUpdate:
    """How the canvas and the request stand now, for live painting: what has changed since revision `base`.

    `live` names one time that live painting is on. `base` 0: nothing is known of this area, all its tiles come along.
    `image_tiles` and `mask_tiles` number the tiles (`tiles.py`) of `bounds` that changed, in rising order; their bytes
    are the tensors `image` and `mask`, N bytes each: tile after tile, row after row, BGRA and one byte a pixel.
    `has_image`, `has_mask`: whether the area has such pixels at all. `control_tiles`: as `image_tiles`, for each of the
    request's controls that brings a picture, in order; their bytes are the tensors named by `control_tensor`. `digest`:
    `tiles.digest_of` all that it has, in this order.
    `reference_digests`: `tiles.picture_digest` of the picture of each of the request's references. Those that the update
    `base` did not name come along whole, named by `reference_tensor`.
    Answered by LivePicture, by LiveResync, or by Fault with `live` as its job: that ends it. A newer update takes the
    place of an older one that is not painted yet.
    """

    live: str
    revision: int
    base: int
    request: PaintRequest
    canvas: Extent
    bounds: Bounds
    has_image: bool
    has_mask: bool
    image_tiles: Tuple[int, ...]
    mask_tiles: Tuple[int, ...]
    digest: str
    control_tiles: Tuple[Tuple[int, ...], ...] = ()
    reference_digests: Tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check_name("live", self.live)
        check_range("revision", self.revision, 1, limits.MAX_REVISION)
        check_range("base", self.base, 0, self.revision - 1)
        _check_sides(self.canvas, self.bounds)
        check_live_area(self.bounds)
        if not Bounds.of_canvas(self.canvas).contains(self.bounds):
            raise MessageError("The area does not lie on the canvas.")
        if self.request.upscale != 1.0:
            raise MessageError("Live painting does not upscale: leave it at 1.")
        _check_tiles("image tiles", self.image_tiles, self.bounds, self.has_image)
        _check_tiles("mask tiles", self.mask_tiles, self.bounds, self.has_mask)
        if len(self.control_tiles) != len(self.control_planes):
            raise MessageError("There must be tiles for each control that brings a picture.")
        for numbers in self.control_tiles:
            _check_tiles("control tiles", numbers, self.bounds, True)
        check_text("digest", self.digest, limits.MAX_NAME_CHARACTERS)
        if len(self.reference_digests) != len(self.request.references):
            raise MessageError("There must be a digest for each reference.")
        for digest in self.reference_digests:
            check_text("digest of a reference", digest, limits.MAX_NAME_CHARACTERS)

    @property
    def control_planes(self) -> Tuple[str, ...]:
        """The names of the control pictures that the area has."""
        controls = enumerate(self.request.controls)
        return tuple(control_tensor(index) for index, each in controls if each.brings_picture)


@dataclass(frozen=True)
class LiveStop:
    """Live painting is off: what is not painted yet is dropped. Not answered."""

    live: str

    def __post_init__(self) -> None:
        check_name("live", self.live)


def _check_sides(canvas: Extent, bounds: Bounds) -> None:
    check_range("canvas width", canvas.width, 1, limits.MAX_CANVAS_SIDE)
    check_range("canvas height", canvas.height, 1, limits.MAX_CANVAS_SIDE)
    check_range("width", bounds.width, 1, limits.MAX_SIDE)
    check_range("height", bounds.height, 1, limits.MAX_SIDE)


def _check_part(part: UpscalePart, canvas: Extent, sent: Bounds, factor: float) -> None:
    larger = canvas.scaled(factor)
    if not (Bounds.of_canvas(canvas).contains(part.whole) and part.whole.contains(sent)):
        raise MessageError("The part does not lie in the area that is upscaled as a whole.")
    if part.target.is_empty or not sent.scaled(canvas, larger).contains(part.target):
        raise MessageError("What the part is made from has not been sent.")


def check_live_area(area: Bounds) -> None:
    """Raises MessageError when an area is too large to be painted live."""
    if area.width * area.height > limits.MAX_LIVE_PIXELS:
        raise MessageError(
            f"The area of {area.width} x {area.height} px is too large to be painted live: "
            "select a smaller part."
        )


def _check_tiles(name: str, numbers: Tuple[int, ...], area: Bounds, has_any: bool) -> None:
    most = tiles.count(area) if has_any else 0
    if any(not 0 <= number < most for number in numbers):
        raise MessageError(f"The {name} do not all lie in the area.")
    if list(numbers) != sorted(set(numbers)):
        raise MessageError(f"The {name} are not in rising order.")


# ---- bridge to client


@dataclass(frozen=True)
class EngineStatus:
    """What the worker is doing, as one sentence for the painter. `progress` 0 to 1 while loading."""

    state: EngineState
    sentence: str
    model: str = ""
    device: str = ""
    progress: Optional[float] = None


@dataclass(frozen=True)
class Welcome:
    """The answer to Hello. `unacknowledged` are finished jobs of this client: ask with Resume.

    `skipped`: a sentence for each preset file or checkpoint of the painter's that cannot be used. `tags`: what prompts can name beside
    words with any preset.
    """

    protocol: int
    version: str
    presets: Tuple[PresetInfo, ...]
    default_preset: str
    status: EngineStatus
    unacknowledged: Tuple[str, ...]
    skipped: Tuple[str, ...] = ()
    tags: Tuple[str, ...] = ()


@dataclass(frozen=True)
class Accepted:
    """The job is known. `position` counts the jobs before it: 0 is next or running."""

    job: str
    position: int


@dataclass(frozen=True)
class Progress:
    """`step` of `steps` is done. `seconds_left` is an estimate; None until there is one."""

    job: str
    step: int
    steps: int
    seconds_left: Optional[float] = None


@dataclass(frozen=True)
class Preview:
    """The picture so far. Tensor `image`, H x W x 4 of `bounds`, transparent where not selected."""

    job: str
    step: int
    bounds: Bounds


@dataclass(frozen=True)
class Result:
    """The finished layer. Tensor `image`, H x W x 4 of `bounds`, transparent where not selected.

    The map of each control that is to be kept comes along, H x W x 4 of the bounds that were submitted, named by
    `control_tensor`.
    """

    job: str
    bounds: Bounds
    canvas: Extent
    facts: ResultFacts
    document: str


@dataclass(frozen=True)
class Ended:
    """The job ended without a result: cancelled, or failed with a sentence and what to do about it."""

    job: str
    state: JobState
    code: str = ""
    message: str = ""
    hint: str = ""


@dataclass(frozen=True)
class Unknown:
    """The bridge knows nothing of this job: submit it again."""

    job: str


@dataclass(frozen=True)
class Fault:
    """A message was refused. `job` is empty when it belonged to none."""

    code: str
    message: str
    hint: str = ""
    job: str = ""


@dataclass(frozen=True)
class LivePicture:
    """The picture of a live update. Tensor `image`, H x W x 4 of `bounds`, transparent where not selected; and the maps of
    controls that are to be kept, as in Result.

    `full` False: the machine is slow, so this one has fewer steps (`facts.steps`) or was painted smaller
    (`facts.scale`) than was asked for; once nothing changes any more, the full one of the same revision follows.
    """

    live: str
    revision: int
    bounds: Bounds
    canvas: Extent
    facts: ResultFacts
    full: bool = True


@dataclass(frozen=True)
class LiveResync:
    """The bridge's copy of the area is not what `revision` says: send all of it, as base 0."""

    live: str
    revision: int


ClientMessage = Union[Hello, Submit, Cancel, Acknowledge, Resume, LiveUpdate, LiveStop]
ServerMessage = Union[
    Welcome,
    EngineStatus,
    Accepted,
    Progress,
    Preview,
    Result,
    Ended,
    Unknown,
    Fault,
    LivePicture,
    LiveResync,
]
Message = Union[ClientMessage, ServerMessage]

_TYPES: Dict[str, type] = {
    "hello": Hello,
    "submit": Submit,
    "cancel": Cancel,
    "acknowledge": Acknowledge,
    "resume": Resume,
    "live": LiveUpdate,
    "live_stop": LiveStop,
    "welcome": Welcome,
    "status": EngineStatus,
    "accepted": Accepted,
    "progress": Progress,
    "preview": Preview,
    "result": Result,
    "ended": Ended,
    "unknown": Unknown,
    "fault": Fault,
    "live_picture": LivePicture,
    "live_resync": LiveResync,
}
_NAMES = {kind: name for name, kind in _TYPES.items()}
_T = TypeVar("_T")


def dumps(message: Message) -> str:
    """The message as JSON text."""
    return json.dumps({"type": _NAMES[type(message)], **to_fields(message)}, allow_nan=False)


def loads(text: str) -> Message:
    """Read a message.

    Raises MessageError for anything else: no JSON, an unknown type, an unknown, missing or mistyped field,
    a number out of range or not finite.
    """
    try:
        parsed = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise MessageError("The message is not JSON.") from error
    if not isinstance(parsed, dict):
        raise MessageError("The message is not a JSON object.")
    kind = _TYPES.get(parsed.pop("type", None)) if _hashable_type(parsed) else None
    if kind is None:
        raise MessageError("The message has an unknown type.")
    message: Message = from_fields(kind, parsed)
    return message


def to_fields(value: object) -> Dict[str, Any]:
    """A dataclass as plain JSON values."""
    return {field.name: _plain(getattr(value, field.name)) for field in fields(value)}  # type: ignore[arg-type]


def from_fields(kind: Type[_T], values: object) -> _T:
    """A dataclass from plain JSON values, strictly; raises MessageError."""
    if not isinstance(values, dict):
        raise MessageError(f"A {kind.__name__} must be a JSON object.")
    hints = _hints(kind)  # type: ignore[arg-type]
    unknown = set(values) - set(hints)
    if unknown:
        raise MessageError(f"A {kind.__name__} has no field {sorted(unknown)[0]!r}.")
    read = {name: _read(name, hints[name], value) for name, value in values.items()}
    try:
        return kind(**read)
    except TypeError as error:
        raise MessageError(f"A {kind.__name__} lacks a field.") from error


def _hashable_type(parsed: Dict[str, Any]) -> bool:
    return isinstance(parsed.get("type"), str)


@lru_cache(maxsize=None)
def _hints(kind: type) -> Dict[str, Any]:
    return get_type_hints(kind)


def _plain(value: object) -> Any:
    if isinstance(value, Enum):
        return value.value
    if is_dataclass(value):
        return to_fields(value)
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return value


def _read(name: str, hint: Any, value: object) -> Any:
    arguments: Tuple[Any, ...] = getattr(hint, "__args__", ())
    if type(None) in arguments:
        return None if value is None else _read(name, arguments[0], value)
    if getattr(hint, "__origin__", None) is tuple:
        if not isinstance(value, list):
            raise MessageError(f"The field {name!r} must be a list.")
        return tuple(_read(name, arguments[0], item) for item in value)
    if is_dataclass(hint):
        return from_fields(hint, value)  # type: ignore[arg-type]
    if isinstance(hint, type) and issubclass(hint, Enum):
        return _read_enum(name, hint, value)
    if hint is float:
        return _read_float(name, value)
    if type(value) is not hint:
        raise MessageError(f"The field {name!r} must be of type {hint.__name__}.")
    return value


def _read_enum(name: str, kind: Type[Enum], value: object) -> Enum:
    try:
        return kind(value)
    except ValueError as error:
        raise MessageError(f"The field {name!r} has an unknown value.") from error


def _read_float(name: str, value: object) -> float:
    if type(value) not in (int, float):
        raise MessageError(f"The field {name!r} must be a number.")
    try:
        number = float(value)  # type: ignore[arg-type]
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise MessageError(f"The field {name!r} must be a finite number.")
    return number

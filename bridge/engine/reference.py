"""Reference images: what of them the UNet is shown, and where."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import PurePath

import numpy as np
import torch
from PIL import Image

from bridge.engine.color import on_paper
from bridge.engine.condition import Conditioning, Encoder, Pictures
from bridge.engine.heard import is_heard, is_on
from bridge.engine.prompt import Prompt
from bridge.engine.types import ImageU8
from bridge.errors import BridgeError, Code
from bridge.models import hub
from bridge.models.families import SDXL
from bridge.models.hashing import HashCache
from bridge.models.ip_adapter import IpAdapter, cross_attentions, read_ip_adapter
from bridge.models.loaded import LoadedModel
from bridge.presets import IpAdapterSource, Preset
from krita_plugin.krita_bridge.wire.messages import UsedWeights, WeightsKind
from krita_plugin.krita_bridge.wire.reference import Reference, ReferenceMode, UsedReference

OnProgress = Callable[[float, str], None]

_KEPT = 32
"""Pictures whose tokens are kept in memory: 32 kB each with a plain adapter for SDXL in half precision, less than 2 MB with any."""

_BLOCKS = {
    ReferenceMode.STYLE: "up_blocks.0.attentions.1.",
    ReferenceMode.COMPOSITION: "down_blocks.2.attentions.1.",
}
"""The part of SDXL's UNet in which each is decided (Wang et al., InstantStyle: Free lunch towards style-preserving in
text-to-image generation, 2024, “Injecting into style blocks only”). Nobody has shown such parts of SD 1.5."""


def _silent(share: float, sentence: str) -> None:
    """Nobody waits for it to load: it is there already."""


@dataclass(frozen=True, eq=False)
class Seen:
    """The references of a job, read: `encoder` gives them beside the prompts, `weights` are the files that read them."""

    encoder: Encoder
    used: tuple[UsedReference, ...] = ()
    weights: tuple[UsedWeights, ...] = ()


@dataclass(frozen=True, eq=False)
class _Beside:
    """`encoder` with pictures: `shown` beside the prompt, `nothing` beside what guidance leads away from."""

    encoder: Encoder
    shown: Pictures
    nothing: Pictures

    def encode(self, prompt: Prompt, clip_skip: int = 1) -> Conditioning:
        return replace(self.encoder.encode(prompt, clip_skip), pictures=self.shown)

    def pair(
        self, positive: Prompt, negative: Prompt, clip_skip: int = 1
    ) -> tuple[Conditioning, Conditioning]:
        first, second = self.encoder.pair(positive, negative, clip_skip)
        return replace(first, pictures=self.shown), replace(second, pictures=self.nothing)


class References:
    """Reads references for one model. The adapter is loaded when the first is asked for, and a picture is read once."""

    def __init__(self, model: LoadedModel, hashes: HashCache) -> None:
        self._model = model
        self._hashes = hashes
        self._source: IpAdapterSource | None = None
        self._adapter: IpAdapter | None = None
        self._tokens: dict[object, tuple[torch.Tensor, torch.Tensor]] = {}

    def prepare(
        self, references: Sequence[Reference], preset: Preset, on_progress: OnProgress
    ) -> None:
        """Have in memory what they need. Raises BridgeError as `beside`."""
        heard = [reference for reference in references if is_heard(reference)]
        for reference in heard:
            self._scales(reference)
        if heard:
            self._load(preset, on_progress)

    @contextmanager
    def beside(
        self,
        encoder: Encoder,
        preset: Preset,
        references: Sequence[Reference],
        pictures: Sequence[ImageU8],
    ) -> Iterator[Seen]:
        """While it lasts, the model is shown one picture (RGBA) for each of `references`, whose transparent parts are
        white, and takes conditioning of the encoder that is given only. Use it inside torch.inference_mode().

        Raises BridgeError: MODEL_MISSING where the preset has no adapter, BAD_INPUT for a mode that the model does not
        have, and what reading an adapter raises.
        """
        asked = [(r, p) for r, p in zip(references, pictures, strict=True) if is_heard(r)]
        if not asked:
            yield Seen(encoder)
            return
        scales = [self._scales(reference) for reference, _ in asked]
        adapter = self._load(preset)
        used = tuple(UsedReference(_sha256(p), r.weight, r.mode, r.start, r.end) for r, p in asked)
        tokens = [self._look(adapter, u.sha256, p) for u, (_, p) in zip(used, asked, strict=True)]
        shown, nothing = zip(*tokens, strict=True)
        with adapter.attached(self._model.unet, len(asked)) as look_at:

            def look(index: int, steps: int) -> None:
                on = (is_on(reference, index, steps) for reference, _ in asked)
                look_at([each if now else {} for each, now in zip(scales, on, strict=True)])

            beside = _Beside(encoder, Pictures(shown, look), Pictures(nothing, look))
            yield Seen(beside, used, _files(adapter))

    def _load(self, preset: Preset, on_progress: OnProgress = _silent) -> IpAdapter:
        source = preset.ip_adapter
        if source is None:
            raise BridgeError(
                Code.MODEL_MISSING,
                f"The preset “{preset.label}” has no IP-Adapter to look at reference images with.",
                "Add a table [ip_adapter] with “file” and “image_encoder” to it, or leave the references out.",
            )
        if self._adapter is None or self._source != source:
            on_progress(0.0, f"Loading the IP-Adapter {PurePath(source.file).stem}.")
            self._adapter = None  # it makes room first
            self._tokens.clear()
            files = hub.find_ip_adapter(source, on_progress)
            self._adapter, self._source = read_ip_adapter(files, self._model, self._hashes), source
        return self._adapter

    def _scales(self, reference: Reference) -> dict[str, float]:
        """How strongly the reference is looked at, by attention."""
        part, names = _BLOCKS.get(reference.mode, ""), cross_attentions(self._model)
        found = {name: reference.weight for name in names if name.startswith(part)}
        if (part and self._model.family is not SDXL) or not found:
            raise BridgeError(
                Code.BAD_INPUT,
                f"{self._model.name} cannot take the {reference.mode.value} alone from a reference: only SDXL models can.",
                "Choose “both”, or another preset.",
            )
        return found

    def _look(
        self, adapter: IpAdapter, sha256: str, picture: ImageU8
    ) -> tuple[torch.Tensor, torch.Tensor]:
        key = (sha256, picture.shape)
        found = self._tokens.get(key)
        if found is None:
            found = adapter.tokens(Image.fromarray(on_paper(picture)))
            if len(self._tokens) == _KEPT:
                del self._tokens[next(iter(self._tokens))]
            self._tokens[key] = found
        return found


def _files(adapter: IpAdapter) -> tuple[UsedWeights, ...]:
    return (
        UsedWeights(WeightsKind.IP_ADAPTER, adapter.name, adapter.sha256),
        UsedWeights(WeightsKind.IMAGE_ENCODER, adapter.encoder_name, adapter.encoder_sha256),
    )


def _sha256(picture: ImageU8) -> str:
    return hashlib.sha256(np.ascontiguousarray(picture).data).hexdigest()

"""What a job's controls need beside the model: ControlNets, maps, and what makes these."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bridge.engine.control import DEPTH_CHANNEL, NO_GUIDES, Guide, Guides
from bridge.engine.control_detectors import Detectors, silent
from bridge.engine.control_maps import BY_NETWORK, ControlMaps
from bridge.engine.heard import is_heard
from bridge.engine.types import ImageU8, Snapshot
from bridge.errors import BridgeError, Code
from bridge.models.control import ControlNets, OnProgress
from bridge.models.loaded import LoadedModel
from bridge.presets import Preset
from krita_plugin.krita_bridge.wire.control import Control, ControlKind, ControlSource, UsedControl


@dataclass(frozen=True)
class Controlled:
    """The controls of a job, ready to be painted with. By their number: `guides` of those that are heard, `maps` (RGBA,
    opaque, of the size of the snapshot's bounds) of those that are heard or kept, `kept` the latter alone. `used` is what a
    result says of those that are heard."""

    guides: Guides
    maps: Mapping[int, ImageU8]
    kept: Mapping[int, ImageU8]
    used: tuple[UsedControl, ...]


NONE = Controlled(NO_GUIDES, {}, {}, ())


class Controls:
    """Those of one model."""

    def __init__(self, model: LoadedModel, nets: ControlNets, detectors: Detectors) -> None:
        self._model = model
        self._nets = nets
        self._maps = ControlMaps()
        self._detectors = detectors

    def prepare(self, controls: Sequence[Control], preset: Preset, on_progress: OnProgress) -> None:
        """Have in memory what they need. Raises BridgeError as `use`."""
        heard = {control.kind for control in controls if is_heard(control)}
        if self._model.takes_depth:
            heard.discard(ControlKind.DEPTH)
        self._nets.use(heard, preset.controls, on_progress)
        for kind in BY_NETWORK & {c.kind for c in controls if c.source is not ControlSource.MAP}:
            self._detectors.of(kind, preset, on_progress)

    def use(
        self, controls: Sequence[Control], snapshot: Snapshot, preset: Preset, is_part: bool
    ) -> Controlled:
        """`is_part`: the snapshot is one of several parts of a picture.

        Raises BridgeError: where a kind has no ControlNet, a map cannot be made, or reading a model fails.
        """
        if not controls and not self._model.takes_depth:
            return NONE
        numbered = dict(enumerate(controls))
        heard = {number: each for number, each in numbered.items() if is_heard(each)}
        channel = self._channel(heard, snapshot)
        if channel == DEPTH_CHANNEL:
            if is_part:
                raise BridgeError(
                    Code.BAD_INPUT,
                    f"{self._model.name} has depth built in, and each part of so large a picture would have another.",
                    "Give the depth of the whole as a control's map, or upscale by less.",
                )
            numbered[channel] = heard[channel] = Control(ControlKind.DEPTH)
        by_net = {number: each for number, each in heard.items() if number != channel}
        nets = self._nets.use({each.kind for each in by_net.values()}, preset.controls, silent)
        most = self._model.resolution.max_pixels
        maps = {
            number: self._maps.of(
                number, each, snapshot, most, lambda kind: self._detectors.of(kind, preset)
            )
            for number, each in numbered.items()
            if number in heard or each.keep
        }
        kept = {number: map_ for number, map_ in maps.items() if numbered[number].keep}
        sha256 = {
            number: hashlib.sha256(maps[number][..., :3].tobytes()).hexdigest() for number in heard
        }
        guides = {
            number: Guide(each, nets[each.kind], (maps[number], sha256[number]))
            for number, each in by_net.items()
        }
        if channel is not None:
            maps[DEPTH_CHANNEL] = maps[channel]
        readers = {n: nets[each.kind] if n in by_net else self._model for n, each in heard.items()}
        used = tuple(
            UsedControl(
                kind=each.kind,
                source=each.source,
                strength=each.strength,
                start=each.start,
                end=each.end,
                model=readers[number].name,
                model_sha256=readers[number].sha256,
                map_sha256=sha256[number],
            )
            for number, each in heard.items()
        )
        return Controlled(guides, maps, kept, used)

    def _channel(self, heard: Mapping[int, Control], snapshot: Snapshot) -> int | None:
        """The number of the control whose map is the UNet's depth channel: the first of depth, else DEPTH_CHANNEL for what
        is worked out from the canvas. None where there is no such channel, or nothing to fill it with."""
        if not self._model.takes_depth:
            return None
        for number, each in heard.items():
            if each.kind is ControlKind.DEPTH:
                if (each.strength, each.start, each.end) != (1.0, 0.0, 1.0):
                    raise BridgeError(
                        Code.BAD_INPUT,
                        f"{self._model.name} has depth built in: it has neither strength nor range.",
                        "Leave strength, start and end of the depth control as they are.",
                    )
                return number
        return None if snapshot.image is None else DEPTH_CHANNEL

"""Controls and references as they are chosen in the docker, and whether the preset and the document can do them. Knows no Krita and no Qt."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Callable, Optional, Sequence, Tuple, Type, TypeVar

from .text import tr
from .wire.control import Control, ControlKind, ControlSource
from .wire.messages import MessageError, PaintRequest, PresetInfo, from_fields
from .wire.reference import Reference, ReferenceMode

_Chosen = TypeVar("_Chosen")


@dataclass(frozen=True)
class ChosenControl:
    """A control and the uniqueId of the layer that its picture or map is; empty for the canvas, or while none is chosen."""

    control: Control
    layer: str = ""


@dataclass(frozen=True)
class ChosenReference:
    """A reference, and where its picture is: a layer's uniqueId or the path of a file; both empty while none is chosen."""

    reference: Reference
    layer: str = ""
    file: str = ""


def read_chosen(kind: Type[_Chosen], values: object, most: int) -> Tuple[_Chosen, ...]:
    """Up to `most` of what was written down with `to_fields`; what is odd is left out."""
    chosen = []
    for value in values if isinstance(values, list) else []:
        try:
            chosen.append(from_fields(kind, value))
        except MessageError:
            pass
    return tuple(chosen[:most])


def control_name(kind: ControlKind) -> str:
    """What the docker calls it."""
    return {
        ControlKind.DEPTH: tr("Depth"),
        ControlKind.SCRIBBLE: tr("Scribble"),
        ControlKind.LINEART: tr("Line art"),
        ControlKind.SOFTEDGE: tr("Soft edges"),
        ControlKind.CANNY: tr("Canny edges"),
        ControlKind.NORMAL: tr("Normals"),
        ControlKind.POSE: tr("Pose"),
        ControlKind.SEGMENTATION: tr("Segmentation"),
        ControlKind.TILE: tr("Tile"),
    }[kind]


def mode_label(mode: ReferenceMode) -> str:
    """What the docker calls it."""
    return {
        ReferenceMode.BOTH: tr("All of it"),
        ReferenceMode.STYLE: tr("Style"),
        ReferenceMode.COMPOSITION: tr("Composition"),
    }[mode]


def with_conditions(
    request: PaintRequest,
    controls: Sequence[ChosenControl],
    references: Sequence[ChosenReference],
    keeps_maps: bool,
) -> PaintRequest:
    """The request with all of these. `keeps_maps`: the maps that shall be kept come with its result; else none does."""
    chosen = controls if keeps_maps else without_maps(controls)
    pictures = tuple(each.reference for each in references)
    return replace(request, controls=tuple(each.control for each in chosen), references=pictures)


def without_maps(controls: Sequence[ChosenControl]) -> Tuple[ChosenControl, ...]:
    """`controls`, none of whose maps shall be kept."""
    return tuple(_without_map(each) for each in controls)


def without_keep(
    controls: Sequence[ChosenControl], kept: ChosenControl
) -> Tuple[ChosenControl, ...]:
    """`controls` once the map of `kept` has become a layer: it need not become another."""
    return tuple(_without_map(each) if each == kept else each for each in controls)


def _without_map(chosen: ChosenControl) -> ChosenControl:
    return replace(chosen, control=replace(chosen.control, keep=False))


def what_is_missing(
    controls: Sequence[ChosenControl],
    references: Sequence[ChosenReference],
    preset: Optional[PresetInfo],
    has_layer: Callable[[str], bool],
) -> str:
    """Why nothing can be painted with these, in one sentence; empty when it can. `preset` None: not known yet.

    `has_layer`: whether the document has a layer of this uniqueId.
    """
    sentences = [_of_control(chosen, preset, has_layer) for chosen in controls]
    sentences += [_of_reference(chosen, preset, has_layer) for chosen in references]
    return next(filter(None, sentences), "")


def lacks_controls(preset: PresetInfo) -> str:
    """What the preset needs for any control; empty when it can do some."""
    if preset.controls:
        return ""
    return tr(
        "The preset “{0}” has no ControlNet: choose another preset, or name one in its file.",
        preset.label,
    )


def lacks_control(kind: ControlKind, preset: PresetInfo) -> str:
    """What the preset needs for controls of this kind; empty when it can do them."""
    if kind in preset.controls:
        return ""
    return tr(
        "The preset “{0}” has no ControlNet for “{1}”: remove the control, choose another preset, or name one in its file.",
        preset.label,
        control_name(kind),
    )


def lacks_detector(kind: ControlKind, preset: PresetInfo) -> str:
    """What the preset needs to work a map of this kind out from a picture; empty when it can."""
    if kind not in preset.map_only:
        return ""
    table = {
        ControlKind.POSE: "[pose_estimator] and a [person_detector]",
        ControlKind.SEGMENTATION: "[segmenter]",
    }.get(kind, "[depth_estimator]")
    return tr(
        "The preset “{0}” cannot take “{1}” from a picture: choose “Layer as is”, or name a {2} in its file.",
        preset.label,
        control_name(kind),
        table,
    )


def lacks_from(kind: ControlKind, source: ControlSource, preset: PresetInfo) -> str:
    """What the preset needs for a control of this kind whose map comes from there; empty when it can do it."""
    is_given = source is ControlSource.MAP
    return lacks_control(kind, preset) or ("" if is_given else lacks_detector(kind, preset))


def heard_whole(kind: ControlKind, preset: PresetInfo) -> str:
    """Why a control of this kind has neither strength nor range; empty when it has both."""
    if kind is not ControlKind.DEPTH or not preset.depth_built_in:
        return ""
    return tr("The model of “{0}” has depth built in: it hears all of it.", preset.label)


def lacks_references(preset: PresetInfo) -> str:
    """What the preset needs for references; empty when it can do them."""
    if preset.references:
        return ""
    return tr(
        "The preset “{0}” has no IP-Adapter for references: choose another preset, or name one in its file.",
        preset.label,
    )


def lacks_mode(mode: ReferenceMode, preset: PresetInfo) -> str:
    """What the preset needs to take only this from a reference; empty when it can."""
    if mode in preset.references:
        return ""
    return tr("“{0}” alone needs an IP-Adapter for SDXL.", mode_label(mode))


def _of_control(
    chosen: ChosenControl, preset: Optional[PresetInfo], has_layer: Callable[[str], bool]
) -> str:
    kind = chosen.control.kind
    source = chosen.control.source
    lacking = lacks_from(kind, source, preset) if preset is not None else ""
    if lacking or source is ControlSource.CANVAS:
        return lacking
    if not chosen.layer:
        return tr("Choose the layer of the control “{0}”, or remove it.", control_name(kind))
    if not has_layer(chosen.layer):
        return tr(
            "The layer of the control “{0}” is gone: undo what removed it, or choose another.",
            control_name(kind),
        )
    return ""


def _of_reference(
    chosen: ChosenReference, preset: Optional[PresetInfo], has_layer: Callable[[str], bool]
) -> str:
    if preset is not None:
        lacking = lacks_references(preset) or lacks_mode(chosen.reference.mode, preset)
        if lacking:
            return lacking
    if not chosen.layer and not chosen.file:
        return tr("Choose a layer or a file for the reference, or remove it.")
    if chosen.layer and not has_layer(chosen.layer):
        return tr("The layer of a reference is gone: undo what removed it, or choose another.")
    return ""

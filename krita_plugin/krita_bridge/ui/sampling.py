"""How pictures are sampled: steps, guidance, scheduler, and what fewer painters know."""

from __future__ import annotations

from typing import Any, Optional

from ..qt import QtWidgets, pyqtSignal
from ..sampling import Sampling
from ..text import tr
from ..wire import limits
from ..wire.messages import PLACE, PresetInfo
from ..wire.schedulers import LABELS, identify

_GUIDANCE_STEP, _RESCALE_STEP, _DETAIL_STEP = 0.5, 0.05, 0.05


class SamplingPanel(QtWidgets.QWidget):  # type: ignore[misc]
    """Every field begins with what the preset says, and shows that."""

    changed = pyqtSignal()

    def __init__(self) -> None:
        super().__init__()
        self._steps = _field(QtWidgets.QSpinBox(), 0, limits.MAX_STEPS, 1)
        self._guidance = _field(
            QtWidgets.QDoubleSpinBox(), -_GUIDANCE_STEP, limits.MAX_GUIDANCE, _GUIDANCE_STEP
        )
        self._scheduler = QtWidgets.QComboBox()
        self._scheduler.addItem("", None)
        for name, label in LABELS.items():
            self._scheduler.addItem(label, name)
        self._clip_skip = _field(QtWidgets.QSpinBox(), 0, limits.MAX_CLIP_SKIP, 1)
        self._rescale = _field(QtWidgets.QDoubleSpinBox(), -_RESCALE_STEP, 1.0, _RESCALE_STEP)
        self._detail = _field(QtWidgets.QDoubleSpinBox(), -_DETAIL_STEP, 1.0, _DETAIL_STEP)
        self._vae = QtWidgets.QComboBox()
        self._vae.setMinimumContentsLength(8)
        self._vae.setSizeAdjustPolicy(
            QtWidgets.QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon
        )
        self._template = QtWidgets.QLineEdit()
        self._template.setMaxLength(limits.MAX_PROMPT_CHARACTERS)
        self._template.setToolTip(
            tr(
                "What stands round each prompt, which goes where it says {0}; {0} alone is nothing but the prompt",
                PLACE,
            )
        )
        self._preset: Optional[PresetInfo] = None
        self._wanted_vae: Optional[str] = None
        self._guidance.setToolTip(tr("How closely the prompt is followed; 1: as the model likes"))
        self._clip_skip.setToolTip(
            tr("The text encoder's layer that is read, counted from the last: 1 skips none")
        )
        self._rescale.setToolTip(tr("Takes back the contrast of a high guidance"))
        self._detail.setToolTip(
            tr(
                "What is larger than the model likes is painted twice: how much the second time may change"
            )
        )
        self._vae.setToolTip(tr("What turns the model's picture into pixels"))
        form = QtWidgets.QFormLayout(self)
        form.setContentsMargins(0, 0, 0, 0)
        form.setSpacing(4)
        for name, label, field in (
            ("steps", tr("Steps"), self._steps),
            ("guidance", tr("Guidance"), self._guidance),
            ("scheduler", tr("Scheduler"), self._scheduler),
            ("clip_skip", tr("Clip skip"), self._clip_skip),
            ("guidance_rescale", tr("Rescale"), self._rescale),
            ("detail", tr("Second pass"), self._detail),
            ("template", tr("Template"), self._template),
            ("vae", tr("VAE"), self._vae),
        ):
            field.setObjectName(name)
            field.setAccessibleName(label)
            form.addRow(label, field)
        self._vae_label = form.labelForField(self._vae)
        self.show_preset(None)
        for field in (
            self._steps,
            self._guidance,
            self._clip_skip,
            self._rescale,
            self._detail,
        ):
            field.valueChanged.connect(lambda _: self.changed.emit())
        self._scheduler.currentIndexChanged.connect(lambda _: self.changed.emit())
        self._vae.currentIndexChanged.connect(lambda _: self._on_vae())
        self._template.textChanged.connect(lambda _: self.changed.emit())

    def sampling(self) -> Sampling:
        """What is set."""
        return Sampling(
            _value(self._steps),
            _value(self._guidance),
            self._scheduler.currentData(),
            _value(self._clip_skip),
            _value(self._rescale),
            _value(self._detail),
            self._vae.currentData(),
            self._template.text().strip() or None,
        )

    def load(self, sampling: Sampling) -> None:
        for field, value in (
            (self._steps, sampling.steps),
            (self._guidance, sampling.guidance),
            (self._clip_skip, sampling.clip_skip),
            (self._rescale, sampling.guidance_rescale),
            (self._detail, sampling.detail),
        ):
            field.setValue(field.minimum() if value is None else value)
        name = identify(sampling.scheduler or "")
        self._scheduler.setCurrentIndex(max(0, self._scheduler.findData(name)))
        self._wanted_vae = sampling.vae
        self._show_vaes()
        self._template.setText(sampling.template or "")

    def show_preset(self, preset: Optional[PresetInfo]) -> None:
        """What the preset says, in each field that leaves it to that."""

        def text(value: object) -> str:
            return tr("preset") if preset is None else tr("{0} (preset)", value)

        self._steps.setSpecialValueText(text(preset and preset.steps))
        self._guidance.setSpecialValueText(text(preset and preset.guidance))
        self._clip_skip.setSpecialValueText(text(preset and preset.clip_skip))
        self._rescale.setSpecialValueText(text(preset and preset.guidance_rescale))
        self._detail.setSpecialValueText(text(preset and preset.detail))
        named = LABELS.get(identify(preset.scheduler) or "", preset.scheduler) if preset else ""
        self._scheduler.setItemText(0, text(named))
        self._template.setPlaceholderText(tr("preset") if preset is None else preset.template)
        self._preset = preset
        self._show_vaes()

    def _show_vaes(self) -> None:
        """Those that fit the preset's model, and no row where there are none. One that was chosen for another model comes
        back with that."""
        names = [] if self._preset is None else list(self._preset.vaes)
        if self._preset is None and self._wanted_vae is not None:
            names.append(self._wanted_vae)  # the bridge has not said yet what there is
        self._vae.blockSignals(True)
        self._vae.clear()
        self._vae.addItem(tr("preset"), None)
        for name in names:
            self._vae.addItem(name, name)
        if self._wanted_vae in names:
            self._vae.setCurrentIndex(1 + names.index(self._wanted_vae))
        self._vae.blockSignals(False)
        for widget in (self._vae_label, self._vae):
            widget.setVisible(bool(names))

    def _on_vae(self) -> None:
        self._wanted_vae = self._vae.currentData()
        self.changed.emit()


def _field(field: Any, least: float, most: float, step: float) -> Any:
    """A spin box whose least value stands for what the preset says."""
    field.setRange(least, most)
    field.setSingleStep(step)
    return field


def _value(field: Any) -> Any:
    """None where it is left to the preset; without the noise that adding steps brings."""
    value = field.value()
    if value == field.minimum():
        return None
    return round(value, field.decimals()) if isinstance(value, float) else value

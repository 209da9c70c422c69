"""The widgets of all that a document remembers: filled from a Form, read as a Form. The docker lays them out."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Dict, Optional, Tuple

from ..conditions import ChosenControl, without_keep
from ..document import CanvasDocument
from ..history import Entry
from ..made import active_made_layer
from ..notes import Form
from ..qt import QtCore, QtWidgets, pyqtSignal
from ..recipe import Recipe, recipe_of
from ..reuse import NoRecipe, read_file, reuse
from ..studio import Studio
from ..text import tr
from ..wire.modes import MEANINGS, Mode
from .controls import ControlsPanel
from .folding import Fold
from .layer_box import Layers
from .more import MoreSettings
from .presets import PresetBox
from .prompt import PromptField
from .references import ReferencesPanel
from .rows import RowList
from .sampling import SamplingPanel
from .seed import SeedRow
from .strength import DEFAULT_STEPS, StrengthRow


class FormView(QtCore.QObject):  # type: ignore[misc]
    """`preset`, `prompt` and `strength` are always in sight; `folds`, by name, open and close."""

    submitted = pyqtSignal()
    layer_png_wanted = pyqtSignal()
    """The active layer shall be saved with its settings."""

    def __init__(self, studio: Studio) -> None:
        super().__init__()
        self._studio = studio
        self.preset = PresetBox(studio.painting)
        self.prompt = PromptField(
            "prompt", tr("Describe what should be there"), studio.prompts, self._tags
        )
        self._negative = PromptField(
            "negative", tr("Describe what should not"), studio.prompts, self._tags, least_lines=1
        )
        self.strength = StrengthRow()
        self._seed = SeedRow()
        self._more = MoreSettings()
        self._sampling = SamplingPanel()
        self._layers = Layers()
        self._controls = ControlsPanel(self._layers)
        self._references = ReferencesPanel(self._layers)
        self.folds: Dict[str, Fold] = {
            "negative": Fold("negative_fold", tr("Negative prompt"), self._negative),
            "controls": Fold("controls_fold", tr("Control layers"), self._controls),
            "references": Fold("references_fold", tr("References"), self._references),
            "seed": Fold("seed_fold", tr("Seed"), self._seed),
            "sampling": Fold("sampling_fold", tr("Sampling"), self._sampling),
            "more": Fold("more_fold", tr("More settings"), self._more),
        }
        self.preset.currentIndexChanged.connect(lambda _: self._on_preset())
        self.strength.changed.connect(self._on_mode)
        self.prompt.submitted.connect(self.submitted)
        self._negative.submitted.connect(self.submitted)
        self._sampling.changed.connect(self._on_sampling)
        self._more.layer_wanted.connect(self._use_settings_of_layer)
        self._more.png_wanted.connect(self.layer_png_wanted)
        self._more.file_chosen.connect(self._use_settings_from)
        for name, panel in (("controls", self._controls), ("references", self._references)):
            panel.changed.connect(partial(self._count, name, panel))

    def form(self) -> Form:
        """What the painter has set."""
        mode = self.strength.mode_by_hand()
        return Form(
            self.prompt.toPlainText(),
            self._negative.toPlainText(),
            self.preset.name(),
            self.strength.strength_to_keep(),
            self._seed.seed(),
            self._seed.is_locked(),
            mode.value if mode else "",
            self._more.blend(),
            self._more.match_colors(),
            self._controls.chosen(),
            self._references.chosen(),
            self._sampling.sampling(),
        )

    def show_document(self, document: Optional[CanvasDocument]) -> None:
        """Fill in what was set for the document that is in front now; None: there is none."""
        self._layers.document = document
        self.load(self._studio.forms.of(document))

    def load(self, form: Form) -> None:
        self.prompt.set_text(form.prompt)
        self._negative.set_text(form.negative_prompt)
        if form.negative_prompt:
            self.folds["negative"].set_open(True)
        self._sampling.load(form.sampling)
        self.preset.choose(form.preset)
        self._on_preset()
        self.strength.load(Mode(form.mode) if form.mode else None, form.strength)
        self._seed.set_seed(form.seed)
        self._seed.set_locked(form.seed_locked)
        self._more.load(form.blend, form.match_colors)
        self._controls.load(form.controls)
        self._references.load(form.references)

    def used(self, form: Form) -> None:
        """A picture was asked for with `form`."""
        self.prompt.used()
        self._negative.used()
        self._seed.set_seed(form.seed)

    def map_was_kept(self, chosen: ChosenControl) -> None:
        """The map of a control is a layer now."""
        self._controls.load(without_keep(self._controls.chosen(), chosen))

    def show_presets(self) -> None:
        """Bring the list of presets in line with what the bridge has."""
        if self.preset.show_known():
            self._on_preset()

    # ---- settings of a result, a layer or a file

    def use_settings_of(self, job: str) -> None:
        entry = self._studio.painting.history.get(job)
        if entry is not None:
            asked = self._studio.asked(entry) if self._is_of_document(entry) else None
            left_out = self._reuse(recipe_of(entry.facts), asked)
            self._studio.painting.say(tr("Used, but not its {0}.", left_out) if left_out else "")

    def _is_of_document(self, entry: Entry) -> bool:
        """Whether a result was painted in the document in front: layers of another are not here."""
        document = self._layers.document
        memory = document.memory() if document is not None and document.is_open() else None
        return (
            memory is not None
            and entry.note is not None
            and (memory.document == entry.note.document)
        )

    def copy_seed_of(self, job: str) -> None:
        entry = self._studio.painting.history.get(job)
        if entry is not None:
            QtWidgets.QApplication.clipboard().setText(str(entry.facts.seed))

    def _use_settings_of_layer(self) -> None:
        made = active_made_layer(self._studio.painting.say)
        if made is not None:
            left_out = self._reuse(recipe_of(made.record.facts), made.record.asked)
            self._say_used(tr("“{0}”", made.node.name()), left_out)

    def _use_settings_from(self, path: Path) -> None:
        try:
            left_out = self._reuse(read_file(path))
        except NoRecipe as error:
            self._studio.painting.say(str(error))
            return
        self._say_used(path.name, left_out)

    def _say_used(self, name: str, left_out: str) -> None:
        but = tr("The settings of {0} are used, but not its {1}.", name, left_out)
        self._studio.painting.say(but if left_out else tr("The settings of {0} are used.", name))

    def _reuse(self, recipe: Recipe, asked: Optional[Form] = None) -> str:
        """Put a recipe into the form; returns what of it found no place there, in words."""
        form, left_out = reuse(recipe, self._studio.painting.presets, self.form(), asked)
        self.load(form)
        if form.seed_locked:
            self.folds["seed"].set_open(True)
        return ", ".join(left_out)

    # ---- what follows from what

    def _on_preset(self) -> None:
        preset = self.preset.chosen()
        self._sampling.show_preset(preset)
        self._on_sampling()
        self._controls.show_preset(preset)
        self._references.show_preset(preset)

    def _tags(self) -> Tuple[str, ...]:
        """What prompts can name beside words."""
        preset = self.preset.chosen()
        own = preset.tags if preset is not None else ()
        return tuple(dict.fromkeys((*self._studio.painting.tags, *own)))

    def _on_sampling(self) -> None:
        preset, sampling = self.preset.chosen(), self._sampling.sampling()
        usual = preset.steps if preset else DEFAULT_STEPS
        self.strength.set_steps(sampling.steps or usual)
        self.folds["sampling"].set_count(sampling.count)

    def _count(self, name: str, panel: RowList) -> None:
        self.folds[name].set_count(len(panel.chosen()))

    def _on_mode(self) -> None:
        self.prompt.setEnabled(MEANINGS[self.strength.mode()].takes_prompt)

"""The widgets of all that a document remembers: filled from a Form, read as a Form. The docker lays them out."""

from __future__ import annotations

from pathlib import Path
from typing import Dict

from ..notes import Form
from ..qt import QtCore, QtWidgets, pyqtSignal
from ..recipe import Recipe, recipe_of
from ..reuse import NoRecipe, read_file, reuse
from ..studio import Studio
from ..text import tr
from ..wire.modes import MEANINGS, Mode
from .folding import Fold
from .more import MoreSettings
from .presets import PresetBox
from .prompt import PromptField
from .seed import SeedRow
from .strength import DEFAULT_STEPS, StrengthRow


class FormView(QtCore.QObject):  # type: ignore[misc]
    """`preset`, `prompt` and `strength` are always in sight; `folds`, by name, open and close."""

    submitted = pyqtSignal()

    def __init__(self, studio: Studio) -> None:
        super().__init__()
        self._studio = studio
        self.preset = PresetBox(studio.painting)
        self.prompt = PromptField("prompt", tr("Describe what should be there"), studio.prompts)
        self._negative = PromptField(
            "negative", tr("Describe what should not"), studio.prompts, least_lines=1
        )
        self.strength = StrengthRow()
        self._seed = SeedRow()
        self._more = MoreSettings()
        self.folds: Dict[str, Fold] = {
            "negative": Fold("negative_fold", tr("Negative prompt"), self._negative),
            "seed": Fold("seed_fold", tr("Seed"), self._seed),
            "more": Fold("more_fold", tr("More settings"), self._more),
        }
        self.preset.currentIndexChanged.connect(lambda _: self._on_preset())
        self.strength.changed.connect(self._on_mode)
        self.prompt.submitted.connect(self.submitted)
        self._negative.submitted.connect(self.submitted)
        self._more.file_chosen.connect(self._use_settings_from)

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
        )

    def load(self, form: Form) -> None:
        self.prompt.set_text(form.prompt)
        self._negative.set_text(form.negative_prompt)
        if form.negative_prompt:
            self.folds["negative"].set_open(True)
        self.preset.choose(form.preset)
        self._on_preset()
        self.strength.load(Mode(form.mode) if form.mode else None, form.strength)
        self._seed.set_seed(form.seed)
        self._seed.set_locked(form.seed_locked)
        self._more.load(form.blend, form.match_colors)

    def used(self, form: Form) -> None:
        """A picture was asked for with `form`."""
        self.prompt.used()
        self._negative.used()
        self._seed.set_seed(form.seed)

    def show_presets(self) -> None:
        """Bring the list of presets in line with what the bridge has."""
        if self.preset.show_known():
            self._on_preset()

    # ---- settings of a result or a file

    def use_settings_of(self, job: str) -> None:
        entry = self._studio.painting.history.get(job)
        if entry is not None:
            left_out = self._reuse(recipe_of(entry.facts))
            self._studio.painting.say(tr("Used, but not its {0}.", left_out) if left_out else "")

    def copy_seed_of(self, job: str) -> None:
        entry = self._studio.painting.history.get(job)
        if entry is not None:
            QtWidgets.QApplication.clipboard().setText(str(entry.facts.seed))

    def _use_settings_from(self, path: Path) -> None:
        try:
            left_out = self._reuse(read_file(path))
        except NoRecipe as error:
            self._studio.painting.say(str(error))
            return
        but = tr("The settings of {0} are used, but not its {1}.", path.name, left_out)
        self._studio.painting.say(
            but if left_out else tr("The settings of {0} are used.", path.name)
        )

    def _reuse(self, recipe: Recipe) -> str:
        """Put a recipe into the form; returns what of it found no place there, in words."""
        form, left_out = reuse(recipe, self._studio.painting.presets, self.form())
        self.load(form)
        if form.seed_locked:
            self.folds["seed"].set_open(True)
        return ", ".join(left_out)

    # ---- what follows from what

    def _on_preset(self) -> None:
        preset = self.preset.chosen()
        self.strength.set_steps(preset.steps if preset else DEFAULT_STEPS)

    def _on_mode(self) -> None:
        self.prompt.setEnabled(MEANINGS[self.strength.mode()].takes_prompt)

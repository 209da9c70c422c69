"""The docker: everything a painter sees of the bridge, 300 px wide."""

from __future__ import annotations

from html import escape
from pathlib import Path
from typing import Any, Dict, Optional

from krita import DockWidget

from .. import document as documents
from .. import settings as stored
from ..client import ConnectionState
from ..document import CanvasDocument
from ..live.follow import Wanted
from ..notes import Form
from ..painting import Stage
from ..qt import Qt, QtCore, QtWidgets
from ..recipe import Recipe, recipe_of
from ..reuse import NoRecipe, read_file, reuse
from ..studio import Studio
from ..text import tr
from ..wire.modes import MEANINGS, Mode, Situation
from ..words import progress_line
from .expand import DEFAULT_MARGIN, SIDES, ExpandPanel
from .folding import Fold
from .icons import krita_icon, thumbnail
from .live import LiveView
from .more import MoreSettings
from .prompt import PromptField
from .results import ResultsView
from .seed import SeedRow
from .settings_panel import SettingsPanel
from .strength import DEFAULT_STEPS, StrengthRow

DOCKER_ID = "krita_bridge_docker"
SELECTION_POLL_MS = 250
UPDATE_MS = 30
PREVIEW_SIDE = 150
VARIATIONS = (1, 2, 4)
_NEGATIVE, _SEED, _EXPAND, _MORE = "negative", "seed", "expand", "more"


class BridgeDocker(DockWidget):  # type: ignore[misc]
    """Shows the studio, and hands it what the painter does."""

    def __init__(self, studio: Studio) -> None:
        super().__init__()
        self._studio = studio
        self._document: Optional[CanvasDocument] = None
        self._situation: Optional[Situation] = None
        self._wanted_preset = ""
        self.setObjectName(DOCKER_ID)
        self.setWindowTitle(tr("Krita Bridge"))
        self._make_widgets()
        self._lay_out()
        self._connect()
        self._update_timer = QtCore.QTimer(self)
        self._update_timer.setSingleShot(True)
        self._update_timer.timeout.connect(self._show_studio)
        self._selection_timer = QtCore.QTimer(self)
        self._selection_timer.timeout.connect(self._look_again)
        self._selection_timer.start(SELECTION_POLL_MS)
        self._load_form(studio.form_for(None))
        self._show_studio()

    # ---- called by Krita and the actions

    def canvasChanged(self, canvas: Any) -> None:
        """Krita calls this when another document comes to the front, or none."""
        document = documents.active_document() if canvas is not None else None
        if (document.key if document else None) == (self._document.key if self._document else None):
            return
        self._keep_form()
        self._document = document
        self._look()
        self._load_form(self._studio.form_for(document))

    def generate(self, count: int = 1) -> None:
        self._look()
        mode, strength = self._strength.mode(), self._strength.strength()
        form = self._studio.generate(self._form(), mode, strength, count)
        self._prompt.used()
        self._negative.used()
        self._seed.set_seed(form.seed)

    def expand(self) -> None:
        """Grow the canvas by the margins that are set, and paint what is new."""
        margins = self._expand.margins()
        stored.save_margins([margins.left, margins.top, margins.right, margins.bottom])
        form = self._studio.expand(self._form(), margins)
        self._prompt.used()
        self._seed.set_seed(form.seed)

    def toggle_live(self) -> None:
        """Live painting on, with what this docker says, or off."""
        live = self._studio.live
        if live.is_on:
            live.switch_off()
        else:
            live.switch_on(self._aim_live)

    def _aim_live(self, document: CanvasDocument) -> Wanted:
        mode, strength = self._strength.mode(), self._strength.strength()
        return self._studio.aim_live(document, self._form(), mode, strength)

    def change_strength(self, steps: int) -> None:
        self._strength.step(steps)

    def choose_next_mode(self) -> None:
        self._look()
        self._strength.choose_next_mode()

    # ---- the widgets

    def _make_widgets(self) -> None:
        self._preset = QtWidgets.QComboBox()
        self._preset.setObjectName("preset")
        self._preset.setAccessibleName(tr("Preset"))
        self._preset.setMinimumContentsLength(8)
        self._preset.setSizeAdjustPolicy(
            QtWidgets.QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon
        )
        self._gear = QtWidgets.QToolButton()
        self._gear.setObjectName("settings")
        self._gear.setIcon(krita_icon("configure"))
        self._gear.setAutoRaise(True)
        self._gear.setCheckable(True)
        self._gear.setToolTip(tr("Settings"))
        self._settings = SettingsPanel(self._studio.settings)
        self._settings.setVisible(False)
        history = self._studio.prompts
        self._prompt = PromptField("prompt", tr("Describe what should be there"), history)
        self._negative = PromptField("negative", tr("Describe what should not"), history, 1)
        self._negative_fold = Fold("negative_fold", tr("Negative prompt"), self._negative)
        self._strength = StrengthRow()
        self._generate = QtWidgets.QToolButton()
        self._generate.setObjectName("generate")
        self._generate.setText(tr("Generate"))
        self._generate.setToolTip(tr("Paint into the selection, or the whole canvas (Shift+Enter)"))
        self._generate.setPopupMode(QtWidgets.QToolButton.ToolButtonPopupMode.MenuButtonPopup)
        self._generate.setSizePolicy(
            QtWidgets.QSizePolicy.Policy.Expanding, QtWidgets.QSizePolicy.Policy.Preferred
        )
        menu = QtWidgets.QMenu(self._generate)
        for count in VARIATIONS:
            text = tr("1 picture") if count == 1 else tr("{0} variations", count)
            menu.addAction(text).triggered.connect(lambda _=False, n=count: self.generate(n))
        self._generate.setMenu(menu)
        self._live = QtWidgets.QToolButton()
        self._live.setObjectName("live")
        self._live.setText(tr("Live"))
        self._live.setCheckable(True)
        self._live.setToolTip(tr("The picture follows the brush"))
        self._live_view = LiveView()
        self._cancel = QtWidgets.QPushButton(tr("Cancel"))
        self._cancel.setObjectName("cancel")
        self._cancel.setEnabled(False)
        self._progress = QtWidgets.QProgressBar()
        self._progress.setObjectName("progress")
        self._progress.setTextVisible(False)
        self._progress.setFixedHeight(6)
        self._state = QtWidgets.QLabel()
        self._state.setObjectName("state")
        self._state.setWordWrap(True)
        self._state.setMinimumHeight(self._state.fontMetrics().lineSpacing())
        self._picture = QtWidgets.QLabel()
        self._picture.setObjectName("preview_picture")
        self._picture.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self._results = ResultsView()
        self._seed = SeedRow()
        self._seed_fold = Fold("seed_fold", tr("Seed"), self._seed)
        self._expand = ExpandPanel(stored.load_margins(len(SIDES), DEFAULT_MARGIN))
        self._expand_fold = Fold("expand_fold", tr("Expand the canvas"), self._expand)
        self._more = MoreSettings()
        self._more_fold = Fold("more_fold", tr("More settings"), self._more)

    def _lay_out(self) -> None:
        top = QtWidgets.QHBoxLayout()
        top.setSpacing(2)
        top.addWidget(self._preset, 1)
        top.addWidget(self._gear)
        buttons = QtWidgets.QHBoxLayout()
        buttons.setSpacing(4)
        buttons.addWidget(self._generate, 1)
        buttons.addWidget(self._live)
        buttons.addWidget(self._cancel)
        below = QtWidgets.QWidget()
        lower = QtWidgets.QVBoxLayout(below)
        lower.setContentsMargins(0, 0, 0, 0)
        lower.setSpacing(6)
        lower.addWidget(self._picture)
        lower.addWidget(self._results)
        lower.addWidget(self._seed_fold)
        lower.addWidget(self._expand_fold)
        lower.addWidget(self._more_fold)
        lower.addStretch(1)
        scroll = QtWidgets.QScrollArea()
        scroll.setWidgetResizable(True)
        scroll.setFrameShape(QtWidgets.QFrame.Shape.NoFrame)
        scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        scroll.setWidget(below)
        content = QtWidgets.QWidget()
        # Krita takes the margins of a docker's outermost layout away.
        outer = QtWidgets.QVBoxLayout(content)
        column = QtWidgets.QVBoxLayout()
        outer.addLayout(column)
        column.setContentsMargins(5, 5, 5, 3)
        column.setSpacing(6)
        column.addLayout(top)
        column.addWidget(self._settings)
        column.addWidget(self._prompt)
        column.addWidget(self._negative_fold)
        column.addWidget(self._strength)
        column.addLayout(buttons)
        column.addWidget(self._progress)
        column.addWidget(self._state)
        column.addWidget(self._live_view, 2)
        column.addWidget(scroll, 1)
        self.setWidget(content)
        folds = self._folds()
        for name in stored.load_open_parts(tuple(folds)):
            folds[name].set_open(True)

    def _connect(self) -> None:
        studio, painting = self._studio, self._studio.painting
        studio.changed.connect(self._update_soon)
        self._gear.toggled.connect(self._settings.setVisible)
        self._settings.changed.connect(studio.change_settings)
        self._strength.changed.connect(self._on_mode)
        self._prompt.submitted.connect(self.generate)
        self._negative.submitted.connect(self.generate)
        self._generate.clicked.connect(lambda: self.generate())
        self._live.clicked.connect(lambda _: self.toggle_live())
        self._cancel.clicked.connect(lambda: painting.cancel())
        self._state.linkActivated.connect(lambda _: self._gear.setChecked(True))
        self._preset.currentIndexChanged.connect(lambda _: self._on_preset())
        self._results.wanted.connect(painting.show)
        self._results.discarded.connect(painting.discard)
        self._results.reused.connect(self._use_settings_of)
        self._results.seed_wanted.connect(self._copy_seed_of)
        self._expand.wanted.connect(self.expand)
        self._more.file_chosen.connect(self._use_settings_from)
        for fold in self._folds().values():
            fold.toggled.connect(lambda _: self._save_folds())

    # ---- the form

    def _form(self) -> Form:
        mode = self._strength.mode_by_hand()
        return Form(
            self._prompt.toPlainText(),
            self._negative.toPlainText(),
            self._preset.currentData() or "",
            self._strength.strength_to_keep(),
            self._seed.seed(),
            self._seed.is_locked(),
            mode.value if mode else "",
            self._more.blend(),
            self._more.match_colors(),
        )

    def _load_form(self, form: Form) -> None:
        self._prompt.set_text(form.prompt)
        self._negative.set_text(form.negative_prompt)
        if form.negative_prompt:
            self._negative_fold.set_open(True)
        self._wanted_preset = form.preset
        self._choose_preset()
        self._strength.load(Mode(form.mode) if form.mode else None, form.strength)
        self._seed.set_seed(form.seed)
        self._seed.set_locked(form.seed_locked)
        self._more.load(form.blend, form.match_colors)

    def _keep_form(self) -> None:
        if self._document is not None:
            self._studio.keep_form(self._document.key, self._form())

    def _use_settings_of(self, job: str) -> None:
        entry = self._studio.painting.history.get(job)
        if entry is not None:
            left_out = self._reuse(recipe_of(entry.facts))
            self._studio.painting.say(tr("Used, but not its {0}.", left_out) if left_out else "")

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
        form, left_out = reuse(recipe, self._studio.painting.presets, self._form())
        self._load_form(form)
        if form.seed_locked:
            self._seed_fold.set_open(True)
        return ", ".join(left_out)

    def _copy_seed_of(self, job: str) -> None:
        entry = self._studio.painting.history.get(job)
        if entry is not None:
            QtWidgets.QApplication.clipboard().setText(str(entry.facts.seed))

    def _folds(self) -> Dict[str, Fold]:
        return {
            _NEGATIVE: self._negative_fold,
            _SEED: self._seed_fold,
            _EXPAND: self._expand_fold,
            _MORE: self._more_fold,
        }

    def _save_folds(self) -> None:
        folds = self._folds()
        stored.save_open_parts([name for name, fold in folds.items() if fold.is_open()])

    # ---- presets

    def _show_presets(self) -> None:
        presets = self._studio.painting.presets
        known = [self._preset.itemData(i) for i in range(self._preset.count())]
        if known == [preset.name for preset in presets]:
            return
        self._preset.blockSignals(True)
        self._preset.clear()
        for preset in presets:
            self._preset.addItem(preset.label, preset.name)
            tip = tr("{0}, {1} steps", preset.model, preset.steps)
            self._preset.setItemData(self._preset.count() - 1, tip, Qt.ItemDataRole.ToolTipRole)
        self._preset.blockSignals(False)
        self._choose_preset()

    def _choose_preset(self) -> None:
        preset = self._studio.painting.preset(self._wanted_preset)
        if preset is not None:
            self._preset.setCurrentIndex(self._preset.findData(preset.name))
            self._strength.set_steps(preset.steps)

    def _on_preset(self) -> None:
        self._wanted_preset = self._preset.currentData() or ""
        preset = self._studio.painting.preset(self._wanted_preset)
        self._strength.set_steps(preset.steps if preset else DEFAULT_STEPS)

    def _on_mode(self) -> None:
        self._prompt.setEnabled(MEANINGS[self._strength.mode()].takes_prompt)

    # ---- showing how things stand

    def _update_soon(self) -> None:
        if not self._update_timer.isActive():
            self._update_timer.start(UPDATE_MS)

    def _show_studio(self) -> None:
        painting = self._studio.painting
        self._show_presets()
        jobs = painting.jobs()
        front = painting.front()
        self._cancel.setEnabled(any(job.stage is not Stage.CANCELLING for job in jobs))
        self._progress.setEnabled(bool(jobs))
        self._progress.setMaximum(front.steps if front and front.steps else 1)
        self._progress.setValue(front.step if front and front.steps else 0)
        self._settings.show_skipped(painting.skipped)
        self._show_sentence()
        self._show_preview()
        self._results.show_history(painting.history, painting.current)
        self._live.setChecked(self._studio.live.is_on)
        self._live_view.show_live(self._studio.live)

    def _show_sentence(self) -> None:
        painting = self._studio.painting
        front = painting.front()
        connection = painting.connection
        connected = connection is not None and connection.state is ConnectionState.CONNECTED
        sentence = painting.sentence()
        if front is not None and connected and not painting.notice:
            if front.stage is Stage.CANCELLING:
                sentence = tr("Cancelling...")
            elif front.stage is Stage.RUNNING:
                waiting = len(painting.jobs()) - 1
                sentence = progress_line(front.step, front.steps, front.seconds_left, waiting)
        failed = connection is not None and connection.state is ConnectionState.FAILED
        if failed and not painting.notice:
            link = f'<a href="settings">{escape(tr("Settings"))}</a>'
            self._set_state(f"{escape(sentence)} {link}", Qt.TextFormat.RichText)
        else:
            self._set_state(sentence, Qt.TextFormat.PlainText)

    def _set_state(self, text: str, text_format: Any) -> None:
        if text != self._state.text():
            self._state.setTextFormat(text_format)
            self._state.setText(text)

    def _show_preview(self) -> None:
        preview = self._studio.painting.preview
        wanted = preview is not None and self._studio.settings.previews_in_docker
        if wanted and preview is not None:
            picture = thumbnail(preview.image, preview.bounds, PREVIEW_SIDE, self.palette())
            self._picture.setPixmap(picture)
        self._picture.setVisible(wanted)

    def _look_again(self) -> None:
        """Now and then. One selection replacing another may be none for a moment: only what lasts counts."""
        before, self._situation = self._situation, self._seen() if self.isVisible() else None
        if self._situation is not None and self._situation is before:
            self._strength.see(self._situation)

    def _look(self) -> None:
        """Right now."""
        situation = self._seen()
        if situation is not None:
            self._strength.see(situation)

    def _seen(self) -> Optional[Situation]:
        """What selection and canvas look like; None while a stroke is being painted."""
        document = self._document
        if document is not None and document.is_open() and document.is_idle():
            return document.situation()
        return None

"""The docker: everything a painter sees of the bridge, 300 px wide."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Callable, Dict, Optional

from krita import DockWidget

from .. import document as documents
from .. import settings as stored
from ..conditions import ChosenControl
from ..document import CanvasDocument
from ..live.follow import Wanted
from ..made import active_made_layer
from ..qt import Qt, QtCore, QtWidgets
from ..studio import Studio
from ..text import tr
from ..wire.modes import Situation
from .expand import DEFAULT_MARGIN, SIDES, ExpandPanel
from .files import choose_png_to_write
from .folding import Fold
from .form import FormView
from .icons import krita_icon
from .live import LiveView
from .results import ResultsView
from .settings_panel import SettingsPanel
from .state import StateView
from .upscale import UpscalePanel

DOCKER_ID = "krita_bridge_docker"
SELECTION_POLL_MS = 250
UPDATE_MS = 30
VARIATIONS = (1, 2, 4)


class BridgeDocker(DockWidget):  # type: ignore[misc]
    """Shows the studio, and hands it what the painter does."""

    def __init__(self, studio: Studio) -> None:
        super().__init__()
        self._studio = studio
        self._document: Optional[CanvasDocument] = None
        self._situation: Optional[Situation] = None
        self.setObjectName(DOCKER_ID)
        self.setWindowTitle(tr("Krita Bridge"))
        self._form = FormView(studio)
        self._make_widgets()
        self._lower = self._make_folds()
        self._lay_out()
        self._connect()
        self._update_timer = QtCore.QTimer(self)
        self._update_timer.setSingleShot(True)
        self._update_timer.timeout.connect(self._show_studio)
        self._selection_timer = QtCore.QTimer(self)
        self._selection_timer.timeout.connect(self._look_again)
        self._selection_timer.start(SELECTION_POLL_MS)
        self._form.show_document(None)
        self._show_studio()

    # ---- called by Krita and the actions

    def canvasChanged(self, canvas: Any) -> None:
        """Krita calls this when another document comes to the front, or none."""
        document = documents.active_document() if canvas is not None else None
        if (document.key if document else None) == (self._document.key if self._document else None):
            return
        if self._document is not None:
            self._studio.forms.keep(self._document.key, self._form.form())
        self._document = document
        if document is not None:
            self._studio.seen(document)
        self._look()
        self._form.show_document(document)

    def generate(self, count: int = 1, same_seed: bool = False) -> None:
        self._look()
        mode, strength = self._form.strength.mode(), self._form.strength.strength()
        form = self._form.form()
        self._form.used(self._studio.generate(form, mode, strength, count, same_seed))

    def expand(self) -> None:
        """Grow the canvas by the margins that are set, and paint what is new."""
        margins = self._expand.margins()
        stored.save_margins([margins.left, margins.top, margins.right, margins.bottom])
        self._form.used(self._studio.expand(self._form.form(), margins))

    def upscale(self) -> None:
        """Make a larger document of the selection or the canvas, as is set."""
        enlargement = self._upscale.enlargement()
        stored.save_enlargement(enlargement)
        self._form.used(self._studio.upscale(self._form.form(), enlargement))

    def toggle_live(self) -> None:
        """Live painting on, with what this docker says, or off."""
        live = self._studio.live
        if live.is_on:
            live.switch_off()
        else:
            live.switch_on(self._aim_live)

    def render_live(self) -> None:
        """Generate what live painting shows: with the seed that is in the docker, and all steps of the preset."""
        if self._studio.live.is_on:
            self.generate(same_seed=True)
        else:
            self._studio.painting.say(tr("There is no live picture: switch Live on first."))

    def _aim_live(self, document: CanvasDocument) -> Wanted:
        mode, strength = self._form.strength.mode(), self._form.strength.strength()
        return self._studio.aim_live(document, self._form.form(), mode, strength)

    def change_strength(self, steps: int) -> None:
        self._form.strength.step(steps)

    def choose_next_mode(self) -> None:
        self._look()
        self._form.strength.choose_next_mode()

    # ---- the widgets

    def _make_widgets(self) -> None:
        self._gear = QtWidgets.QToolButton()
        self._gear.setObjectName("settings")
        self._gear.setIcon(krita_icon("configure"))
        self._gear.setAutoRaise(True)
        self._gear.setCheckable(True)
        self._gear.setToolTip(tr("Settings"))
        self._settings = SettingsPanel(self._studio.settings)
        self._settings.setVisible(False)
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
        self._live.setToolTip(tr("The picture follows the brush (Ctrl+Shift+Enter)"))
        self._live_view = LiveView()
        self._cancel = QtWidgets.QToolButton()
        self._cancel.setObjectName("cancel")
        self._cancel.setText(tr("Cancel"))
        self._cancel.setToolTip(tr("Stop all that runs or waits; the arrow: one of them"))
        self._cancel.setPopupMode(QtWidgets.QToolButton.ToolButtonPopupMode.MenuButtonPopup)
        self._cancel.setMenu(QtWidgets.QMenu(self._cancel))
        self._cancel.setEnabled(False)
        self._state = StateView()
        self._results = ResultsView()
        self._expand = ExpandPanel(stored.load_margins(len(SIDES), DEFAULT_MARGIN))
        self._upscale = UpscalePanel(stored.load_enlargement())

    def _make_folds(self) -> Dict[str, Fold]:
        """What is folded away below the results, from the top. Under these names Krita keeps which are open."""
        return {
            "controls": self._form.folds["controls"],
            "references": self._form.folds["references"],
            "seed": self._form.folds["seed"],
            "expand": Fold("expand_fold", tr("Expand the canvas"), self._expand),
            "upscale": Fold("upscale_fold", tr("Upscale"), self._upscale),
            "sampling": self._form.folds["sampling"],
            "more": self._form.folds["more"],
        }

    def _lay_out(self) -> None:
        top = QtWidgets.QHBoxLayout()
        top.setSpacing(2)
        top.addWidget(self._form.preset, 1)
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
        lower.addWidget(self._results)
        for fold in self._lower.values():
            lower.addWidget(fold)
        lower.addStretch(1)
        scroll = QtWidgets.QScrollArea()
        scroll.setWidgetResizable(True)
        scroll.setFrameShape(QtWidgets.QFrame.Shape.NoFrame)
        scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        scroll.setWidget(below)
        # On a low screen Krita's window would become higher than the screen.
        scroll.setMinimumHeight(1)
        content = QtWidgets.QWidget()
        # Krita takes the margins of a docker's outermost layout away.
        outer = QtWidgets.QVBoxLayout(content)
        column = QtWidgets.QVBoxLayout()
        outer.addLayout(column)
        column.setContentsMargins(5, 5, 5, 3)
        column.setSpacing(6)
        column.addLayout(top)
        column.addWidget(self._settings)
        column.addWidget(self._form.prompt)
        column.addWidget(self._form.folds["negative"])
        column.addWidget(self._form.strength)
        column.addLayout(buttons)
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
        studio.map_kept.connect(self._on_map_kept)
        self._gear.toggled.connect(self._settings.setVisible)
        self._settings.changed.connect(studio.change_settings)
        self._form.submitted.connect(self.generate)
        self._form.layer_png_wanted.connect(self._choose_layer_png)
        self._generate.clicked.connect(lambda: self.generate())
        self._live.clicked.connect(lambda _: self.toggle_live())
        self._live_view.keep_wanted.connect(studio.keep)
        self._live_view.parts_wanted.connect(studio.keep_parts)
        self._live_view.render_wanted.connect(self.render_live)
        self._live_view.record_wanted.connect(studio.toggle_recording)
        self._cancel.clicked.connect(lambda: painting.cancel())
        self._cancel.menu().aboutToShow.connect(self._list_what_can_be_cancelled)
        self._state.settings_wanted.connect(lambda: self._gear.setChecked(True))
        self._results.wanted.connect(painting.show)
        self._results.discarded.connect(painting.discard)
        self._results.reused.connect(self._form.use_settings_of)
        self._results.seed_wanted.connect(self._form.copy_seed_of)
        self._results.save_wanted.connect(self._choose_png)
        self._expand.wanted.connect(self.expand)
        self._upscale.wanted.connect(self.upscale)
        for fold in self._folds().values():
            fold.toggled.connect(lambda _: self._save_folds())

    def _list_what_can_be_cancelled(self) -> None:
        painting, menu = self._studio.painting, self._cancel.menu()
        menu.clear()
        for name, jobs in painting.in_hand():
            action = menu.addAction(name.replace("&", "&&"))
            action.triggered.connect(lambda _=False, jobs=jobs: painting.cancel(jobs))

    def _choose_png(self, job: str) -> None:
        entry = self._studio.painting.history.get(job)
        if entry is not None:
            self._ask_for_png(entry.facts.seed, lambda path: self._studio.save(entry, path))

    def _choose_layer_png(self) -> None:
        made = active_made_layer(self._studio.painting.say)
        if made is not None:
            seed = made.record.facts.seed
            self._ask_for_png(seed, lambda path: self._studio.save_layer(made, path))

    def _ask_for_png(self, seed: int, chosen: Callable[[Path], None]) -> None:
        proposed = Path(QtCore.QDir.homePath()) / f"{seed}.png"
        choose_png_to_write(self, tr("Save as PNG"), proposed, chosen)

    def _folds(self) -> Dict[str, Fold]:
        return {"negative": self._form.folds["negative"], **self._lower}

    def _save_folds(self) -> None:
        stored.save_open_parts([name for name, fold in self._folds().items() if fold.is_open()])

    def _on_map_kept(self, key: str, chosen: ChosenControl) -> None:
        if self._document is not None and self._document.key == key:
            self._form.map_was_kept(chosen)

    # ---- showing how things stand

    def _update_soon(self) -> None:
        if not self._update_timer.isActive():
            self._update_timer.start(UPDATE_MS)

    def _show_studio(self) -> None:
        painting = self._studio.painting
        self._form.show_presets()
        self._cancel.setEnabled(bool(painting.in_hand()))
        self._settings.show_skipped(painting.skipped)
        self._state.show_painting(painting)
        preview = painting.preview if self._studio.settings.previews_in_docker else None
        self._results.show_history(painting.history, painting.current, preview)
        self._live.setChecked(self._studio.live.is_on)
        self._live_view.show_live(self._studio.live, self._studio.keeper)

    def _look_again(self) -> None:
        """Now and then. One selection replacing another may be none for a moment: only what lasts counts."""
        before, self._situation = self._situation, self._seen() if self.isVisible() else None
        if self._situation is not None and self._situation is before:
            self._form.strength.see(self._situation)
        if self._situation is not None and self._document is not None:
            self._upscale.show_document(self._document)

    def _look(self) -> None:
        """Right now."""
        situation = self._seen()
        if situation is not None:
            self._form.strength.see(situation)

    def _seen(self) -> Optional[Situation]:
        """What selection and canvas look like; None while a stroke is being painted."""
        document = self._document
        if document is not None and document.is_open() and document.is_idle():
            return document.situation()
        return None

"""What Krita is told about: the actions with their shortcuts, and the docker."""

from __future__ import annotations

from typing import Any, Callable, List, Optional, Tuple

from krita import DockWidgetFactory, DockWidgetFactoryBase, Extension, Krita

from . import settings
from .qt import Qt, QtCore, QtWidgets
from .studio import Studio
from .text import tr
from .ui.docker import DOCKER_ID, BridgeDocker

MENU = "tools/scripts"
_BRUSH_PRESETS = "PresetDocker"
DOCKERS_BACK_MS = 300

_studio: Optional[Studio] = None
_dockers: List[BridgeDocker] = []


def studio() -> Studio:
    """The one studio of this Krita."""
    global _studio
    if _studio is None:
        _studio = Studio()
    return _studio


def register() -> None:
    """Tell Krita about the extension and the docker; called while Krita loads its plugins."""
    krita = Krita.instance()
    krita.addExtension(BridgeExtension(krita))
    right = getattr(DockWidgetFactoryBase, "DockPosition", DockWidgetFactoryBase).DockRight
    krita.addDockWidgetFactory(DockWidgetFactory(DOCKER_ID, right, _Docker))


class _Docker(BridgeDocker):
    """One for each window; Krita makes dockers without arguments."""

    def __init__(self) -> None:
        super().__init__(studio())
        _dockers.append(self)
        self.destroyed.connect(lambda: _dockers.remove(self))

    def canvasChanged(self, canvas: Any) -> None:
        super().canvasChanged(canvas)
        # From 5.2 on Krita also calls with a canvas while its welcome page is all there is.
        if Krita.instance().activeDocument() is not None and settings.is_first_run():
            # With its first document Krita brings its dockers back, and ours goes behind or away.
            QtCore.QTimer.singleShot(DOCKERS_BACK_MS, lambda: _share_room(self))


class BridgeExtension(Extension):  # type: ignore[misc]
    """Actions, and the studio's beginning and end."""

    def __init__(self, parent: Any) -> None:
        super().__init__(parent)
        self._started = False

    def setup(self) -> None:
        """Nothing to do before there is a window."""

    def createActions(self, window: Any) -> None:
        """Krita asks for every new window; the default shortcuts are in krita_bridge.action."""
        for name, text, run in _actions():
            window.createAction(name, text, MENU).triggered.connect(lambda _=False, run=run: run())
        if not self._started:
            self._started = True
            # The window is not there yet while Krita asks.
            QtCore.QTimer.singleShot(0, self._start)

    def _start(self) -> None:
        studio().start()
        QtCore.QCoreApplication.instance().aboutToQuit.connect(studio().stop)


def _share_room(docker: BridgeDocker) -> None:
    """Put the docker beside the brush presets as a tab, half the window high: a quarter of the column is too small."""
    docker.setVisible(True)
    main = docker.window()
    presets = main.findChild(QtWidgets.QDockWidget, _BRUSH_PRESETS)
    if presets is not None and main.dockWidgetArea(presets) == main.dockWidgetArea(docker):
        main.tabifyDockWidget(presets, docker)
        main.resizeDocks([docker], [main.height() // 2], Qt.Orientation.Vertical)
    docker.raise_()


def _actions() -> List[Tuple[str, str, Callable[[], None]]]:
    return [
        ("krita_bridge_generate", tr("Generate"), lambda: _on_docker(BridgeDocker.generate)),
        ("krita_bridge_live", tr("Live Painting"), lambda: _on_docker(BridgeDocker.toggle_live)),
        ("krita_bridge_cancel", tr("Cancel Generating"), lambda: studio().painting.cancel()),
        ("krita_bridge_keep", tr("Keep the Result"), lambda: studio().keep()),
        (
            "krita_bridge_keep_parts",
            tr("Keep Parts of the Live Picture"),
            lambda: studio().keep_parts(),
        ),
        (
            "krita_bridge_render_live",
            tr("Render the Live Picture"),
            lambda: _on_docker(BridgeDocker.render_live),
        ),
        (
            "krita_bridge_record_live",
            tr("Record Live Painting"),
            lambda: studio().toggle_recording(),
        ),
        ("krita_bridge_next_result", tr("Next Result"), lambda: studio().painting.show_beside(1)),
        (
            "krita_bridge_previous_result",
            tr("Previous Result"),
            lambda: studio().painting.show_beside(-1),
        ),
        (
            "krita_bridge_expand",
            tr("Expand the Canvas and Paint What Is New"),
            lambda: _on_docker(BridgeDocker.expand),
        ),
        ("krita_bridge_upscale", tr("Upscale"), lambda: _on_docker(BridgeDocker.upscale)),
        (
            "krita_bridge_next_mode",
            tr("Next Mode"),
            lambda: _on_docker(BridgeDocker.choose_next_mode),
        ),
        (
            "krita_bridge_strength_up",
            tr("Strength Up"),
            lambda: _on_docker(lambda docker: docker.change_strength(1)),
        ),
        (
            "krita_bridge_strength_down",
            tr("Strength Down"),
            lambda: _on_docker(lambda docker: docker.change_strength(-1)),
        ),
    ]


def _on_docker(run: Callable[[BridgeDocker], None]) -> None:
    """Call the docker of the window in front; its form counts, also while it is hidden."""
    window = Krita.instance().activeWindow()
    front = window.qwindow() if window is not None else None
    for docker in sorted(_dockers, key=lambda docker: docker.window() is not front):
        run(docker)
        return

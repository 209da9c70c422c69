"""The bridge's docker as a painter uses it: clicking, typing, reading what it says."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .document import Document, Layer
    from .session import Krita

DOCKER = "krita_bridge_docker"
PATIENCE = 240.0  # seconds; a model loads, on a machine that does other things too

_FIND = f"""\
docker = next(d for d in Krita.instance().dockers() if d.objectName() == {DOCKER!r})
"""

_OPEN_CANCEL = """\
menu = docker.findChild(QtWidgets.QToolButton, 'cancel').menu()
menu.aboutToShow.emit()
"""


class BridgeDocker:
    """The docker in the window of a Krita that has the plugin."""

    def __init__(self, krita: Krita) -> None:
        self.krita = krita

    def ask(self, expression: str) -> Any:
        """Python inside Krita with `docker` at hand."""
        return self.krita.evaluate(_FIND + expression)

    def find(self, kind: str, name: str) -> dict[str, Any]:
        """A visible widget of the docker by its object name."""
        return next(w for w in self.krita.widgets(kind, DOCKER) if w["name"] == name)

    def make_room(self) -> None:
        """Close the brush presets and colours below and above: on this screen they leave too little."""
        for other in ("PresetDocker", "ColorSelectorNg"):
            self.krita.show_docker(other, False)
        self.krita.show_docker(DOCKER)

    # --- what it says ------------------------------------------------------------------------

    def state(self) -> str:
        """The line of state or error; also while Krita hides the docker, for want of a document."""
        return str(self.ask("docker.findChild(QtWidgets.QLabel, 'state').text()"))

    def mode(self) -> str:
        """The word that says what Generate will do."""
        return str(self.ask("docker.findChild(QtWidgets.QToolButton, 'mode').text()"))

    def wait_for_mode(self, word: str) -> None:
        """The docker looks at selection and canvas a few times a second."""
        self.krita.wait_until(lambda: self.mode() == word, PATIENCE)

    def is_busy(self) -> bool:
        return bool(self.ask("docker.findChild(QtWidgets.QToolButton, 'cancel').isEnabled()"))

    def progress(self) -> int:
        """Steps that are done of the job whose progress is shown."""
        return int(self.ask("docker.findChild(QtWidgets.QProgressBar, 'progress').value()"))

    def results(self) -> int:
        """How many results wait as thumbnails."""
        return len([job for job in self.ask(_THUMBNAILS) if job])

    def is_picture_in_the_making(self) -> bool:
        """Whether the first of the thumbnails is of no result yet."""
        return None in self.ask(_THUMBNAILS)[:1]

    def wait_for_state(self, part: str) -> str:
        """The state line once it contains these words."""
        found: list[str] = []

        def says_so() -> bool:
            found.append(self.state())
            return part in found[-1]

        try:
            self.krita.wait_until(says_so, PATIENCE)
        except AssertionError as error:
            raise AssertionError(f"{part!r} not in {found[-1]!r}\n{error}") from error
        return found[-1]

    def is_connected(self) -> bool:
        return bool(self.ask(_IS_CONNECTED))

    def wait_until_connected(self) -> None:
        try:
            self.krita.wait_until(self.is_connected, PATIENCE)
        except AssertionError as error:
            raise AssertionError(f"not connected, the docker says {self.state()!r}") from error

    def wait_until_idle(self) -> None:
        self.krita.wait_until(lambda: not self.is_busy(), PATIENCE)

    # --- what the painter does -----------------------------------------------------------------

    def choose(self, preset: str) -> None:
        index = f"docker.findChild(QtWidgets.QComboBox, 'preset').findData({preset!r})"
        self.krita.wait_until(lambda: self.ask(index) >= 0, PATIENCE)
        self.ask(f"docker.findChild(QtWidgets.QComboBox, 'preset').setCurrentIndex({index})")

    def can_cancel(self) -> list[str]:
        """What the menu behind Cancel lists: the names of the layers, without their seeds."""
        texts = self.ask(f"{_OPEN_CANCEL}[action.text() for action in menu.actions()]")
        return [text.rpartition(" (")[0] for text in texts]

    def cancel_only(self, prompt: str) -> None:
        """One entry of the menu behind Cancel, without the pointer."""
        number = self.can_cancel().index(prompt)
        self.ask(f"{_OPEN_CANCEL}menu.actions()[{number}].trigger()")

    def choose_mode(self, word: str) -> None:
        """The entry of the menu behind the mode, without the pointer: menus need a window manager."""
        self.ask(
            "menu = docker.findChild(QtWidgets.QToolButton, 'mode').menu()\n"
            "menu.aboutToShow.emit()\n"
            f"entry = next(a for a in menu.actions() if a.text() == {word!r})\n"
            "assert entry.isEnabled()\n"
            "entry.trigger()"
        )
        self.krita.wait_until(lambda: self.mode() == word)

    def write(self, prompt: str) -> None:
        """Click into the prompt and type over what is there. The keyboard stays in the prompt."""
        self.krita.focus()
        self.krita.click_widget(self.find("QPlainTextEdit", "prompt"))
        self.krita.wait_until(lambda: self.ask(_HAS_FOCUS))
        self.krita.press("ctrl+a")
        self.krita.type_text(prompt)
        self.krita.wait_until(
            lambda: self.find("QPlainTextEdit", "prompt")["toPlainText"] == prompt
        )

    def generate(self) -> None:
        """Shift+Enter, wherever the keyboard is."""
        self.krita.press("shift+Return")

    def click(self, kind: str, name: str) -> None:
        """Click a widget as soon as it is there, in sight and rests: what unfolds moves what is below it."""
        seen: list[Any] = [None]
        into_sight = (
            f"widget = docker.findChild(QtWidgets.{kind}, {name!r})\n"
            "scroll = docker.findChild(QtWidgets.QScrollArea)\n"
            "if scroll.isAncestorOf(widget): scroll.ensureWidgetVisible(widget)\n"
        )

        def rests() -> bool:
            self.ask(into_sight)
            widgets = [w for w in self.krita.widgets(kind, DOCKER) if w["name"] == name]
            seen.append(widgets[0]["rect"] if widgets else None)
            return seen[-1] is not None and seen[-1] == seen[-2]

        self.krita.wait_until(rests, every=0.15)
        self.krita.click_widget({"rect": seen[-1]})

    def switch(self, kind: str, name: str, on: bool) -> None:
        """Click a box or button that stays down, unless it is as wanted, and wait until it is."""
        if self.find(kind, name)["isChecked"] != on:
            self.click(kind, name)
        self.krita.wait_until(lambda: self.find(kind, name)["isChecked"] == on)

    def click_result(self, index: int = 0) -> None:
        """Click a thumbnail as soon as it is in sight and rests; 0 is the latest."""
        self.make_room()  # with a document Krita 6 brings the others back
        seen: list[Any] = [None]
        code = (
            "results = docker.findChild(QtWidgets.QListWidget, 'results')\n"
            f"results.scrollToItem(results.item({index}))\n"
            f"at = results.visualItemRect(results.item({index})).center()\n"
            "at = results.viewport().mapToGlobal(at)\n"
            "scroll = docker.findChild(QtWidgets.QScrollArea)\n"  # folds below may have scrolled it
            "inside = scroll.widget().mapFromGlobal(at)\n"
            "scroll.ensureVisible(inside.x(), inside.y())\n"
            "at = scroll.widget().mapToGlobal(inside)\n"
            "[at.x(), at.y()]"
        )

        def rests() -> bool:
            seen.append(self.ask(code))
            return bool(seen[-1] == seen[-2])

        self.krita.wait_until(rests, every=0.15)
        x, y = seen[-1]
        self.krita.click((x, y))

    # --- both ----------------------------------------------------------------------------------

    def ask_for(self, prompt: str, preset: str = "quick") -> None:
        """Type the prompt and press Shift+Enter."""
        self.choose(preset)
        self.write(prompt)
        self.generate()

    def paint(self, document: Document, prompt: str, preset: str = "quick") -> Layer:
        """The same, and wait until the result is on its layer."""
        self.ask_for(prompt, preset)
        return self.wait_for_result(document, prompt)

    def choose_for_latest(self, prompt: str, signal: str) -> None:
        """What an entry of the latest thumbnail's menu does, without the pointer, once that is `prompt`'s: it
        comes a moment after the layer."""
        latest = "latest = docker.findChild(QtWidgets.QListWidget, 'results').item(0)\n"
        told = latest + "latest.data(QtCore.Qt.ItemDataRole.AccessibleTextRole) if latest else ''"
        self._wait(lambda: prompt in (self.ask(told) or ""), f"a thumbnail of {prompt!r}")
        job = "latest.data(QtCore.Qt.ItemDataRole.UserRole)"
        self.ask(f"{latest}latest.listWidget().{signal}.emit({job})")

    def wait_for_preview(self, document: Document, prompt: str) -> Layer:
        """A locked layer of this prompt with something on it."""

        def preview() -> Layer | None:
            layers = [x for x in layers_of(document, prompt) if x.locked and x.bounds[2]]
            return layers[0] if layers else None

        return self._wait(preview, f"a preview of {prompt!r}")

    def wait_for_result(self, document: Document, prompt: str) -> Layer:
        """An unlocked layer of this prompt, with everything settled."""

        def result() -> Layer | None:
            layers = [x for x in layers_of(document, prompt) if not x.locked]
            return layers[-1] if layers else None

        found = self._wait(result, f"a result of {prompt!r}")
        document.settle()
        return found

    def _wait(self, probe: Any, what: str) -> Any:
        try:
            return self.krita.wait_until(probe, PATIENCE)
        except AssertionError as error:
            raise AssertionError(
                f"{what} did not come; the docker says {self.state()!r}"
            ) from error


_THUMBNAILS = """\
results = docker.findChild(QtWidgets.QListWidget, 'results')
[results.item(i).data(QtCore.Qt.ItemDataRole.UserRole) for i in range(results.count())]
"""
_IS_CONNECTED = "docker.findChild(QtWidgets.QComboBox, 'preset').count() > 0"
_HAS_FOCUS = "docker.findChild(QtWidgets.QPlainTextEdit, 'prompt').hasFocus()"


def layers_of(document: Document, prompt: str) -> list[Layer]:
    """The layers that were made for a prompt."""
    return [layer for layer in document.layers() if layer.name.startswith(f"{prompt} (")]

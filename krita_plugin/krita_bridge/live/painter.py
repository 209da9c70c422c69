"""Live painting inside Krita: looks at the document in front again and again, and holds the latest picture.

Nothing is written to the document, so there is nothing to undo and nothing to put back; a picture that is kept becomes
a layer like the result of any job.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Callable, Optional, Protocol

from .. import document as documents
from ..capture import CannotCapture
from ..client import Client, ConnectionChanged, ConnectionState, Event
from ..document import CanvasDocument
from ..notes import Form
from ..text import tr
from ..turns import Task, Turns
from ..wire.frames import Buffer
from ..wire.messages import Fault, LivePicture, LiveResync, MessageError
from .follow import CALM_SECONDS, Follow, Pace, Wanted


@dataclass(frozen=True)
class Shown:
    """The latest picture: BGRA uint8 of the size of `message.bounds`, transparent where not selected. `asked`: the form of the
    latest look, as a rule that of this picture."""

    document: CanvasDocument
    message: LivePicture
    image: Buffer
    asked: Optional[Form]


class Audience(Protocol):
    """Who looks at the pictures besides the painter: `keeper.LiveKeeper`."""

    def live_begins(self) -> None: ...

    def take(self, shown: Shown) -> None:
        """A picture has come; it will not change any more."""

    def live_ends(self) -> None: ...


class LivePainter:
    """Live painting, on or off; one for the whole program. `aim` says what is wanted of a document, or raises
    MessageError with a sentence; `say` shows one, `changed` is called after whatever the docker shows."""

    def __init__(
        self,
        client: Client,
        turns: Turns,
        audience: Audience,
        say: Callable[[str], None],
        changed: Callable[[], None],
    ) -> None:
        self._client = client
        self._turns = turns
        self._audience = audience
        self._say = say
        self._changed = changed
        self._follow: Optional[Follow] = None
        self._aim: Optional[Callable[[CanvasDocument], Wanted]] = None
        self._document: Optional[CanvasDocument] = None
        self._asked: Optional[Form] = None
        self._connected = False
        self._sentence = ""
        self.shown: Optional[Shown] = None

    @property
    def is_on(self) -> bool:
        return self._follow is not None

    def pace(self) -> Pace:
        return self._follow.pace() if self._follow is not None else Pace()

    def switch_on(self, aim: Callable[[CanvasDocument], Wanted]) -> None:
        if self._follow is None:
            self._aim, self._follow = aim, Follow(self._client, time.monotonic)
            self._turns.add("live", self._run(self._follow))
            self._audience.live_begins()
            self._changed()

    def switch_off(self) -> None:
        if self._follow is not None:
            self._follow.stop()
            self._follow = self._document = self.shown = None
            self._complain("")
            self._audience.live_ends()
            self._changed()

    def on_event(self, event: Event) -> None:
        """What the client hears, on the UI thread."""
        follow = self._follow
        if isinstance(event, ConnectionChanged):
            self._connected = event.state is ConnectionState.CONNECTED
            if follow is not None:
                follow.begin_anew()
            return
        message = event.message
        if follow is None:
            return
        if isinstance(message, LiveResync):
            follow.lost(message)
        elif isinstance(message, Fault) and message.job == follow.live:
            self.switch_off()
        elif isinstance(message, LivePicture) and event.image is not None:
            if follow.arrived(message) and self._document is not None:
                self.shown = Shown(self._document, message, event.image, self._asked)
                self._audience.take(self.shown)
                self._changed()

    def _run(self, follow: Follow) -> Task:
        try:
            while self._follow is follow:
                document = documents.active_document()
                if document is None or not self._connected:
                    yield CALM_SECONDS
                else:
                    yield from self._look(follow, document)
        except Exception:
            # As when the window whose docker it was switched on in is closed.
            if self._follow is follow:
                self.switch_off()
            raise

    def _look(self, follow: Follow, document: CanvasDocument) -> Task:
        assert self._aim is not None
        try:
            wanted = self._aim(document)
            self._document, self._asked = document, wanted.asked
            pause = yield from follow.look(document, wanted)
        except (MessageError, CannotCapture) as error:
            # What was seen of this look counts for nothing.
            follow.begin_anew()
            self._complain(tr(str(error)))
            pause = CALM_SECONDS
        else:
            self._complain("")
        yield pause

    def _complain(self, sentence: str) -> None:
        """Say why nothing is painted, once; and take it back."""
        if sentence != self._sentence:
            self._sentence = sentence
            self._say(sentence)

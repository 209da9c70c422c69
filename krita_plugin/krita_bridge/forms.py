"""What the painter had set: in each open document, and with each press of Generate."""

from __future__ import annotations

from dataclasses import replace
from typing import Dict, List, Optional

from . import settings as stored
from .conditions import ChosenControl, without_keep
from .document import CanvasDocument
from .history import MOST_RESULTS
from .notes import DocumentMemory, Form, new_memory


class Forms:
    """Forms by document, for as long as Krita runs; a copy lies in each document and in Krita's settings."""

    def __init__(self) -> None:
        self._of_document: Dict[str, Form] = {}
        self._of_press: Dict[str, Form] = {}

    def of(self, document: Optional[CanvasDocument]) -> Form:
        """What was set for this document; the last values for a new one."""
        if document is None:
            return stored.load_last_form()
        if document.key not in self._of_document:
            memory = document.memory()
            form = memory.form if memory else stored.load_last_form()
            self._of_document[document.key] = form
        return self._of_document[document.key]

    def keep(self, key: str, form: Form) -> None:
        """The document of this key comes back with `form`."""
        self._of_document[key] = form

    def used(
        self, document: CanvasDocument, press: str, form: Form, prompts: List[str]
    ) -> DocumentMemory:
        """A press of Generate asked for `form`; returns what the document remembers from now on."""
        memory = document.memory()
        memory = DocumentMemory(memory.document, form) if memory else new_memory(form)
        document.remember(memory)
        stored.save_used(form, prompts)
        self.keep(document.key, form)
        self._of_press[press] = form
        for oldest in list(self._of_press)[:-MOST_RESULTS]:
            del self._of_press[oldest]
        return memory

    def asked(self, press: str) -> Optional[Form]:
        """What a press of Generate of this run of Krita asked for."""
        return self._of_press.get(press)

    def map_was_kept(self, key: str, chosen: ChosenControl) -> None:
        """The map of a control is a layer now: it need not become another."""
        form = self._of_document.get(key)
        if form is not None:
            self.keep(key, replace(form, controls=without_keep(form.controls, chosen)))

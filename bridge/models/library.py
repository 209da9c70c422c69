"""Folders of weights that painters name: LoRAs, hypernetworks and textual inversions in prompts, VAEs in requests."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from bridge.errors import BridgeError, Code
from bridge.models import weights


@dataclass(frozen=True)
class Library:
    """The files below `folder` of the bridge's home, and those of `models_own`, which a model in diffusers layout may bring,
    that are called otherwise. A file's name in a prompt is
    its path without the ending; where no other file is called the same, the last part of it is enough. Upper and
    lower case are one.

    Nothing of a name from a prompt ever becomes a path: it is looked for among the files that are there.
    """

    folder: Path
    kind: str
    """ "LoRA": what the painter calls one of them."""

    models_own: Path | None = None
    """Those that came with a model in diffusers layout."""

    def files(self) -> Mapping[str, Path]:
        """By name, in lower case. Pickled files are there too, for the error that they deserve."""
        found: dict[str, Path] = {}
        for name, path in self._all():
            found.setdefault(name.casefold(), path)
        for name, path in list(found.items()):
            found.setdefault(name.rpartition("/")[2], path)
        return found

    def named(self) -> Mapping[str, Path]:
        """By the names that painters read, in alphabetical order."""
        found: dict[str, Path] = {}
        for name, path in self._all():
            found.setdefault(name, path)
        return dict(sorted(found.items(), key=lambda each: each[0].casefold()))

    def find(self, name: str) -> Path:
        """Raises BridgeError (MODEL_MISSING) with the names that come near."""
        files = self.files()
        path = files.get(name.casefold())
        if path is None:
            raise BridgeError(
                Code.MODEL_MISSING, f"There is no {self.kind} “{name}”.", self._hint(name, files)
            )
        return path

    def _all(self) -> Iterator[tuple[str, Path]]:
        """Each file after its name; of two of the same name the one that counts is the first."""
        for folder in filter(None, (self.folder, self.models_own)):
            for path in _weights_below(folder):
                yield path.relative_to(folder).with_suffix("").as_posix(), path

    def _hint(self, name: str, files: Mapping[str, Path]) -> str:
        near = difflib.get_close_matches(name.casefold(), files, n=3, cutoff=0.5)
        if near:
            named = dict.fromkeys(files[each].stem for each in near)
            return f"Did you mean {' or '.join(f'“{each}”' for each in named)}?"
        return f"Put its .safetensors file into {self.folder}."


def _weights_below(folder: Path) -> list[Path]:
    """The safe ones first: of two files that differ in their ending only, it is the one that counts."""
    endings = {weights.SUFFIX, *weights.PICKLE_SUFFIXES}
    paths = [path for path in folder.rglob("*") if path.suffix.lower() in endings]
    return sorted(paths, key=lambda path: (path.suffix.lower() != weights.SUFFIX, path))

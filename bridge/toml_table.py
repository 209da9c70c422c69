"""Strict reading of a TOML table: each key is asked for by name and type, and none may be left over."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from pathlib import Path

from bridge.errors import BridgeError, Code


class Table:
    """One table of a file. Every reading method raises BridgeError naming the file and the key."""

    def __init__(self, file: Path, name: str, values: Mapping[str, object]) -> None:
        self._file = file
        self._name = name
        self._values = values
        self._known: set[str] = set()

    def __contains__(self, key: str) -> bool:
        return key in self._values

    def error(self, key: str, problem: str) -> BridgeError:
        """The error for `key` ("" for the table itself); `problem` completes "The key ... "."""
        where = ".".join(part for part in (self._name, key) if part)
        subject = f"“{where}”" if where else "the file"
        return BridgeError(
            Code.BAD_INPUT,
            f"In the preset file {self._file}, {subject} {problem}.",
            "Mend the file.",
        )

    def table(self, key: str) -> Table:
        value = self._take(key)
        if not isinstance(value, dict):
            raise self.error(key, "must be a table")
        return Table(self._file, ".".join(part for part in (self._name, key) if part), value)

    def text(self, key: str, *, most: int, default: str | None = None) -> str:
        """A string of at most `most` characters; empty or missing only with a `default`."""
        value = self._take(key, default)
        if not isinstance(value, str):
            raise self.error(key, "must be a text in quotes")
        if len(value) > most:
            raise self.error(key, f"is longer than {most} characters")
        if not value.strip() and default is None:
            raise self.error(key, "must not be empty")
        return value

    def matching(self, key: str, pattern: re.Pattern[str], default: str | None = None) -> str:
        """A string that `pattern` matches as a whole."""
        value = self._take(key, default)
        if not isinstance(value, str) or pattern.fullmatch(value) is None:
            raise self.error(key, f"must be a text of the form {pattern.pattern}")
        return value

    def optional_matching(self, key: str, pattern: re.Pattern[str]) -> str | None:
        """As `matching`, or None when the key is missing."""
        self._known.add(key)
        return self.matching(key, pattern) if key in self._values else None

    def path(self, key: str, base: Path) -> Path:
        """A path; a relative one starts at `base`, `~` is the home folder."""
        value = self.text(key, most=4096)
        if "\0" in value:
            raise self.error(key, "is not a path")
        try:
            return base / Path(value).expanduser()
        except RuntimeError as error:
            raise self.error(key, "names the home folder of an unknown user") from error

    def flag(self, key: str) -> bool:
        value = self._take(key)
        if not isinstance(value, bool):
            raise self.error(key, "must be true or false")
        return value

    def whole(self, key: str, least: int, most: int, default: int | None = None) -> int:
        value = self._take(key, default)
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            raise self.error(key, f"must be a whole number from {least} to {most}")
        return value

    def number(self, key: str, least: float, most: float, default: float | None = None) -> float:
        value = self._take(key, default)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise self.error(key, "must be a number")
        if math.isfinite(value) and least <= value <= most:
            return float(value)
        raise self.error(key, f"must be a number from {least:g} to {most:g}")

    def refuse_unknown_keys(self) -> None:
        """To be called last: a key that nothing asked for is an error, not a silent typo."""
        unknown = sorted(set(self._values) - self._known)
        if unknown:
            known = ", ".join(sorted(self._known))
            raise self.error(unknown[0], f"is not known here (known: {known})")

    def _take(self, key: str, default: object = None) -> object:
        self._known.add(key)
        value = self._values.get(key, default)
        if value is None:
            raise self.error(key, "is missing")
        return value

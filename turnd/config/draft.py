"""A configuration being put together from layers, which remembers where each value came from."""

from __future__ import annotations

import os
import re
import tomllib
from typing import Any

import attrs

from turnd.config.errors import ConfigError
from turnd.config.positions import key_lines
from turnd.config.schema import Path, all_keys, dotted

_TOML_LINE = re.compile(r" \(at line (\d+), column \d+\)$")


@attrs.frozen(slots=True)
class Place:
    """Where a value was written: a file and line, or a variable's or flag's name."""

    file: str
    line: int | None = None


class Draft:
    """TOML values in a tree, and the place of each.

    Args:
        file: what an error names that belongs to no value in particular.

    """

    def __init__(self, file: str) -> None:
        self.tree: dict[str, Any] = {}
        self._places: dict[Path, Place] = {(): Place(file)}

    @classmethod
    def from_toml(cls, path: str | os.PathLike[str]) -> Draft:
        """Read a TOML file; relative paths in it start at its folder.

        Raises:
            ConfigError: the file can't be read or is no TOML.

        """
        file = os.fspath(path)
        text = read_text(file)
        draft = cls(file)
        try:
            draft.tree = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            found = _TOML_LINE.search(str(error))
            line = int(found[1]) if found else text.count("\n") + 1
            message = f"not TOML: {_TOML_LINE.sub('', str(error))}"
            raise ConfigError(file, line, "", message) from error
        for key, line in key_lines(text).items():
            draft._places[key] = Place(file, line)
        draft.anchor_paths(os.path.dirname(file))
        return draft

    def anchor_paths(self, folder: str) -> None:
        """Make relative file names start at `folder`."""
        for path, key in all_keys().items():
            section = self.tree.get(path[0])
            value = section.get(path[-1]) if key.is_path and isinstance(section, dict) else None
            if isinstance(value, str) and value and isinstance(section, dict):
                section[path[-1]] = os.path.abspath(os.path.join(folder, value))

    def set(self, path: Path, value: Any, place: Place) -> None:
        """Put `value` at ``(section, key)`` or ``(key,)`` in place of what is there.

        Raises:
            ConfigError: the section is no table.

        """
        table = self.tree
        for index, name in enumerate(path[:-1]):
            table = table.setdefault(str(name), {})
            if not isinstance(table, dict):
                raise self.error(path[: index + 1], "expected a table, written [section]")
        table[str(path[-1])] = value
        for old in [p for p in self._places if p[: len(path)] == path]:
            del self._places[old]
        self._places[path] = place

    def add(self, path: Path, value: Any, place: Place) -> None:
        """Append `value` to the list at `path`, which begins empty."""
        table = self.tree
        for name in path[:-1]:
            table = table.setdefault(str(name), {})
        items: list[Any] = table.setdefault(str(path[-1]), [])
        self._places[(*path, len(items))] = place
        items.append(value)

    def get(self, path: Path) -> Any:
        """Return what is at ``(section, key)`` or ``(key,)``, None when nothing is."""
        table: Any = self.tree
        for name in path:
            table = table.get(name) if isinstance(table, dict) else None
        return table

    def place(self, path: Path) -> Place:
        """Return where the value at `path`, or the nearest thing around it, was written."""
        for length in range(len(path), -1, -1):
            place = self._places.get(path[:length])
            if place is not None:
                return place
        return self._places[()]

    def error(self, path: Path, message: str) -> ConfigError:
        """Make the error that points at `path`."""
        place = self.place(path)
        return ConfigError(place.file, place.line, dotted(path), message)


def read_text(file: str) -> str:
    """Read a UTF-8 file.

    Raises:
        ConfigError: it can't be read or is no UTF-8.

    """
    try:
        with open(file, encoding="utf-8", newline="") as stream:
            return stream.read()
    except OSError as error:
        raise ConfigError(file, None, "", f"can't be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(file, None, "", "is not UTF-8 text") from error

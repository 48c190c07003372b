"""Reading a configuration: file, then environment, then command line, then checks."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from turnd.config.check import problems
from turnd.config.draft import Draft
from turnd.config.environment import apply_environment, apply_overrides
from turnd.config.errors import ConfigError
from turnd.config.schema import Key, Kind, Path, all_keys, find_key, unknown_keys
from turnd.config.sections import Config

_AT = re.compile(r"^(?P<message>.*?) - at `\$\.?(?P<path>[^`]*)`$", re.DOTALL)
_STEP = re.compile(r"\[(\d+)\]|([^.\[\]]+)")
_WRONG_TYPE = re.compile(r"Expected `([\w |]+)`, got `(\w+)`")
_OUT_OF_BOUNDS = re.compile(r"Expected `(?:int|float)(?: \| null)?` (\S+) (\S+)")
_WRONG_LENGTH = re.compile(r"Expected `str` of length (\S+) (\d+)")
_MISSING = re.compile(r"Object missing required field `(\w+)`")
_NAMES = {
    "int": "an integer",
    "float": "a number",
    "str": "a string",
    "bool": "true or false",
    "array": "a list",
    "object": "a table",
    "null": "nothing",
}
_BOUNDS = {">=": "at least", "<=": "at most", ">": "more than", "<": "less than", "==": "exactly"}


def load_config(
    path: str | os.PathLike[str] | None,
    environ: Mapping[str, str] | None = None,
    overrides: Mapping[str, Any] | None = None,
    *,
    check_files: bool = True,
) -> Config:
    """Read and check a TOML configuration.

    Args:
        path: the file; None for the built-in defaults.
        environ: where `TURND_` variables are, usually `os.environ`; None for none.
        overrides: command-line flags by dotted key; see `apply_overrides`.
        check_files: also look at what the configuration points to: certificates, users of
            the system, folders.

    Raises:
        ConfigError: with file, line and key of what is wrong.

    """
    draft = Draft("built-in defaults") if path is None else Draft.from_toml(path)
    return finish(draft, environ, overrides, check_files=check_files)


def finish(
    draft: Draft,
    environ: Mapping[str, str] | None = None,
    overrides: Mapping[str, Any] | None = None,
    *,
    check_files: bool = True,
) -> Config:
    """Put environment and flags over a file's draft, convert, and check.

    Raises:
        ConfigError: with file, line and key of what is wrong.

    """
    # The file by itself first: a variable must not hide that its section is no table.
    for path, message in unknown_keys(draft.tree):
        raise draft.error(path, message)
    apply_environment(draft, environ or {})
    apply_overrides(draft, overrides or {})
    for path, message in unknown_keys(draft.tree):
        raise draft.error(path, message)
    for path in _unfit_texts(draft.tree, ()):
        raise draft.error(path, "holds a NUL or bytes that are not UTF-8")
    try:
        config = msgspec.convert(_without_empties(draft.tree), Config, dec_hook=_decode)
    except msgspec.ValidationError as error:
        raise _explain(draft, error) from error
    for problem in problems(config, check_files=check_files):
        raise draft.error(problem.path, problem.message)
    return config


def _unfit_texts(value: Any, path: Path) -> Iterator[Path]:
    """Yield where strings are that neither files nor protocols nor logs could hold."""
    if isinstance(value, str):
        # Arguments that are not UTF-8 come as lone surrogates.
        if "\0" in value or any("\ud800" <= char <= "\udfff" for char in value):
            yield path
    elif isinstance(value, dict):
        for name, item in value.items():
            yield from _unfit_texts(item, (*path, name))
    elif isinstance(value, (list, tuple)):
        for index, item in enumerate(value):
            yield from _unfit_texts(item, (*path, index))


def _decode(value_class: type[str], value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError(f"expected a string in quotes, not {_NAMES.get(_toml_type(value))}")  # noqa: TRY004 - msgspec adds the path to this one
    return value_class(value)


def _toml_type(value: Any) -> str:
    names = {bool: "bool", int: "int", float: "float", list: "array", dict: "object"}
    return names.get(type(value), "")


def _without_empties(tree: dict[str, Any]) -> dict[str, Any]:
    """Copy the tree with None for each ``""`` that says there is none."""
    copy = {name: dict(v) if isinstance(v, dict) else v for name, v in tree.items()}
    for path, key in all_keys().items():
        section = copy.get(path[0])
        if key.empty_is_none and isinstance(section, dict) and section.get(key.name) == "":
            section[key.name] = None
    return copy


def _explain(draft: Draft, error: msgspec.ValidationError) -> ConfigError:
    """Say a validation error with the words of TOML, and where."""
    found = _AT.match(str(error))
    message = found["message"] if found else str(error)
    steps = _STEP.finditer(found["path"]) if found else ()
    path: Path = tuple(int(step[1]) if step[1] else step[2] for step in steps)
    if (missing := _MISSING.match(message)) is not None:
        return draft.error((*path, missing[1]), "is missing")
    key = find_key(path)
    if not isinstance(error.__cause__, ValueError):
        message = _reword(message, key) + _default(key, path)
    return draft.error(path, message)


def _reword(message: str, key: Key | None) -> str:
    if key is not None and key.choices and "null" not in message:
        return "must be one of " + ", ".join(f'"{choice}"' for choice in key.choices)
    if (found := _WRONG_TYPE.match(message)) is not None:
        expected = _NAMES.get(found[1].removesuffix(" | null"), found[1])
        return f"expected {expected}, not {_NAMES.get(found[2], found[2])}"
    if (found := _OUT_OF_BOUNDS.match(message)) is not None:
        return f"must be {_BOUNDS[found[1]]} {found[2]}"
    if (found := _WRONG_LENGTH.match(message)) is not None:
        return f"must be {_BOUNDS[found[1]]} {found[2]} characters long"
    return message


def _default(key: Key | None, path: Path) -> str:
    """Name the default as an example of what would be right."""
    if key is None or key.default is None or key.is_secret or len(path) != 2:
        return ""
    if key.kind in {Kind.INTEGER, Kind.FLOAT}:
        return f"; the default is {key.default}"
    if key.kind is Kind.TEXT and key.default:
        return f'; the default is "{key.default}"'
    return ""

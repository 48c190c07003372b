"""The layers above the file: environment variables, then command-line flags.

`TURND_SECTION__KEY=value` sets a key, `TURND_SECTION__KEY_FILE=path` reads it from a
file (a container's mounted secret). Lists are comma separated, or a TOML or JSON array.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Mapping
from typing import Any

from turnd.config.draft import Draft, Place, read_text
from turnd.config.errors import ConfigError
from turnd.config.schema import Key, Kind, all_keys, dotted, nearest

PREFIX = "TURND_"
CONFIG_FILE_VARIABLE = "TURND_CONFIG"
"""Names the configuration file; read by the command line."""

_BOOLEANS = {
    **dict.fromkeys(("true", "yes", "on", "1"), True),
    **dict.fromkeys(("false", "no", "off", "0"), False),
}
# Kubernetes and `docker --link` set these for a service that is called "turnd", or
# "turnd-something", whether anyone asked or not.
_SERVICE_LINK = re.compile(
    r"TURND_(?:[A-Z0-9_]+_)?(?:SERVICE_HOST|SERVICE_PORT(?:_[A-Z0-9_]+)?"
    r"|PORT_\d+_(?:TCP|UDP|SCTP)(?:_(?:PROTO|PORT|ADDR))?)"
)
_SERVICE_URL = re.compile(r"(?:tcp|udp|sctp)://")


def variable_names() -> dict[str, tuple[str, ...]]:
    """Return the path of each key by the name of its variable."""
    return {PREFIX + "__".join(path).upper(): path for path in all_keys()}


def apply_environment(draft: Draft, environ: Mapping[str, str]) -> None:
    """Put the values of `TURND_` variables over those in `draft`.

    Raises:
        ConfigError: a variable is unknown, set twice (also as ``_FILE``), or can't be read.

    """
    names = variable_names()
    for name in sorted(environ):
        if not name.startswith(PREFIX) or name == CONFIG_FILE_VARIABLE:
            continue
        text, from_file = environ[name], False
        target = name
        if name not in names and name.removesuffix("_FILE") in names:
            target, from_file = name.removesuffix("_FILE"), True
        place = Place(f"environment variable {name}")
        if target not in names:
            if _SERVICE_LINK.fullmatch(name) or _SERVICE_URL.match(text):
                continue
            raise ConfigError(place.file, None, "", _unknown(name, names))
        path = names[target]
        if from_file and target in environ:
            raise ConfigError(place.file, None, dotted(path), f"{target} is set as well; unset one")
        key = all_keys()[path]
        try:
            value = _from_file(key, text) if from_file else parse_text(key, text)
        except ValueError as error:
            raise ConfigError(place.file, None, dotted(path), str(error)) from error
        draft.set(path, value, place)


def apply_overrides(draft: Draft, overrides: Mapping[str, Any]) -> None:
    """Put the values of command-line flags over everything else.

    Args:
        draft: what there is so far.
        overrides: by dotted key (``"relay.ports"``); a string is read like a variable's,
            None means that the flag was not given.

    Raises:
        ConfigError: there is no such key, or its text does not parse.

    """
    place = Place("command line")
    for name, value in overrides.items():
        if value is None:
            continue
        path = tuple(name.split("."))
        key = all_keys().get(path)
        if key is None:
            close = nearest(name, map(dotted, all_keys()))
            hint = f'; did you mean "{close}"?' if close else ""
            raise ConfigError(place.file, None, name, f"no such key{hint}")
        try:
            parsed = parse_text(key, value) if isinstance(value, str) else value
        except ValueError as error:
            raise ConfigError(place.file, None, name, str(error)) from error
        draft.set(path, list(parsed) if isinstance(parsed, tuple) else parsed, place)


def parse_text(key: Key, text: str) -> Any:
    """Turn a variable's text into the TOML value that `key` takes.

    Raises:
        ValueError: it has not that form. Never repeats a secret.

    """
    if key.kind is Kind.TEXT:
        return text
    text = text.strip()
    if key.kind is Kind.BOOLEAN:
        if text.lower() not in _BOOLEANS:
            raise ValueError(f'"{text}" is not a boolean; write true or false')
        return _BOOLEANS[text.lower()]
    if key.kind in {Kind.INTEGER, Kind.FLOAT}:
        try:
            return int(text) if key.kind is Kind.INTEGER else float(text)
        except ValueError as error:
            raise ValueError(f'"{text}" is not {key.kind.value}') from error
    if text.startswith("["):
        array = _array(text)
        if array is not None:
            return array
    if key.kind is Kind.TABLES:
        raise ValueError(
            'write a TOML or JSON array of tables, for example [{ name = "alice", … }, …]'
        )
    return [item.strip() for item in text.split(",") if item.strip()]


def _array(text: str) -> list[Any] | None:
    """Read a TOML or JSON array; None when it is neither (``[::]:3478`` is not)."""
    try:
        return list(tomllib.loads(f"v = {text}")["v"])
    except tomllib.TOMLDecodeError:
        pass
    try:
        return list(json.loads(text))
    except ValueError:
        return None


def _from_file(key: Key, file: str) -> Any:
    """Read a value from a file: the text without its last newline, a list one item a line."""
    text = read_text(file)
    if key.kind is Kind.TEXTS and not text.lstrip().startswith("["):
        return [line.strip() for line in text.splitlines() if line.strip()]
    return parse_text(key, text.rstrip("\r\n"))


def _unknown(name: str, names: Mapping[str, tuple[str, ...]]) -> str:
    close = nearest(name, [*names, *(f"{known}_FILE" for known in names)])
    hint = f"; did you mean {close}?" if close else ""
    return f"sets no key{hint} Keys are set by TURND_SECTION__KEY"

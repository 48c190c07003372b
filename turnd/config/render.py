"""A configuration as TOML text, with its secrets or without; and how two of them differ."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from turnd.config.schema import Key, Kind, all_keys, dotted, keys_of, sections
from turnd.config.sections import Config

HIDDEN = "***"
"""What stands in place of a secret."""

_ESCAPES = {
    '"': '\\"',
    "\\": "\\\\",
    "\b": "\\b",
    "\t": "\\t",
    "\n": "\\n",
    "\f": "\\f",
    "\r": "\\r",
}


def print_config(config: Config) -> str:
    """Write every key with the value in force, secrets hidden."""
    return render_toml(config, reveal=False)


def render_toml(config: Config, *, reveal: bool, only_changes: bool = False) -> str:
    """Write a configuration as TOML.

    Args:
        config: what to write.
        reveal: show secrets; the text then loads as the same configuration.
        only_changes: leave out what is as built in.

    """
    built_in = Config()
    blocks: list[str] = []
    for name, struct in sections().items():
        section, default = getattr(config, name), getattr(built_in, name)
        keys = keys_of(struct)
        lines = _pairs(section, default if only_changes else None, keys, reveal=reveal)
        if lines or not only_changes:
            blocks.append("\n".join([f"[{name}]", *lines]))
        blocks.extend(_tables(name, section, keys, reveal=reveal))
    blocks.extend(_tables("", config, {"realms": all_keys()["realms",]}, reveal=reveal))
    return "\n\n".join(blocks) + "\n" if blocks else ""


def differences(old: Config, new: Config) -> tuple[str, ...]:
    """Return the dotted keys whose values differ; a table counts as its whole list."""
    return tuple(dotted(path) for path in all_keys() if _at(old, path) != _at(new, path))


def toml_string(text: str) -> str:
    """Write a TOML basic string."""
    escaped = "".join(
        _ESCAPES.get(char) or (f"\\u{ord(char):04x}" if char < " " or char == "\x7f" else char)
        for char in text
    )
    return f'"{escaped}"'


def toml_value(value: Any) -> str:
    """Write a string, number, boolean, or a sequence of them, or a mapping, as TOML."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return toml_string(value)
    if value is None:
        return '""'
    if isinstance(value, Mapping):
        inner = ", ".join(f"{name} = {toml_value(item)}" for name, item in value.items())
        return f"{{ {inner} }}" if inner else "{}"
    if isinstance(value, (tuple, list)):
        items = [toml_value(item) for item in value]
        line = f"[{', '.join(items)}]"
        if len(line) <= 80:
            return line
        return "[\n" + "".join(f"    {item},\n" for item in items) + "]"
    return repr(value)


def _tables(
    section: str, holder: msgspec.Struct, keys: Mapping[str, Key], *, reveal: bool
) -> list[str]:
    """Write the arrays of tables among `keys`."""
    blocks: list[str] = []
    for name, key in keys.items():
        if key.table is None:
            continue
        header = f"[[{section}.{name}]]" if section else f"[[{name}]]"
        inner = keys_of(key.table)
        for item in getattr(holder, name):
            lines = _pairs(item, None, inner, reveal=reveal, short=True)
            blocks.append("\n".join([header, *lines]))
    return blocks


def _pairs(
    holder: msgspec.Struct,
    default: msgspec.Struct | None,
    keys: Mapping[str, Key],
    *,
    reveal: bool,
    short: bool = False,
) -> list[str]:
    """Write ``key = value`` lines; without those equal to `default`, or, if short, unset ones."""
    lines: list[str] = []
    for name, key in keys.items():
        value = getattr(holder, name)
        if key.kind is Kind.TABLES or (value is None and not key.empty_is_none):
            continue
        if default is not None and value == getattr(default, name):
            continue
        if short and not key.required and value == key.default:
            continue
        lines.append(f"{name} = {toml_value(value if reveal else _hide(key, value))}")
    return lines


def _hide(key: Key, value: Any) -> Any:
    if not key.is_secret:
        return value
    if isinstance(value, tuple):
        return tuple(HIDDEN for _ in value)
    return HIDDEN if value else ""


def _at(config: Config, path: tuple[str, ...]) -> Any:
    value: Any = config
    for name in path:
        value = getattr(value, name)
    return value

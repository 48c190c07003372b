"""The keys there are, read off the structs: for the environment, errors, and rendering."""

from __future__ import annotations

import difflib
import enum
import functools
import types
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, cast

import attrs
import msgspec

from turnd.config.sections import Config
from turnd.config.values import FilePath, Secret

Path = tuple[str | int, ...]
"""Where a value is: ``("auth", "users", 0, "name")``."""


class Kind(enum.Enum):
    """What a key holds in TOML."""

    TEXT = "a string"
    INTEGER = "an integer"
    FLOAT = "a number"
    BOOLEAN = "true or false"
    TEXTS = "a list of strings"
    TABLES = "a list of tables"


@attrs.frozen(slots=True)
class Key:
    """One key of one struct.

    Attributes:
        name: as written in TOML.
        kind: what it holds.
        default: its default; None also where leaving it out is the default.
        required: it has no default.
        optional: "left out" and `default` None are the same.
        value_class: the `str` subclass its strings become.
        choices: the strings it may hold, empty for any.
        table: the struct of each table, for `Kind.TABLES`.

    """

    name: str
    kind: Kind
    default: Any
    required: bool
    optional: bool
    value_class: type[str] = str
    choices: tuple[str, ...] = ()
    table: type[msgspec.Struct] | None = None

    @property
    def is_secret(self) -> bool:
        """Whether its value must never be shown."""
        return issubclass(self.value_class, Secret)

    @property
    def is_path(self) -> bool:
        """Whether it names a file."""
        return issubclass(self.value_class, FilePath)

    @property
    def empty_is_none(self) -> bool:
        """Whether ``""`` in TOML says that there is none."""
        return self.optional and self.kind is Kind.TEXT


def keys_of(struct: type[msgspec.Struct]) -> dict[str, Key]:
    """Return the keys of a section's struct (not of `Config` itself) by name."""
    return {field.name: _key(field) for field in _fields(struct)}


def sections() -> dict[str, type[msgspec.Struct]]:
    """Return the struct of each ``[section]`` by name; `realms` is a key, not a section."""
    return {
        field.name: field.type.cls
        for field in _fields(Config)
        if isinstance(field.type, msgspec.inspect.StructType)
    }


@functools.cache
def all_keys() -> Mapping[tuple[str, ...], Key]:
    """Return every key outside of tables by path, ``("relay", "ports")`` or ``("realms",)``."""
    keys: dict[tuple[str, ...], Key] = {}
    for field in _fields(Config):
        if isinstance(field.type, msgspec.inspect.StructType):
            for name, key in keys_of(field.type.cls).items():
                keys[field.name, name] = key
        else:
            keys[field.name,] = _key(field)
    return types.MappingProxyType(keys)


def find_key(path: Path) -> Key | None:
    """Return the key that a path leads to or through (list indices are skipped)."""
    names = tuple(part for part in path if isinstance(part, str))
    keys = all_keys()
    for length in (1, 2):
        key = keys.get(names[:length])
        if key is None:
            continue
        if key.table is not None and len(names) > length:
            return keys_of(key.table).get(names[length])
        return key
    return None


def unknown_keys(tree: dict[str, Any]) -> Iterator[tuple[Path, str]]:
    """Yield what `tree` has and the structs lack, each with a sentence that names the nearest."""
    known = sections()
    for name, value in tree.items():
        if name in known:
            if isinstance(value, dict):
                yield from _unknown_in((name,), value, keys_of(known[name]))
        elif name == "realms":
            yield from _unknown_in((), {name: value}, {name: all_keys()[name,]})
        else:
            yield (name,), _no_such(name, [*known, "realms"], ())


def dotted(path: Path) -> str:
    """Write a path as the operator reads it: ``auth.users[0].name``."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            text += f".{part}" if text else part
    return text


def nearest(name: str, candidates: Iterable[str]) -> str | None:
    """Return the candidate most like `name`, None when nothing is."""
    matches = difflib.get_close_matches(name, list(candidates), n=1, cutoff=0.6)
    return matches[0] if matches else None


def _unknown_in(
    path: Path, table: dict[str, Any], keys: dict[str, Key]
) -> Iterator[tuple[Path, str]]:
    for name, value in table.items():
        key = keys.get(name)
        if key is None:
            yield (*path, name), _no_such(name, list(keys), path)
        elif key.table is not None and isinstance(value, list):
            for index, item in enumerate(value):
                if isinstance(item, dict):
                    yield from _unknown_in((*path, name, index), item, keys_of(key.table))


def _no_such(name: str, siblings: list[str], path: Path) -> str:
    """Say that a key does not exist; look beside it first, then in every section."""
    close = nearest(name, siblings)
    if close is not None:
        suggestion = dotted((*path, close))
    else:
        by_name = {keys[-1]: keys for keys in all_keys()}
        elsewhere = nearest(name, by_name)
        suggestion = dotted(by_name[elsewhere]) if elsewhere else ""
    thing = "key" if path else "section"
    return f"no such {thing}" + (f'; did you mean "{suggestion}"?' if suggestion else "")


@functools.cache
def _fields(struct: type[msgspec.Struct]) -> tuple[msgspec.inspect.Field, ...]:
    info = cast("msgspec.inspect.StructType", msgspec.inspect.type_info(struct))
    return info.fields


def _key(field: msgspec.inspect.Field) -> Key:
    field_type, optional = _strip(field.type)
    default = None if field.default is msgspec.NODEFAULT else field.default
    table: type[msgspec.Struct] | None = None
    choices: tuple[str, ...] = ()
    value_class: type[str] = str
    item = field_type
    if isinstance(field_type, msgspec.inspect.VarTupleType):
        item = _strip(field_type.item_type)[0]
        kind = Kind.TEXTS
    else:
        kind = _KINDS.get(type(field_type), Kind.TEXT)
    if isinstance(item, msgspec.inspect.StructType):
        kind, table = Kind.TABLES, item.cls
    elif isinstance(item, msgspec.inspect.CustomType):
        value_class = item.cls
    elif isinstance(item, msgspec.inspect.LiteralType):
        choices = tuple(str(value) for value in item.values)
    return Key(
        name=field.name,
        kind=kind,
        default=default,
        required=field.required,
        optional=optional,
        value_class=value_class,
        choices=choices,
        table=table,
    )


_KINDS: dict[type[msgspec.inspect.Type], Kind] = {
    msgspec.inspect.IntType: Kind.INTEGER,
    msgspec.inspect.FloatType: Kind.FLOAT,
    msgspec.inspect.BoolType: Kind.BOOLEAN,
}


def _strip(field_type: msgspec.inspect.Type) -> tuple[msgspec.inspect.Type, bool]:
    """Take ``| None`` and `Meta` wrappings off; say whether None was among them."""
    if isinstance(field_type, msgspec.inspect.Metadata):
        return _strip(field_type.type)
    if isinstance(field_type, msgspec.inspect.UnionType):
        inner = [t for t in field_type.types if not isinstance(t, msgspec.inspect.NoneType)]
        return _strip(inner[0])[0], len(inner) < len(field_type.types)
    return field_type, False

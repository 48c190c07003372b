"""Reading a configuration of either format, and turning a turnserver.conf into TOML."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Any

from turnd.config.errors import ConfigError
from turnd.config.load import finish, load_config
from turnd.config.render import render_toml
from turnd.config.schema import sections
from turnd.config.sections import Config
from turnd.coturn_conf.diagnostics import Diagnostic, Severity
from turnd.coturn_conf.translate import Translated, translate

_TOML_START = re.compile(r"\s*(?:\[|(?:" + "|".join([*sections(), "realms"]) + r")\s*\.)")


class CoturnConfError(ConfigError):
    """A turnserver.conf that turnd does not start with.

    Attributes:
        diagnostics: every remark on the file, the one this error is about among them.

    """

    def __init__(self, first: Diagnostic, diagnostics: tuple[Diagnostic, ...]) -> None:
        super().__init__(first.file, first.line, first.option, first.message)
        self.diagnostics = diagnostics


def is_toml(path: str | os.PathLike[str]) -> bool:
    """Say which format a file has: TOML (True) or coturn's (False).

    A name that ends in ``.toml`` settles it. Otherwise the first line that is neither blank
    nor a comment does: a ``[section]`` header, or a dotted key that starts with a section,
    is TOML, anything else is coturn's. Without such a line it is coturn's if the file's
    name holds ``turnserver``.

    Raises:
        ConfigError: the file can't be read.

    """
    file = os.fspath(path)
    if file.endswith(".toml"):
        return True
    for line in _read(file).decode("utf-8", "replace").splitlines():
        if line.strip() and not line.lstrip().startswith("#"):
            return _TOML_START.match(line) is not None
    return "turnserver" not in os.path.basename(file)


def load_coturn(
    path: str | os.PathLike[str],
    environ: Mapping[str, str] | None = None,
    overrides: Mapping[str, Any] | None = None,
    *,
    strict: bool = False,
    check_files: bool = True,
) -> tuple[Config, tuple[Diagnostic, ...]]:
    """Read a turnserver.conf.

    Args:
        path: the file.
        environ: where `TURND_` variables are, above the file; None for none.
        overrides: command-line flags by dotted key, above both.
        strict: unknown lines are errors.
        check_files: see `turnd.config.load_config`.

    Returns:
        The configuration and the remarks on the file, none of them an error.

    Raises:
        CoturnConfError: an option is refused or has a value that can't be used.
        ConfigError: the file can't be read, or what it says does not fit together; the
            line is coturn's, the key is ours.

    """
    translated = _translate(path, strict=strict)
    config = finish(translated.draft, environ, overrides, check_files=check_files)
    return config, translated.diagnostics


def load_any(
    path: str | os.PathLike[str] | None,
    environ: Mapping[str, str] | None = None,
    overrides: Mapping[str, Any] | None = None,
    *,
    strict: bool = False,
    check_files: bool = True,
) -> tuple[Config, tuple[Diagnostic, ...]]:
    """Read a configuration of either format (see `is_toml`); None is the built-in one.

    TOML gives no remarks: what is unknown there is an error. Arguments, results and errors
    are those of `load_coturn`.
    """
    if path is None or is_toml(path):
        return load_config(path, environ, overrides, check_files=check_files), ()
    return load_coturn(path, environ, overrides, strict=strict, check_files=check_files)


def convert_to_toml(
    path: str | os.PathLike[str], *, strict: bool = False
) -> tuple[str, tuple[Diagnostic, ...]]:
    """Write what a turnserver.conf means as TOML, secrets included.

    Only what differs from the built-in configuration is written; the text loads as the
    same configuration as the file. Neither the environment nor files that the
    configuration names are looked at, except for coturn's own SQLite database.

    Raises:
        CoturnConfError: as `load_coturn`.
        ConfigError: as `load_coturn`.

    """
    file = os.fspath(path)
    config, diagnostics = load_coturn(file, strict=strict, check_files=False)
    # A repr, so that no name can end the comment.
    name = repr(os.path.basename(file))
    head = f"# Made from {name} by turnd convert. It holds secrets: keep it private.\n"
    text = render_toml(config, reveal=True, only_changes=True)
    return head + ("\n" + text if text else ""), diagnostics


def _translate(path: str | os.PathLike[str], *, strict: bool) -> Translated:
    file = os.fspath(path)
    folder = os.path.dirname(os.path.abspath(file))
    translated = translate(file, _read(file), folder=folder, strict=strict)
    for diagnostic in translated.diagnostics:
        if diagnostic.severity is Severity.ERROR:
            raise CoturnConfError(diagnostic, translated.diagnostics)
    return translated


def _read(file: str) -> bytes:
    try:
        with open(file, "rb") as stream:
            return stream.read()
    except OSError as error:
        raise ConfigError(file, None, "", f"can't be read: {error.strerror}") from error

"""From the lines of a turnserver.conf to a draft of our own configuration, with remarks."""

from __future__ import annotations

import attrs

from turnd.config.draft import Draft
from turnd.config.schema import nearest
from turnd.coturn_conf.credentials import translate_credentials
from turnd.coturn_conf.diagnostics import Diagnostic
from turnd.coturn_conf.listeners import translate_listeners
from turnd.coturn_conf.options import OPTIONS, Option, Takes, Treatment
from turnd.coturn_conf.peers import translate_peers
from turnd.coturn_conf.process import (
    translate_logs,
    translate_metrics,
    translate_process,
    translate_tls,
)
from turnd.coturn_conf.relay import (
    translate_quotas,
    translate_redirection,
    translate_relay,
)
from turnd.coturn_conf.syntax import Statement, parse_lines
from turnd.coturn_conf.translation import Translation

# Bare, these mean their default; every other option with a value needs one.
_OPTIONAL = frozenset(
    {
        "stale-nonce",
        "max-allocate-lifetime",
        "channel-lifetime",
        "permission-lifetime",
        "prometheus-port",
        "unauthorized-ratelimit-rps",
        "secret-ts-exp-time",
    }
)


@attrs.frozen(slots=True)
class Translated:
    """What a turnserver.conf becomes, before environment, flags and checks.

    Attributes:
        draft: our own configuration, each value with its line.
        diagnostics: remarks, by line, those on the whole file first.

    """

    draft: Draft
    diagnostics: tuple[Diagnostic, ...]


def translate(file: str, data: bytes, *, folder: str = "", strict: bool = False) -> Translated:
    """Translate a turnserver.conf. Raises nothing: what is wrong is among the remarks.

    Args:
        file: its name, for the remarks.
        data: its content.
        folder: where relative file names in it start.
        strict: unknown lines are errors, not warnings.

    """
    statements = parse_lines(data)
    known = [s for s in statements if s.name in OPTIONS]
    sound = [s for s in known if _is_sound(s, OPTIONS[s.name])]
    t = Translation(file, sound)
    for statement in statements:
        option = OPTIONS.get(statement.name)
        if option is not None:
            _speak_of_form(t, statement, option)
        elif strict:
            t.error(statement, _unknown(statement))
        else:
            t.warning(statement, _unknown(statement) + "; ignored")
    for statement in sound:
        _speak_of_treatment(t, statement, OPTIONS[statement.name])
    translate_listeners(t)
    translate_relay(t)
    translate_peers(t)
    translate_quotas(t)
    translate_redirection(t)
    translate_credentials(t, folder)
    translate_tls(t, folder)
    translate_process(t, folder)
    translate_logs(t, folder)
    translate_metrics(t)
    return Translated(t.draft, tuple(sorted(t.diagnostics, key=lambda d: d.line or 0)))


def _is_sound(statement: Statement, option: Option) -> bool:
    """Whether the value has the form that the option takes."""
    if option.takes is Takes.FLAG:
        return statement.flag is not None
    if not statement.value:
        return option.name in _OPTIONAL
    if option.takes is Takes.NUMBER:
        return statement.number is not None
    return statement.is_text


def _speak_of_form(t: Translation, statement: Statement, option: Option) -> None:
    """Remark on a value that has not the form its option takes, or only just."""
    sound = _is_sound(statement, option)
    # Secrets are not repeated, so no value is: only numbers that were read as such.
    if sound and option.takes is Takes.NUMBER and not statement.value.isdecimal():
        if statement.value and statement.number is not None:
            t.warning(statement, f"read as {statement.number}, as coturn does")
    elif sound and option.takes is Takes.TEXT and statement.has_trailing_comment:
        t.warning(
            statement,
            "there are no comments behind a value: coturn takes the whole line, and so does turnd",
        )
    elif not sound and option.takes is Takes.FLAG:
        t.error(statement, "is neither on nor off; write on, off, or nothing for on")
    elif not sound and not statement.value:
        t.warning(statement, f"has no value, needs {option.takes.value}; ignored")
    elif not sound and option.takes is Takes.NUMBER:
        t.error(statement, "is not a number")
    elif not sound:
        t.error(statement, "is not UTF-8 text")


def _speak_of_treatment(t: Translation, statement: Statement, option: Option) -> None:
    """Say why an option is not taken; what is switched off needs no word."""
    off = option.takes is Takes.FLAG and not statement.flag
    if option.treatment is Treatment.TAKEN or off:
        return
    if option.name == "prometheus-path" and statement.value == "/metrics":
        return
    if option.treatment is Treatment.NEEDLESS:
        t.info(statement, f"nothing to do: {option.says}")
    elif option.treatment is Treatment.IGNORED:
        t.warning(statement, f"ignored: {option.says}")
    elif option.name == "listening-device" and t.last("listening-ip") is not None:
        t.info(statement, "nothing to do: listening-ip says where to listen")
    else:
        t.error(statement, option.says)


def _unknown(statement: Statement) -> str:
    bare = statement.name.lstrip("-")
    close = bare if bare in OPTIONS else nearest(bare, OPTIONS)
    hint = f'; did you mean "{close}"?' if close else ""
    return f"coturn has no such option{hint}"

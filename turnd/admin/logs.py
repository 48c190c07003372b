"""Structured logs: one line per session event, for machines or for people, never a secret."""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping, MutableMapping
from pathlib import Path
from typing import Any, TextIO

import structlog

from stun import ErrorCode, Method
from turnd.admin.line_budget import LineBudget
from turnd.core import outputs as o
from turnd.core.five_tuple import FiveTuple
from turnd.transports.address_limit import source_key

_LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}
_SECRET_WORDS = ("password", "secret", "credential", "key", "token", "nonce", "ticket")
_HIDDEN = "***"
_QUIET_ERRORS = {ErrorCode.UNAUTHENTICATED, ErrorCode.STALE_NONCE}


class LogFile:
    """Where log lines go: a file that can be reopened after rotation, or standard error.

    Args:
        path: the file, or None for standard error.

    Raises:
        OSError: the file can't be opened.

    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._stream: TextIO = sys.stderr
        self.reopen()

    def reopen(self) -> None:
        """Open the file again under its name; the old one stays if that fails."""
        if self._path is None:
            return
        stream = self._path.open("a", encoding="utf-8", buffering=1)
        if self._stream is not sys.stderr:
            self._stream.close()
        self._stream = stream

    def close(self) -> None:
        """Close the file; standard error stays open."""
        if self._stream is not sys.stderr:
            self._stream.close()
            self._stream = sys.stderr

    def isatty(self) -> bool:
        """Whether people watch."""
        return self._path is None and sys.stderr.isatty()

    def write(self, text: str) -> int:
        """Write; what can't be written is lost, the server goes on."""
        try:
            return self._stream.write(text)
        except (OSError, ValueError):
            return 0

    def flush(self) -> None:
        """Flush, as far as that is possible."""
        try:
            self._stream.flush()
        except (OSError, ValueError):
            return


def hide_secrets(
    _logger: object, _method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    """Blot out values whose name says that they are secret: belt and braces."""
    for name, value in event.items():
        event[name] = _HIDDEN if name != "event" and _is_secret(name) else _without_secrets(value)
    return event


def _is_secret(name: object) -> bool:
    lowered = str(name).lower()
    return any(word in lowered for word in _SECRET_WORDS)


def _without_secrets(value: object) -> object:
    """Blot out what is secret inside of tables and lists too: a whole section may be logged."""
    if isinstance(value, Mapping):
        return {
            name: _HIDDEN if _is_secret(name) else _without_secrets(inner)
            for name, inner in value.items()
        }
    if isinstance(value, list | tuple):
        return [_without_secrets(inner) for inner in value]
    return value


def configure_logging(level: str, style: str, file: LogFile) -> None:
    """Set structlog up for the whole process.

    Args:
        level: ``"debug"``, ``"info"``, ``"warning"`` or ``"error"``.
        style: ``"json"``, ``"human"``, or ``"auto"``: human where people watch.
        file: where to.

    """
    human = style == "human" or (style == "auto" and file.isatty())
    processors: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        hide_secrets,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    if human:
        processors.append(structlog.dev.ConsoleRenderer(colors=file.isatty()))
    else:
        processors += [
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ]
    structlog.configure(
        processors=processors,
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[level]),
        logger_factory=structlog.WriteLoggerFactory(file=file),  # type: ignore[arg-type]
        cache_logger_on_first_use=False,
    )
    # Libraries log through the standard library, of which only trouble is of interest.
    # Of accepting, without descriptors, it is told ten times a second, and by ours once.
    logging.getLogger("trio.serve_listeners").setLevel(logging.CRITICAL)
    logging.basicConfig(level=max(_LEVELS[level], logging.WARNING), stream=sys.stderr, force=True)


class EventLogger:
    """Turns the core's events into log lines; see `turnd.core.outputs`."""

    def __init__(self) -> None:
        self._failures = LineBudget()
        self.reconfigure()

    def reconfigure(self) -> None:
        """Go by what `configure_logging` said last."""
        # Bound once: structlog's lazy logger is made anew for every line.
        self._log = structlog.get_logger("turnd.session").bind()
        self._debug = self._log.is_enabled_for(logging.DEBUG)
        self._info = self._log.is_enabled_for(logging.INFO)

    def handle(self, output: o.Output) -> None:
        """Log one event."""
        if not self._info or (not self._debug and _is_routine(output)):
            return  # nothing here is more than information
        if isinstance(output, o.RequestAnswered):
            self._answered(output)
        elif isinstance(output, o.RequestDropped):
            self._log.debug("request-dropped", reason=output.reason, **_client(output.five_tuple))
        elif isinstance(output, o.PeerDenied):
            fields = {"peer": str(output.peer), "rule": output.rule}
            self._failed("peer-denied", output.five_tuple, 0, fields)
        elif isinstance(output, o.PeerConnection):
            self._log.info(
                "peer-connection",
                session=output.allocation,
                connection=output.connection_id,
                peer=str(output.peer),
                state=output.state,
            )
        else:
            self._session(output)

    def _answered(self, output: o.RequestAnswered) -> None:
        fields = {
            "method": method_name(output.method),
            "code": int(output.error_code),
            "realm": output.realm,
            "user": output.username,
        }
        if not output.error_code:
            self._log.debug("request-answered", **fields, **_client(output.five_tuple))
        elif _is_routine(output):
            self._log.debug("challenged", **fields, **_client(output.five_tuple))
        else:
            fields["reason"] = output.reason
            self._failed("request-rejected", output.five_tuple, output.error_code, fields)

    def _failed(
        self, event: str, five_tuple: FiveTuple, code: int, fields: Mapping[str, object]
    ) -> None:
        """Log what a client can cause again and again, as far as its budget goes."""
        key = (event, code, five_tuple.transport, source_key(five_tuple.client))
        unsaid = self._failures.take(key)
        if unsaid is not None:
            more = {"unsaid": unsaid} if unsaid else {}
            self._log.info(event, **fields, **_client(five_tuple), **more)

    def _session(self, output: o.Output) -> None:
        if isinstance(output, o.AllocationOpened):
            self._log.info(
                "allocation-opened",
                session=output.allocation,
                user=output.username,
                realm=output.realm,
                relayed=[str(relayed.public) for relayed in output.relayed],
                lifetime=output.lifetime,
                relays="tcp" if output.tcp else "udp",
                **_client(output.five_tuple),
            )
        elif isinstance(output, o.AllocationRefreshed):
            self._log.debug(
                "allocation-refreshed", session=output.allocation, lifetime=output.lifetime
            )
        elif isinstance(output, o.AllocationMoved):
            self._log.info(
                "allocation-moved",
                session=output.allocation,
                was=str(output.old_five_tuple.client),
                **_client(output.five_tuple),
            )
        elif isinstance(output, o.PermissionInstalled):
            self._log.debug(
                "permission-installed",
                session=output.allocation,
                peer=str(output.peer),
                channel=output.channel,
            )
        elif isinstance(output, o.AllocationClosed):
            traffic = output.traffic
            self._log.info(
                "allocation-closed",
                session=output.allocation,
                user=output.username,
                realm=output.realm,
                reason=output.reason,
                duration=round(output.duration, 3),
                packets_to_peer=traffic.packets_to_peer,
                bytes_to_peer=traffic.bytes_to_peer,
                packets_to_client=traffic.packets_to_client,
                bytes_to_client=traffic.bytes_to_client,
                **_client(output.five_tuple),
            )


def _is_routine(output: o.Output) -> bool:
    """Whether only those who debug want to know; most requests are, so that this is asked first."""
    if isinstance(output, o.RequestAnswered):
        # The first request of every client gets a 401: that is how it learns the nonce.
        return not output.error_code or (output.error_code in _QUIET_ERRORS and not output.reason)
    return isinstance(output, o.RequestDropped | o.AllocationRefreshed | o.PermissionInstalled)


def method_name(number: int) -> str:
    """Return a method's name in lower case; ``"unknown"`` for those nobody here knows."""
    try:
        return Method(number).name.lower()
    except ValueError:
        return "unknown"


def _client(five_tuple: FiveTuple) -> Mapping[str, str]:
    return {
        "transport": five_tuple.transport.value,
        "client": str(five_tuple.client),
        "server": str(five_tuple.server),
    }

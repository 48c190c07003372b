"""What can be asked of an agent's shell; `ice_client.core.Settings` has the core's part."""

from __future__ import annotations

import enum
from collections.abc import Iterable

import attrs
from attrs.validators import gt

from ice_client.core import Settings, Transport
from ice_client.interfaces import InterfaceFilter
from ice_client.server import IceServer
from stun.transaction import Timing


class Policy(enum.Enum):
    """Which candidates are gathered and told to the peer.

    `ALL`: every kind. `NO_HOST`: none that show the host's own addresses. `RELAY`: relayed ones
    alone; the peer learns nothing of where the host is.
    """

    ALL = "all"
    NO_HOST = "no-host"
    RELAY = "relay"


def _servers(values: Iterable[IceServer]) -> tuple[IceServer, ...]:
    return tuple(values)


def _transports(values: Iterable[Transport]) -> frozenset[Transport]:
    return frozenset(values)


@attrs.frozen(slots=True, kw_only=True)
class AgentOptions:
    """How an agent gathers; times in seconds.

    Attributes:
        servers: STUN and TURN servers, used side by side.
        policy: see `Policy`.
        interfaces: which of the host's addresses to use.
        tcp_types: kinds of TCP host candidates to gather (RFC 6544); none by default, as each
            is another socket and another row of pairs on every address.
        mdns: tell host candidates by random names under `.local` instead of addresses.
        continual: go on gathering when the network changes, and so never tell
            end-of-candidates; otherwise what came up newly is used after a restart.
        server_timeout: how long one server may take; no other candidate waits for it.
        turn_timing: retransmissions of requests to TURN servers.
        settings: of the core.

    """

    servers: tuple[IceServer, ...] = attrs.field(default=(), converter=_servers)
    policy: Policy = attrs.field(default=Policy.ALL, converter=Policy)
    interfaces: InterfaceFilter = attrs.field(factory=InterfaceFilter)
    tcp_types: frozenset[Transport] = attrs.field(default=frozenset(), converter=_transports)
    mdns: bool = False
    continual: bool = False
    server_timeout: float = attrs.field(default=5.0, validator=gt(0))
    turn_timing: Timing = attrs.field(factory=Timing)
    settings: Settings = attrs.field(factory=Settings)

    @tcp_types.validator
    def _check_tcp_types(self, _attribute: object, value: frozenset[Transport]) -> None:
        if Transport.UDP in value:
            raise ValueError("UDP is no kind of TCP candidate")

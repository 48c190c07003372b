"""Which ports to open for the lists of `[listen]`, when several lists share a port."""

from __future__ import annotations

from collections.abc import Iterable

import attrs

from turnd.config.values import Endpoint


@attrs.frozen(slots=True)
class Listener:
    """One socket to bind.

    Attributes:
        endpoint: where.
        plain: takes STUN as it is (UDP or TCP).
        secured: takes DTLS (a UDP port) or TLS (a TCP port).

    """

    endpoint: Endpoint
    plain: bool
    secured: bool


def merge_listeners(
    plain: Iterable[Endpoint], secured: Iterable[Endpoint], *, detect: bool
) -> tuple[Listener, ...]:
    """Merge a plain and a secured list into sockets, in their order, plain ones first.

    Args:
        plain: endpoints of `listen.udp` or `listen.tcp`.
        secured: endpoints of `listen.dtls` or `listen.tls`.
        detect: every port takes both kinds, as far as each kind is on at all: an empty
            list turns its kind off everywhere.

    """
    plain, secured = tuple(plain), tuple(secured)
    return tuple(
        Listener(
            endpoint,
            plain=endpoint in plain or (detect and bool(plain)),
            secured=endpoint in secured or (detect and bool(secured)),
        )
        for endpoint in dict.fromkeys(plain + secured)
    )

"""Keys that a reload (HUP) can't put in force, for the operator to be told."""

from __future__ import annotations

from turnd.config.render import differences
from turnd.config.sections import Config

AT_START_ONLY = frozenset(
    {
        # What the process is.
        "server.datapath",
        "server.threads",
        "server.user",
        "server.group",
        "server.pidfile",
        # Sockets are bound before root is given up, and stay.
        "listen.udp",
        "listen.tcp",
        "listen.tls",
        "listen.dtls",
        "listen.detect_tls",
        "listen.backlog",
        "listen.receive_buffer",
        "nat_discovery.alternate_address",
        "nat_discovery.alternate_port",
        "metrics.listen",
        # Files that are held open.
        "auth.user_database",
        "log.file",
        # Nonces that clients hold would all be stale at once.
        "auth.nonce_secret",
        # Series that Prometheus knows keep their labels.
        "metrics.per_realm",
        "metrics.per_user",
    }
)


def needs_restart(old: Config, new: Config) -> list[str]:
    """Return the dotted keys that differ and that only a start puts in force."""
    return [key for key in differences(old, new) if key in AT_START_ONLY]

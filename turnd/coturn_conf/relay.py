"""coturn's options for relay addresses, lifetimes, quotas, and alternate servers."""

from __future__ import annotations

import ipaddress

from turnd.config.values import Endpoint, ExternalAddress, IpAddress
from turnd.coturn_conf.translation import Translation


def translate_relay(t: Translation) -> None:
    """Translate what is relayed, from where, and for how long."""
    _addresses(t)
    low = t.number("min-port", at_least=1, at_most=65535)
    high = t.number("max-port", at_least=1, at_most=65535)
    if low is not None or high is not None:
        source = t.last("min-port", "max-port")
        low, high = low or 49152, high or 65535
        if low > high:
            t.error(source, f"min-port {low} is above max-port {high}")
        else:
            t.set("relay", "ports", f"{low}-{high}", source)
    for option, key in (("no-udp-relay", "udp"), ("no-tcp-relay", "tcp")):
        off = t.flag(option) or t.flag("stun-only")
        if off is not None:
            t.set("relay", key, False, off)
    if t.flag("no-udp-relay") and t.flag("no-tcp-relay") and not t.flag("stun-only"):
        t.error(t.last("no-udp-relay", "no-tcp-relay"), "nothing is left to relay; use stun-only")
    _lifetimes(t)
    shared = t.last("multiplex-peer")
    if shared is not None:
        t.set("relay", "shared", bool(shared.flag), shared)
    mobility = t.last("mobility")
    if mobility is not None:
        t.set("mobility", "enabled", bool(mobility.flag), mobility)


def translate_quotas(t: Translation) -> None:
    """Translate quotas; coturn counts bandwidth in bytes per second and direction, as turnd."""
    for option, key in (
        ("user-quota", "allocations_per_user"),
        ("total-quota", "allocations"),
        ("max-bps", "bandwidth_per_allocation"),
        ("bps-capacity", "bandwidth_total"),
    ):
        value = t.number(option)
        if value is not None:
            t.set("quota", key, value, t.last(option))


def translate_redirection(t: Translation) -> None:
    """Translate the alternate servers."""
    for option, key, port in (
        ("alternate-server", "alternate_servers", 3478),
        ("tls-alternate-server", "tls_alternate_servers", 5349),
    ):
        for statement in t.every(option):
            try:
                endpoint = _with_port(statement.value, port)
            except ValueError as error:
                t.error(statement, str(error))
            else:
                t.add(("redirect", key), endpoint, statement)


def _with_port(text: str, port: int) -> str:
    """Complete ``1.2.3.4``, ``[2001:db8::1]`` or ``2001:db8::1`` by the default port."""
    bare = text.removeprefix("[").removesuffix("]")
    try:
        ipaddress.ip_address(bare)
    except ValueError:
        return str(Endpoint(text))
    return str(Endpoint(f"[{bare}]:{port}" if ":" in bare else f"{bare}:{port}"))


def _addresses(t: Translation) -> None:
    """Relays are on relay-ip, else on listening-ip; external-ip gives them outside names."""
    named = list(t.parsed(IpAddress, "relay-ip")) or [
        (address, source)
        for address, source in t.parsed_quietly(IpAddress, "listening-ip")
        if any(address.packed)
    ]
    addresses = dict(named)
    for address, source in addresses.items():
        t.add(("relay", "addresses"), str(address), source)
    local = {address.packed for address in addresses}
    seen: set[object] = set()
    for external, source in t.parsed(ExternalAddress, "external-ip"):
        private = external.private
        key = private if private is not None else external.public.family
        if key in seen:
            t.warning(source, "ignored, as by coturn: an earlier line maps the same addresses")
        elif private is not None and local and private.packed not in local:
            t.warning(source, f"ignored: nothing is relayed on {private.host} (see relay-ip)")
        else:
            seen.add(key)
            t.add(("relay", "external"), str(external), source)


def _lifetimes(t: Translation) -> None:
    maximum = t.number("max-allocate-lifetime", at_least=1, at_most=2**32 - 1)
    if maximum is not None:
        source = t.last("max-allocate-lifetime")
        t.set("relay", "maximum_lifetime", maximum, source)
        if maximum < 600:
            t.set("relay", "default_lifetime", maximum, source)
    for option, key in (
        ("channel-lifetime", "channel_lifetime"),
        ("permission-lifetime", "permission_lifetime"),
    ):
        value = t.number(option, at_least=1, at_most=2**32 - 1)
        if value is not None:
            t.set("relay", key, value, t.last(option))

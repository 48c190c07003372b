"""coturn's options for peers as `[peers]`."""

from __future__ import annotations

from turnd.config.values import AddressRange
from turnd.coturn_conf.ranges import subtract
from turnd.coturn_conf.syntax import Statement
from turnd.coturn_conf.translation import Translation

_LOOPBACK = (AddressRange("127.0.0.0/8"), AddressRange("::1"))
_UNSPECIFIED = (AddressRange("0.0.0.0/8"), AddressRange("::"))
_MULTICAST = (AddressRange("224.0.0.0-255.255.255.255"), AddressRange("ff00::/8"))


def translate_peers(t: Translation) -> None:
    """Translate whom clients may reach; turnd's denial of special-purpose ranges stays."""
    loopback = t.flag("allow-loopback-peers")
    if loopback is not None:
        t.warning(loopback, "clients can reach every service on this machine's loopback")
        for own in _LOOPBACK:
            t.add(("peers", "allow"), str(own), loopback)
    multicast = t.flag("no-multicast-peers")
    if multicast is not None:
        t.set("peers", "deny_special", True, multicast)
    for allowed, source in t.parsed(AddressRange, "allowed-peer-ip"):
        allow_peers(t, allowed, source)
    for denied, source in t.parsed(AddressRange, "denied-peer-ip"):
        t.add(("peers", "deny"), str(denied), source)
    t.warning(
        None,
        "private and other special-purpose peer addresses are denied, which coturn would relay "
        "to; if clients need some, name them by allowed-peer-ip (peers.allow)",
    )


def allow_peers(t: Translation, allowed: AddressRange, source: Statement) -> None:
    """Add a range to `peers.allow`, less what coturn would deny all the same.

    coturn looks at loopback, 0.0.0.0 and multicast before its allow list; here allow
    beats everything, and a range as wide as the Internet would open them.
    """
    barred = [*_UNSPECIFIED]
    if t.flag("allow-loopback-peers") is None:
        barred += _LOOPBACK
    if t.flag("no-multicast-peers") is not None:
        barred += _MULTICAST
    rest = subtract(allowed, barred)
    for part in rest:
        t.add(("peers", "allow"), part, source)
    if rest != [str(allowed)]:
        t.info(
            source,
            "loopback, 0.0.0.0 (and multicast, if denied) stay closed, as with coturn; "
            "peers.allow could open them",
        )

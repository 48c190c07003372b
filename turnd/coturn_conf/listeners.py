"""coturn's listening options as `[listen]` and `[nat_discovery]`."""

from __future__ import annotations

from turnd.config.values import Endpoint, IpAddress
from turnd.coturn_conf.syntax import Statement
from turnd.coturn_conf.translation import Translation

_EVERYWHERE = (IpAddress("0.0.0.0"), IpAddress("::"))  # noqa: S104 - coturn's own default
_PORT, _TLS_PORT = 3478, 5349


def translate_listeners(t: Translation) -> None:
    """Translate where clients come in."""
    named = list(t.parsed(IpAddress, "listening-ip"))
    addresses = tuple(dict.fromkeys(address for address, _ in named)) or _EVERYWHERE
    port = t.number("listening-port", at_least=1, at_most=65535) or _PORT
    tls_port = t.number("tls-listening-port", at_least=1, at_most=65535) or _TLS_PORT
    has_tls = _has_certificate(t)
    for name, chosen_port, option in (
        ("udp", port, "listening-port"),
        ("tcp", port, "listening-port"),
        ("tls", tls_port, "tls-listening-port"),
        ("dtls", tls_port, "tls-listening-port"),
    ):
        off = t.flag(f"no-{name}")
        is_on = off is None and (has_tls or option == "listening-port")
        endpoints = [_endpoint(address, chosen_port) for address in addresses] if is_on else []
        t.set("listen", name, endpoints, off or t.last("listening-ip", option))
    _auxiliary(t)
    _proxied(t, addresses, has_tls=has_tls)

    timeout = t.number("max-allocate-timeout", at_least=1, at_most=86400)
    if timeout is not None:
        t.set("listen", "idle_timeout", float(timeout), t.last("max-allocate-timeout"))
    classic = t.flag("no-stun-backward-compatibility")
    if classic is not None:
        t.set("listen", "classic_stun", False, classic)
    wanted = t.flag("rfc3489-compatibility")
    if wanted is not None:
        t.set("listen", "classic_stun", True, wanted)
    size = t.number("sock-buf-size", at_most=2**30)
    if size is not None:
        t.set("listen", "receive_buffer", size, t.last("sock-buf-size"))
        t.set("relay", "receive_buffer", size, t.last("sock-buf-size"))
    _nat_discovery(t, addresses if named else (), port)


def _endpoint(address: IpAddress, port: int) -> str:
    return Endpoint(f"[{address}]:{port}" if ":" in address else f"{address}:{port}")


def _auxiliary(t: Translation) -> None:
    """Add the auxiliary servers' endpoints: more ports like the first ones."""
    for endpoint, source in t.parsed(Endpoint, "aux-server"):
        for name in ("udp", "tcp"):
            known = t.draft.get(("listen", name))
            if t.flag(f"no-{name}") is None and endpoint not in known:
                t.add(("listen", name), str(endpoint), source)


def _has_certificate(t: Translation) -> bool:
    """Whether TLS and DTLS may listen: coturn starts neither without a certificate."""
    certificate, key = t.last("cert"), t.last("pkey")
    if certificate is not None and key is not None:
        return True
    if certificate is not None or key is not None:
        t.warning(certificate or key, "not used: TLS and DTLS need both cert and pkey")
    elif not (t.flag("no-tls") and t.flag("no-dtls")):
        t.info(None, "without cert and pkey TLS and DTLS are off, as with coturn")
    return False


def _proxied(t: Translation, addresses: tuple[IpAddress, ...], *, has_tls: bool) -> None:
    """Translate `tcp-proxy-port`, which takes the place of all other TCP listeners."""
    port = t.number("tcp-proxy-port", at_least=1, at_most=65535)
    if port is None:
        return
    source = t.last("tcp-proxy-port")
    endpoints = [_endpoint(address, port) for address in addresses]
    t.set("listen", "tcp", [] if t.flag("no-tcp") else endpoints, source)
    t.set("listen", "tls", endpoints if has_tls and not t.flag("no-tls") else [], source)
    t.set("listen", "proxy_protocol", ["0.0.0.0/0", "::/0"], source)
    t.warning(
        source,
        "as with coturn, this is the only TCP port and anyone who reaches it is believed to be "
        "the proxy; name your proxy alone in listen.proxy_protocol",
    )


def _nat_discovery(t: Translation, addresses: tuple[IpAddress, ...], port: int) -> None:
    """RFC 5780 is on in coturn when one family has two listening addresses."""
    alternate = t.number("alt-listening-port", at_most=65535)
    alternate_port = alternate or (port + 1 if port < 65535 else port - 1)
    source: Statement | None = t.last("alt-listening-port")
    if source is not None:
        t.set("nat_discovery", "alternate_port", alternate_port, source)
    off = t.flag("no-rfc5780")
    if off is not None:
        t.set("nat_discovery", "alternate_address", "", off)
        return
    for address in addresses:
        same_family = [a for a in addresses if a.family == address.family and any(a.packed)]
        if len(same_family) > 1 and not t.flag("no-udp"):
            listening = t.last("listening-ip")
            t.set("nat_discovery", "alternate_address", same_family[1], listening)
            t.set("nat_discovery", "alternate_port", alternate_port, source or listening)
            if len(same_family) > 2:
                t.info(listening, "RFC 5780 runs on the first two addresses of that family")
            return

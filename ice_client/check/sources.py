"""Where targets come from: RTCIceServer JSON, configurations, a Matrix or XMPP server.

Configurations are read by a small reader of its own, for the few keys that say where a server
listens and whom it believes: `ice_client` knows nothing of `turnd`.
"""

from __future__ import annotations

import ipaddress
import json
import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs

from ice_client.check.target import DEFAULT_PORT, DEFAULT_SECURE_PORT, Target, TargetError
from stun.uri import StunUri, UriError

LARGEST_FILE = 1_000_000
MOST_URIS = 32
_WILDCARDS = {"", "0.0.0.0", "::"}  # noqa: S104 - recognised, not listened on
_COTURN_LINE = re.compile(r"([^#= \t][^= \t]*)[= \t]*(.*)")
_YES = {"", "1", "on", "yes", "true"}


def parse_uri(text: str) -> StunUri:
    """Read a URI.

    Raises:
        TargetError: it is none.

    """
    try:
        return StunUri.parse(text)
    except UriError as error:
        raise TargetError(str(error)) from error


def read_file(file: Path) -> str:
    """Read a text file, up to `LARGEST_FILE` characters.

    Raises:
        TargetError: it cannot be read, or is no text.

    """
    try:
        with file.open(encoding="utf-8") as stream:
            return stream.read(LARGEST_FILE)
    except OSError as error:
        raise TargetError(f"{file}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise TargetError(f"{file} is not UTF-8 text") from error


def from_ice_servers(text: str) -> list[Target]:
    """Read RTCIceServer JSON: an RTCConfiguration, a list of servers, or one server (W3C).

    Raises:
        TargetError: it is none, or names no server.

    """
    try:
        value = json.loads(text)
    except ValueError as error:
        raise TargetError(f"the ICE servers are not JSON: {error}") from error
    if isinstance(value, dict) and "iceServers" in value:
        value = value["iceServers"]
    servers = value if isinstance(value, list) else [value]
    targets = [_ice_server(server) for server in servers]
    if not targets:
        raise TargetError("there is no ICE server in the JSON")
    return targets


def _ice_server(server: Any) -> Target:
    if not isinstance(server, dict):
        raise TargetError(f"an ICE server is an object with urls, not {json.dumps(server)[:40]}")
    # "url" is what the specification had until 2015; libraries still write it.
    urls = server.get("urls", server.get("url"))
    urls = [urls] if isinstance(urls, str) else urls
    if not isinstance(urls, list) or not all(isinstance(each, str) for each in urls) or not urls:
        raise TargetError("an ICE server has urls: a string, or a list of strings")
    username, credential = server.get("username"), server.get("credential")
    if not all(each is None or isinstance(each, str) for each in (username, credential)):
        raise TargetError("username and credential of an ICE server are strings")
    uris = tuple(parse_uri(each) for each in urls[:MOST_URIS])
    return Target(uris=uris, username=username, password=credential, software="RTCIceServer")


def from_matrix(answer: Mapping[str, Any]) -> list[Target]:
    """Read the answer of Matrix's `/_matrix/client/v3/voip/turnServer`.

    Raises:
        TargetError: the homeserver has no TURN server.

    """
    uris = answer.get("uris")
    if not isinstance(uris, list) or not uris:
        raise TargetError("the homeserver offers no TURN server (turn_uris is not set in it)")
    server = {
        "urls": uris,
        "username": answer.get("username"),
        "credential": answer.get("password"),
    }
    return [attrs.evolve(_ice_server(server), software="Matrix")]


@attrs.frozen(slots=True, kw_only=True)
class ExternalService:
    """A `<service/>` of XEP-0215, as it came."""

    type: str
    host: str
    port: str | None = None
    transport: str | None = None
    username: str | None = None
    password: str | None = attrs.field(default=None, repr=False)


def from_xmpp(services: Iterable[ExternalService]) -> list[Target]:
    """Read the STUN and TURN services of XEP-0215; those with the same credentials together.

    Raises:
        TargetError: there are none, or one is malformed.

    """
    uris: dict[tuple[str | None, str | None], list[StunUri]] = {}
    for service in services:
        host = f"[{service.host}]" if _is_ipv6(service.host) else service.host
        port = f":{service.port}" if service.port else ""
        relays = service.type.startswith("turn")
        usual = "tcp" if service.type == "stuns" else "udp"
        told = (service.transport or "").lower()
        if not relays and told not in {"", usual}:
            continue  # RFC 7064 §3.1: a stun: URI cannot say it, so no browser would ask there
        transport = f"?transport={told}" if told and relays else ""
        uri = parse_uri(f"{service.type}:{host}{port}{transport}")
        uris.setdefault((service.username, service.password), []).append(uri)
    if not uris:
        raise TargetError("the XMPP server offers no STUN or TURN server to its users")
    return [
        Target(
            uris=tuple(dict.fromkeys(each)), username=username, password=password, software="XMPP"
        )
        for (username, password), each in uris.items()
    ]


def from_configuration(file: Path, host: str | None) -> list[Target]:
    """Read a turnd.toml or a coturn turnserver.conf.

    Args:
        file: which.
        host: name or address clients reach the server by; None for what the file says of it.

    Raises:
        TargetError: it cannot be read, or tells of no listener.

    """
    text = read_file(file)
    if _is_toml(file, text):
        try:
            return _from_turnd(tomllib.loads(text), file, host)
        except tomllib.TOMLDecodeError as error:
            raise TargetError(f"{file}: {error}") from error
    return _from_coturn(text, file, host)


def _is_toml(file: Path, text: str) -> bool:
    if file.suffix == ".toml":
        return True
    lines = (line.strip() for line in text.splitlines())
    first = next((line for line in lines if line and not line.startswith("#")), "")
    return bool(re.match(r"\[|[\w-]+\.[\w-]+\s*=", first))


def _section(config: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    section = config.get(name, {})
    return section if isinstance(section, dict) else {}


def _strings(value: Any) -> list[str]:
    items = value if isinstance(value, list) else [value] if value else []
    return [str(each) for each in items]


def _from_turnd(config: Mapping[str, Any], file: Path, host: str | None) -> list[Target]:
    listen, auth = _section(config, "listen"), _section(config, "auth")
    external = _strings(_section(config, "relay").get("external"))
    # turnd listens on the standard ports where nothing is said; without a certificate of its
    # own the secure ones are for nobody.
    plain, secure = [f"0.0.0.0:{DEFAULT_PORT}"], [f"0.0.0.0:{DEFAULT_SECURE_PORT}"]
    defaults = {"udp": plain, "tcp": plain}
    if _section(config, "tls").get("certificate"):
        defaults |= {"tls": secure, "dtls": secure}
    uris = [
        _listener_uri(kind, endpoint, _reached_by(host, external))
        for kind in ("udp", "tcp", "tls", "dtls")
        for endpoint in _strings(listen.get(kind, defaults.get(kind)))
    ]
    listed = auth.get("users", [])
    users = [
        each for each in (listed if isinstance(listed, list) else []) if isinstance(each, dict)
    ]
    user: Mapping[str, Any] = next((each for each in users if "password" in each), {})
    secret = next(iter(_strings(auth.get("secrets"))), None)
    realm = _section(config, "server").get("realm")
    return [
        _target(
            uris,
            file,
            secret=secret,
            user=(user.get("name"), user.get("password")),
            realm=str(realm) if realm else None,
        )
    ]


def _from_coturn(text: str, file: Path, host: str | None) -> list[Target]:
    options: dict[str, list[str]] = {}
    for raw in text.splitlines():
        # As coturn reads it: no comments behind a value, which may be a secret with a "#" in it.
        found = _COTURN_LINE.match(raw.strip())
        if found is not None:
            options.setdefault(found[1], []).append(found[2].strip('"'))

    def last(key: str, default: str | None = None) -> str | None:
        return options.get(key, [default or ""])[-1] or default

    def flag(key: str) -> bool:
        return key in options and options[key][-1].lower() in _YES

    reach = _reached_by(host, options.get("external-ip", []))
    hosts = options.get("listening-ip", [""])
    plain = last("listening-port", str(DEFAULT_PORT))
    secure = last("tls-listening-port", str(DEFAULT_SECURE_PORT))
    kinds = [("udp", plain), ("tcp", plain)]
    if "cert" in options:
        kinds += [("tls", secure), ("dtls", secure)]
    uris = [
        _listener_uri(kind, f"[{each}]:{port}" if ":" in each else f"{each}:{port}", reach)
        for kind, port in kinds
        if not flag(f"no-{kind}")
        for each in hosts
    ]
    name, _, password = (last("user") or "").partition(":")
    return [
        _target(
            uris,
            file,
            secret=last("static-auth-secret"),
            # A key instead of a password (0x…) is of no use to a client.
            user=(name or None, None if password.startswith("0x") else password or None),
            realm=last("realm"),
        )
    ]


def _reached_by(host: str | None, external: Sequence[str]) -> str:
    """Return what stands in for a wildcard: the name given, the external address, loopback."""
    public = external[0].partition("/")[0] if external else ""
    return host or public or "127.0.0.1"


def _listener_uri(kind: str, endpoint: str, instead: str) -> StunUri:
    host, _, port = endpoint.rpartition(":") if ":" in endpoint else ("", "", endpoint)
    host = host.strip("[]")
    if host in _WILDCARDS:
        host = instead
    if not port.isdigit():
        raise TargetError(f"listener {endpoint!r} is not ADDRESS:PORT")
    secure = kind in {"tls", "dtls"}
    transport = "udp" if kind in {"udp", "dtls"} else "tcp"
    shown = f"[{host}]" if _is_ipv6(host) else host
    return parse_uri(f"{'turns' if secure else 'turn'}:{shown}:{port}?transport={transport}")


def _is_ipv6(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).version == 6
    except ValueError:
        return False


def _target(
    uris: Iterable[StunUri],
    file: Path,
    *,
    secret: str | None,
    user: tuple[str | None, str | None],
    realm: str | None,
) -> Target:
    unique = tuple(dict.fromkeys(uris))[:MOST_URIS]
    if not unique:
        raise TargetError(f"{file}: it listens nowhere")
    if secret:
        return Target(uris=unique, secret=secret, realm=realm, software=str(file))
    username, password = user
    return Target(
        uris=unique, username=username, password=password, realm=realm, software=str(file)
    )

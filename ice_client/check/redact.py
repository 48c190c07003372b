"""Hides what nobody should post in public: addresses, names and secrets.

What an address *is* stays visible (`public-ipv4-1`, `private-ipv4-2`): that the relayed address
is private is the very thing a bug report has to say.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from typing import Any

import attrs

from ice_client.check.results import Report

_IPV4 = re.compile(r"(?<![\d.])\d{1,3}(?:\.\d{1,3}){3}(?![\d.]\d)")
_IPV6 = re.compile(r"(?<![\w:.])(?:[0-9A-Fa-f]{0,4}:){2,7}[0-9A-Fa-f.]*(?:%\w+)?")
_NAME = re.compile(r"(?<![\w.-])(?:[A-Za-z0-9_](?:[A-Za-z0-9_-]*[A-Za-z0-9])?\.)+[A-Za-z]{2,}\b")

_METADATA = ipaddress.ip_address("169.254.169.254")

HIDDEN = "(hidden)"
_SHORT = 6
"""Secrets shorter than this are hidden where they stand as words of their own."""
_CLOSED = frozenset(
    {"schema", "tool", "started", "kind", "type", "family"}
    | {"id", "severity", "title", "explanation", "fix"}
)
"""Fields that say nothing of anybody: fixed words, and the texts of the table of verdicts."""


def address_class(text: str) -> str:
    """Say what an IP address is: `loopback`, `link-local`, `private`, `multicast`, `public`."""
    address = ipaddress.ip_address(text.partition("%")[0])
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
        address = address.ipv4_mapped
    if address.is_loopback:
        return "loopback"
    if address.is_unspecified:
        return "unspecified"
    if address.is_multicast:
        return "multicast"
    if address.is_link_local:
        return "link-local"
    # 100.64.0.0/10 is neither global nor private to `ipaddress`: carriers' NAT, private here.
    return "public" if address.is_global else "private"


class Redactor:
    """Replaces addresses and names by what stands for them, the same one each time.

    Args:
        secrets: user names, passwords, shared secrets, tokens; empty ones are passed over.
        names: host names to hide; the special name `localhost` stays.

    """

    def __init__(self, secrets: Iterable[str], names: Iterable[str]) -> None:
        # Longest first: a secret that holds another one is hidden as a whole.
        self._secrets = sorted({each for each in secrets if each}, key=len, reverse=True)
        known = {each.lower().rstrip(".") for each in names} - {"", "localhost"}
        self._names = sorted(known, key=len, reverse=True)
        self._stand_ins: dict[str, str] = {}
        self._counts: dict[str, int] = {}

    def text(self, text: str) -> str:
        """Return the text with everything hidden."""
        for secret in self._secrets:
            if len(secret) >= _SHORT:
                text = text.replace(secret, HIDDEN)
            else:
                text = re.sub(rf"(?<!\w){re.escape(secret)}(?!\w)", HIDDEN, text)
        text = _IPV6.sub(self._address, text)
        text = _IPV4.sub(self._address, text)
        for name in self._names:
            stand_in = self._stand_in("name", name)
            pattern = rf"(?<![\w.-]){re.escape(name)}(?![\w-]|\.\w)"
            text = re.sub(pattern, stand_in, text, flags=re.IGNORECASE)
        return text

    def _address(self, match: re.Match[str]) -> str:
        found = match[0]
        try:
            kind = address_class(found)
        except ValueError:  # a time of day, a fingerprint, a version number
            return found
        address = ipaddress.ip_address(found.partition("%")[0])
        if address == _METADATA:
            return found  # everybody's, and the point of the finding
        return self._stand_in(f"{kind}-ipv{address.version}", address.exploded)

    def _stand_in(self, kind: str, key: str) -> str:
        if key not in self._stand_ins:
            self._counts[kind] = self._counts.get(kind, 0) + 1
            self._stand_ins[key] = f"{kind}-{self._counts[kind]}"
        return self._stand_ins[key]


def redact(report: Report, secrets: Iterable[str]) -> Report:
    """Return the report without addresses, names and secrets.

    Args:
        report: the report.
        secrets: what was given as user name, password, shared secret or token.

    """
    redactor = Redactor(secrets, _names_in(report))

    def walk(value: Any) -> Any:
        if isinstance(value, str):
            return redactor.text(value)
        if isinstance(value, tuple):
            return tuple(walk(each) for each in value)
        if attrs.has(type(value)):
            names = [each.name for each in attrs.fields(type(value))]
            changes = {name: walk(getattr(value, name)) for name in names if name not in _CLOSED}
            return attrs.evolve(value, **changes)
        return value  # numbers, and enumerations: a user called "udp" must not change them

    redacted: Report = walk(report)
    return redacted


def _names_in(report: Report) -> set[str]:
    names = {each.name for each in report.lookups} | {each.name for each in report.tls}
    for lookup in report.lookups:
        names.update(value.rpartition(" ")[2] for value in lookup.values if lookup.kind == "SRV")
    for result in report.tls:
        for certificate in result.chain[:1]:
            names.update(certificate.names)
            names.update(_NAME.findall(certificate.subject))
    names.update(_NAME.findall(report.target))
    for each in report.credentials:
        names.update({each.realm or "", each.expected_realm or ""})
    return {each for each in names if not _is_address(each)}


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True

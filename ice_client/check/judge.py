"""From what was measured to what it means: the rules that turn a report into findings.

Pure: a report without findings in, findings out. The order of the rules follows a packet: the
name, the way to the server, the handshake, the credentials, the relay, the network here. A
cause that explains a failure keeps the rules after it quiet, so that one mistake gives one
finding and not five.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterable, Iterator

from ice_client.check import verdicts as v
from ice_client.check.network_results import Mapping, QualityResult
from ice_client.check.redact import address_class
from ice_client.check.results import (
    Cause,
    CredentialState,
    Finding,
    Lookup,
    Outcome,
    Report,
    Row,
    Stage,
    StageName,
    TlsResult,
)
from ice_client.turn import Transport

SOON = 14 * 86400.0
"""Seconds of validity below which a certificate should have been renewed."""
HIGH_LOSS = 0.01
HIGH_JITTER = 0.030
LEAST_PAYLOAD = 1200
LEAST_THROUGHPUT_BPS = 1e6
SHORT_MAPPING = 30.0

Found = tuple[v.Verdict, str, str]
"""Verdict, where, detail."""

_SILENT = {Cause.TIMEOUT, Cause.UNREACHABLE}
_ABSENT = _SILENT | {Cause.REFUSED}
_AUTHENTICATION = {401, 438, 441}


def finding(verdict: v.Verdict, where: str, detail: str) -> Finding:
    """Make a finding of a verdict."""
    return Finding(
        verdict.id,
        verdict.severity.value,
        verdict.title,
        where,
        detail,
        verdict.explanation,
        verdict.fix,
    )


def judge(report: Report) -> tuple[Finding, ...]:
    """Return what is wrong, errors first, one finding for each verdict and evidence."""
    rules: tuple[Callable[[Report], Iterable[Found]], ...] = (
        _names,
        _ways,
        _certificates,
        _credentials,
        _allocations,
        _relays,
        _peers,
        _network,
        _quality,
    )
    merged: dict[tuple[v.Verdict, str], list[str]] = {}
    for rule in rules:
        for verdict, where, detail in rule(report):
            places = merged.setdefault((verdict, detail), [])
            if where not in places:
                places.append(where)
    findings = [
        finding(verdict, ", ".join(places), detail) for (verdict, detail), places in merged.items()
    ]
    order = {"error": 0, "warning": 1, "info": 2}
    return tuple(sorted(findings, key=lambda each: (order[each.severity], each.id)))


def _names(report: Report) -> Iterator[Found]:
    by_name: dict[str, list[Lookup]] = {}
    for lookup in report.lookups:
        if lookup.kind != "SRV":
            by_name.setdefault(lookup.name, []).append(lookup)
    for name, lookups in by_name.items():
        values = [value for each in lookups for value in each.values]
        errors = "; ".join(sorted({each.error for each in lookups if each.error}))
        if not values:
            yield (v.RESOLVER_FAILED if errors else v.NO_ADDRESS), name, errors
        elif not any(":" in value for value in values) and not any(
            each.error for each in lookups if each.kind == "AAAA"
        ):
            yield v.NO_IPV6, name, ""


def _reached(row: Row) -> bool:
    """Whether STUN was spoken over this row."""
    return any(
        (stage.name not in {StageName.CONNECT, StageName.TLS} and stage.outcome is Outcome.OK)
        or stage.cause in {Cause.ERROR_RESPONSE, Cause.NO_CREDENTIALS}
        for stage in row.stages
    )


def _alive(row: Row) -> bool:
    """Whether the machine there took a connection, or spoke STUN over UDP."""
    return _reached(row) or (row.transport.is_stream and row.passed(StageName.CONNECT))


def _ways(report: Report) -> Iterator[Found]:
    rows = [row for row in report.rows if row.stages]
    asked = [row for row in rows if row.expected]
    if rows and not any(_alive(row) for row in rows):
        failures = [row.failure for row in asked or rows]
        if all(failure is not None and failure.cause in _SILENT for failure in failures):
            yield v.NOTHING_ANSWERS, _places(asked or rows), ""
            return
    broken = set()
    for family in ("ipv4", "ipv6"):
        same = [row for row in asked if row.family == family]
        others = [row for row in asked if row.family != family]
        absent = [row for row in same if (f := row.failure) is not None and f.cause in _ABSENT]
        if same and absent == same and not any(map(_alive, same)) and any(map(_reached, others)):
            broken.add(family)
            # One finding for all of them, whatever each was answered.
            yield v.FAMILY_BROKEN, family, _places(same)
    for row in asked:
        if row.family not in broken and not _reached(row):
            yield from _way(row, rows)


def _way(row: Row, rows: list[Row]) -> Iterator[Found]:
    failure = row.failure
    if failure is None:
        return
    if row.speaks_other:
        yield (v.PLAIN_AS_TLS if row.transport.is_secure else v.TLS_AS_PLAIN), row.label, ""
    elif failure.cause in _SILENT and (
        row.transport is Transport.UDP or not row.passed(StageName.CONNECT)
    ):
        yield _silent(row, rows), row.label, failure.detail
    elif failure.cause is Cause.REFUSED:
        others = any(_reached(each) for each in rows)
        yield (v.TRANSPORT_MISSING if others else v.REFUSED), row.label, failure.detail
    elif failure.name is StageName.TLS:
        # A DTLS handshake that nobody answers is UDP's silence, not a failure of DTLS.
        silent = row.transport is Transport.DTLS and failure.cause in _SILENT
        yield (_silent(row, rows) if silent else v.TLS_FAILED), row.label, failure.detail
    elif failure.name is StageName.BINDING:
        yield v.NOT_STUN, row.label, failure.detail


def _silent(row: Row, rows: list[Row]) -> v.Verdict:
    same_server = [each for each in rows if each.address == row.address and each is not row]
    streams_work = any(each.transport.is_stream and _reached(each) for each in same_server)
    datagrams_work = any(not each.transport.is_stream and _reached(each) for each in same_server)
    if row.transport.is_stream or datagrams_work:
        return v.TRANSPORT_MISSING if any(map(_reached, rows)) else v.NOTHING_ANSWERS
    return v.UDP_BLOCKED if streams_work else v.NOTHING_ANSWERS


def _places(rows: Iterable[Row]) -> str:
    return ", ".join(row.label for row in rows)


def _certificates(report: Report) -> Iterator[Found]:
    # A server may have a certificate of its own making where nobody is told to use TLS.
    for result in (each for each in report.tls if each.expected):
        yield from ((verdict, result.address, detail) for verdict, detail in _certificate(result))


def _certificate(result: TlsResult) -> Iterator[tuple[v.Verdict, str]]:
    leaf = result.chain[0] if result.chain else None
    if result.seconds_left < 0:
        yield v.CERTIFICATE_EXPIRED, f"until {min(c.not_after for c in result.chain)}"
    elif result.seconds_left < SOON:
        yield v.CERTIFICATE_EXPIRES_SOON, f"{result.seconds_left / 86400:.1f} days left"
    if result.seconds_until_valid > 0:
        yield v.CERTIFICATE_NOT_YET_VALID, f"from {max(c.not_before for c in result.chain)}"
    if result.name and not result.name_matches and leaf is not None:
        names = ", ".join(leaf.names) or leaf.subject
        yield v.CERTIFICATE_NAME, f"asked for {result.name}, the certificate is for {names}"
    if not result.trusted:
        yield (
            v.CERTIFICATE_SELF_SIGNED if result.self_signed else v.CERTIFICATE_CHAIN,
            result.trust_error,
        )
    elif result.native_root is None:
        yield v.ROOT_NOT_NATIVE, result.chain[-1].issuer if result.chain else ""
    if result.old_versions:
        yield v.OLD_TLS, ", ".join(result.old_versions)
    if result.weak:
        yield v.WEAK_KEY, result.weak


_CREDENTIAL_VERDICTS = {
    CredentialState.NONE_GIVEN: v.CREDENTIALS_NEEDED,
    CredentialState.REFUSED: v.WRONG_PASSWORD,
    CredentialState.EXPIRED: v.CREDENTIAL_EXPIRED,
    CredentialState.CLOCK_SKEW: v.CLOCK_SKEW,
    CredentialState.WRONG_SECRET: v.WRONG_SECRET,
    CredentialState.WRONG_REALM: v.WRONG_REALM,
    CredentialState.STALE_NONCE_LOOP: v.STALE_NONCE_LOOP,
    CredentialState.BAD_CHALLENGE: v.BAD_CHALLENGE,
}


def _credentials(report: Report) -> Iterator[Found]:
    for result in report.credentials:
        if (verdict := _CREDENTIAL_VERDICTS.get(result.state)) is not None:
            yield verdict, result.server, result.detail
        if result.open_relay:
            yield v.OPEN_RELAY, result.server, ""
        if result.expired_accepted and not result.open_relay:
            yield v.EXPIRED_ACCEPTED, result.server, ""


_ALLOCATE_VERDICTS = {
    440: v.FAMILY_NOT_RELAYED,
    486: v.QUOTA,
    508: v.NO_CAPACITY,
}


def _allocations(report: Report) -> Iterator[Found]:
    for row in report.rows:
        stage = row.stage(StageName.ALLOCATE)
        if stage is None or stage.outcome is Outcome.SKIPPED:
            continue
        if stage.outcome is Outcome.OK:
            if stage.code == 300:
                yield v.REDIRECTED, row.label, stage.detail
            elif stage.code == 440:
                yield v.FAMILY_NOT_RELAYED, row.label, stage.detail
            continue
        yield from _allocation(row, stage)


def _allocation(row: Row, stage: Stage) -> Iterator[Found]:
    if stage.code == 300:
        yield v.REDIRECT_LOOP, row.label, stage.detail
    elif stage.code in _ALLOCATE_VERDICTS:
        yield _ALLOCATE_VERDICTS[stage.code], row.label, stage.detail
    elif stage.code in {400, 420} or (stage.code is None and stage.cause is Cause.TIMEOUT):
        # RFC 8489 §6.3.1: a server that does not know a method does not answer, or says 400.
        yield v.NOT_TURN, row.label, stage.detail
    elif stage.code is not None and stage.code not in _AUTHENTICATION:
        yield v.ALLOCATE_REFUSED, row.label, stage.detail


def _relays(report: Report) -> Iterator[Found]:
    for row in report.rows:
        if not row.passed(StageName.ALLOCATE):
            continue
        permission = row.stage(StageName.PERMISSION)
        if permission is not None and permission.outcome is Outcome.FAILED:
            yield v.PERMISSION_REFUSED, row.label, permission.detail
        verdict = _relay(row)
        if verdict is not None:
            detail = f"relayed address {row.relayed_address}"
            yield verdict, row.label, detail if verdict is v.PRIVATE_RELAY else ""
        refresh = row.stage(StageName.REFRESH)
        if refresh is not None and refresh.outcome is Outcome.FAILED:
            yield v.REFRESH_FAILED, row.label, refresh.detail


def _relay(row: Row) -> v.Verdict | None:
    echo, direct = row.stage(StageName.ECHO), row.stage(StageName.DIRECT)
    echo_lost = echo is not None and echo.outcome is Outcome.FAILED
    direct_lost = direct is not None and direct.outcome is Outcome.FAILED
    direct_told = direct is not None and direct.outcome is not Outcome.SKIPPED
    # What came from here to the relayed address proves that it can be reached; that two
    # relays of one server reach each other proves nothing of the sort.
    if _looks_private(row) and (direct_lost or not direct_told):
        return v.PRIVATE_RELAY
    if direct_lost or (echo_lost and not direct_told):
        return v.RELAY_PORTS_BLOCKED
    return v.RELAY_TO_RELAY_FAILS if echo_lost else None


def _looks_private(row: Row) -> bool:
    """Whether the relayed address is of a smaller world than the server's own address."""
    if row.relayed_address is None:
        return False
    relayed = row.relayed_address.rpartition(":")[0].strip("[]")
    if ipaddress.ip_address(relayed) == ipaddress.ip_address(row.address):
        return False
    kind = address_class(relayed)
    return kind != "public" and kind != address_class(row.address)


def _peers(report: Report) -> Iterator[Found]:
    verdict = {
        "loopback": v.LOOPBACK_REACHABLE,
        "private": v.PRIVATE_REACHABLE,
        "metadata": v.METADATA_REACHABLE,
    }
    for peer in report.peers:
        if peer.permitted:
            yield verdict[peer.kind], peer.peer, peer.detail


def _network(report: Report) -> Iterator[Found]:
    answered = [each for each in report.nat if each.mapped_address is not None]
    for each in answered:
        if not each.offered:
            yield v.NO_DISCOVERY, each.server, ""
        if each.mapping in {Mapping.ADDRESS_DEPENDENT, Mapping.ADDRESS_AND_PORT_DEPENDENT}:
            yield v.SYMMETRIC_NAT, each.server, f"mapping is {each.mapping.value}"
        if each.alg:
            yield v.ALG, each.server, each.detail
        if each.hairpin is False:
            yield v.NO_HAIRPIN, each.mapped_address or "", ""
        if each.lifetime_end is not None and each.lifetime_end < SHORT_MAPPING:
            yield v.SHORT_MAPPING, each.server, f"gone after {each.lifetime_end:.0f} s"


def _quality(report: Report) -> Iterator[Found]:
    for each in report.quality:
        yield from ((verdict, each.row, detail) for verdict, detail in _qualities(each))


def _qualities(quality: QualityResult) -> Iterator[tuple[v.Verdict, str]]:
    relay = quality.relay
    if relay.loss > HIGH_LOSS:
        yield v.LOSS, f"{relay.loss:.1%} lost, {quality.direct.loss:.1%} directly to the server"
    if relay.jitter is not None and relay.jitter > HIGH_JITTER:
        yield v.JITTER, f"{relay.jitter * 1000:.0f} ms"
    if relay.received and relay.reordered / relay.received > HIGH_LOSS:
        yield v.REORDERING, f"{relay.reordered} of {relay.received}"
    if quality.path_mtu is not None and quality.path_mtu < LEAST_PAYLOAD:
        yield v.SMALL_MTU, f"{quality.path_mtu} bytes is the largest payload that came through"
    throughput = quality.throughput_bps
    if throughput is not None and throughput < LEAST_THROUGHPUT_BPS:
        yield v.SLOW, f"{throughput / 1000:.0f} kbit/s"

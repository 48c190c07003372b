"""Runs a whole check: names, ways, certificates, credentials, the network here, quality."""

from __future__ import annotations

import datetime
import time
from collections.abc import Callable, Iterator, Sequence
from importlib import metadata
from pathlib import Path

import attrs
import trio

from ice_client.check.judge import finding, judge
from ice_client.check.network_results import LocalCandidate
from ice_client.check.probe_credentials import probe_credentials
from ice_client.check.probe_dns import NameServer, look_up
from ice_client.check.probe_nat import probe_nat
from ice_client.check.probe_peers import probe_peers
from ice_client.check.probe_quality import QualityOptions, probe_quality
from ice_client.check.probe_tls import probe_tls
from ice_client.check.probe_way import LINK_TIMEOUT, probe_way, server_of
from ice_client.check.results import (
    Cause,
    CredentialResult,
    Finding,
    Lookup,
    Outcome,
    Report,
    Row,
    Stage,
    StageName,
)
from ice_client.check.row_builder import Watcher
from ice_client.check.target import Target, TargetError, Way, doors, ways
from ice_client.check.verdicts import NO_ADDRESS, RESOLVER_FAILED
from ice_client.interfaces import local_addresses
from ice_client.turn import Transport
from stun import Address
from stun.uri import StunUri

MOST_WAYS = 64
AT_ONCE = 4
"""Ways tried at the same time: each holds two allocations, and users have quotas."""


@attrs.frozen(slots=True, kw_only=True)
class CheckOptions:
    """What to try.

    Attributes:
        transports: exactly these; empty: what the URIs name, and more for what it tells.
        families: which addresses of the server to use.
        timeout: seconds for a link and its Binding.
        name_server: instead of the system's.
        quality: whether to measure it, and how much.
        nat: whether to discover NAT behaviour.
        mapping_lifetimes: seconds of silence to try NAT mappings with, one after another.
        own_server: also whether peers can be reached that should not.
        ca_file: PEM file of roots to trust instead of the system's.
        wall_clock: seconds since the epoch.

    """

    transports: tuple[Transport, ...] = ()
    families: frozenset[str] = frozenset({"ipv4", "ipv6"})
    timeout: float = LINK_TIMEOUT
    name_server: NameServer | None = None
    quality: QualityOptions | None = attrs.field(factory=QualityOptions)
    nat: bool = True
    mapping_lifetimes: tuple[float, ...] = ()
    own_server: bool = False
    ca_file: Path | None = None
    wall_clock: Callable[[], float] = time.time


def watch_nothing(_row: Row) -> None:
    """Be the watcher where nobody looks."""


async def run_check(
    targets: Sequence[Target],
    options: CheckOptions = CheckOptions(),
    watcher: Watcher = watch_nothing,
) -> Report:
    """Check targets and say what is wrong with them.

    Args:
        targets: what was given, one for each set of credentials.
        options: what to try.
        watcher: sees the rows as they grow.

    Raises:
        TargetError: a target cannot be used.

    """
    started, wall_time = trio.current_time(), options.wall_clock()
    report = Report(
        tool=f"ice-check {version()}",
        started=datetime.datetime.fromtimestamp(wall_time, datetime.UTC).strftime(
            "%Y-%m-%dT%H:%M:%SZ"
        ),
        seconds=0.0,
        target=", ".join(map(str, targets)),
        works=False,
    )
    report = attrs.evolve(report, candidates=await host_candidates())
    untried: list[Target] = []
    for target in without_doubles(targets):
        rows = report.rows
        report = await _check_target(target, report, options, watcher)
        if report.rows == rows:
            untried.append(target)
    findings = judge(report)
    findings += tuple(_untried(untried, findings, options))
    return attrs.evolve(
        report,
        findings=findings,
        works=not any(each.severity == "error" for each in findings),
        seconds=trio.current_time() - started,
    )


def _untried(
    targets: Sequence[Target], findings: Sequence[Finding], options: CheckOptions
) -> Iterator[Finding]:
    """Say which targets have addresses, but none that was to be tried: that is not to work."""
    told = {NO_ADDRESS.id, RESOLVER_FAILED.id}
    unknown = {name for each in findings if each.id in told for name in each.where.split(", ")}
    for target in targets:
        hosts = sorted({uri.host for uri in target.uris} - unknown)
        if hosts:
            families = " or ".join(sorted(options.families))
            yield finding(NO_ADDRESS, ", ".join(hosts), f"no {families} address, as was asked for")


def without_doubles(targets: Sequence[Target]) -> list[Target]:
    """Leave STUN servers out that are TURN servers of another target, as ICE servers often are.

    Raises:
        TargetError: a URI asks for a transport that does not exist.

    """
    relays = {
        (door.host, door.transport, door.port)
        for target in targets
        for door in doors(target)
        if door.relays
    }
    kept = []
    for target in targets:
        uris = tuple(
            uri
            for uri in target.uris
            if uri.is_turn or (uri.host, Transport.of_uri(uri), uri.effective_port) not in relays
        )
        if uris:
            kept.append(attrs.evolve(target, uris=uris))
    return kept


def version() -> str:
    """Return the version of the package this is part of."""
    try:
        return metadata.version("turnd")
    except metadata.PackageNotFoundError:  # run from a source tree
        return "unknown"


async def host_candidates() -> tuple[LocalCandidate, ...]:
    """Return this machine's own addresses, as ICE would offer them."""
    return tuple(
        LocalCandidate("host", "udp", each.address.host, interface=each.interface)
        for each in await local_addresses()
    )


async def _check_target(
    target: Target, report: Report, options: CheckOptions, watcher: Watcher
) -> Report:
    target, lookups, rows = await _rows(target, options)
    found = await _try_all(target, rows, options, watcher)
    report = attrs.evolve(
        report, lookups=report.lookups + lookups, rows=report.rows + tuple(r for _, r in found)
    )
    bound = [(way, row) for way, row in found if row.passed(StageName.BINDING)]
    relaying = [(way, row) for way, row in bound if way.relays]
    # Where Allocate is not answered at all there is nothing to be told of credentials.
    answered = [each for each in relaying if not _is_silent(each[1])]
    if answered:
        result = await _credentials(target, answered, options)
        report = attrs.evolve(report, credentials=(*report.credentials, result))
    for way, row in found:
        if row.transport is Transport.TLS and row.passed(StageName.TLS):
            shown = await probe_tls(
                Address.parse(way.address, way.port),
                way.name,
                options.wall_clock(),
                options.ca_file,
            )
            if shown is not None:
                shown = attrs.evolve(shown, expected=row.expected)
                report = attrs.evolve(report, tls=(*report.tls, shown))
    if options.nat:
        report = await _nat(report, bound, options)
    relayed = tuple(
        LocalCandidate("relay", row.transport.value, row.relayed_address, base=row.label)
        for _, row in relaying
        if row.relayed_address is not None
    )
    report = attrs.evolve(report, candidates=report.candidates + relayed)
    return await _more_about_relay(target, report, relaying, options)


def _is_silent(row: Row) -> bool:
    stage = row.stage(StageName.ALLOCATE)
    return stage is not None and stage.cause is Cause.TIMEOUT


async def _credentials(
    target: Target, relaying: Sequence[tuple[Way, Row]], options: CheckOptions
) -> CredentialResult:
    way, row = next((each for each in relaying if each[1].expected), relaying[0])
    return await probe_credentials(target, way, options.wall_clock(), row)


async def _more_about_relay(
    target: Target, report: Report, relaying: Sequence[tuple[Way, Row]], options: CheckOptions
) -> Report:
    credentials = target.credentials(options.wall_clock())
    working = [each for each in relaying if each[1].passed(StageName.ECHO)]
    if options.quality is not None and working:
        way, row = working[0]
        quality = await probe_quality(server_of(way, credentials), row.label, options.quality)
        if quality is not None:
            report = attrs.evolve(report, quality=(*report.quality, quality))
    allocated = [each for each in relaying if each[1].passed(StageName.ALLOCATE)]
    if options.own_server and allocated:
        peers = await probe_peers(server_of(allocated[0][0], credentials))
        report = attrs.evolve(report, peers=report.peers + peers)
    return report


async def _rows(
    target: Target, options: CheckOptions
) -> tuple[Target, tuple[Lookup, ...], list[Way]]:
    """Return the rows to try; where a name has SRV records alone, the ones of their targets."""
    lookups, addresses = await look_up(target.uris, options.name_server)
    uris = [each for uri in target.uris for each in _by_srv(uri, lookups, addresses)]
    if uris != list(target.uris):
        more, found = await look_up(uris, options.name_server)
        lookups += tuple(each for each in more if each not in lookups)
        addresses |= found
        target = attrs.evolve(target, uris=tuple(uris))
    rows = ways(doors(target, options.transports), addresses)
    rows = [row for row in rows if row.family in options.families]
    if len(rows) > MOST_WAYS:
        raise TargetError(f"{len(rows)} ways are more than {MOST_WAYS}: give fewer URIs")
    return target, lookups, rows


def _by_srv(
    uri: StunUri, lookups: Sequence[Lookup], addresses: dict[str, list[str]]
) -> list[StunUri]:
    """Return the URIs that SRV records put in a URI's place (RFC 5928 §3).

    Browsers do not ask for SRV, so they only count where the name itself has no address.
    """
    if addresses.get(uri.host):
        return [uri]
    found = []
    for lookup in lookups:
        if lookup.kind != "SRV" or not lookup.name.endswith(f".{uri.host}"):
            continue
        scheme, transport = (part.lstrip("_") for part in lookup.name.split(".")[:2])
        if scheme != uri.scheme or (uri.transport or transport) != transport:
            continue
        for value in lookup.values:
            _, _, port, host = value.split(" ")
            stun = scheme in {"stun", "stuns"}
            found.append(StunUri(scheme, host.rstrip("."), int(port), None if stun else transport))
    return found or [uri]


async def _try_all(
    target: Target, rows: Sequence[Way], options: CheckOptions, watcher: Watcher
) -> list[tuple[Way, Row]]:
    credentials = target.credentials(options.wall_clock())
    results: dict[int, Row] = {}
    limit = trio.CapacityLimiter(AT_ONCE)

    async def attempt(number: int, way: Way) -> None:
        async with limit:
            results[number] = await probe_way(way, credentials, watcher, timeout=options.timeout)

    async with trio.open_nursery() as nursery:
        for number, way in enumerate(rows):
            nursery.start_soon(attempt, number, way)
    tried = [(way, results[number]) for number, way in enumerate(rows)]
    udp = {
        way.family
        for way, row in tried
        if not way.transport.is_stream and row.passed(StageName.BINDING)
    }
    return [(way, row if way.family in udp else _without_direct(row)) for way, row in tried]


def _without_direct(row: Row) -> Row:
    """Take back that nothing sent from here arrived: where no UDP gets out, that says nothing."""
    direct = row.stage(StageName.DIRECT)
    if direct is None or direct.outcome is not Outcome.FAILED:
        return row
    untold = Stage(StageName.DIRECT, Outcome.SKIPPED, detail="no UDP gets out of here")
    return attrs.evolve(
        row, stages=tuple(untold if each is direct else each for each in row.stages)
    )


async def _nat(report: Report, bound: Sequence[tuple[Way, Row]], options: CheckOptions) -> Report:
    """Discover NAT behaviour, once for each server address that answers over UDP."""
    known = {each.server for each in report.nat}
    for way, _ in bound:
        server = Address.parse(way.address, way.port)
        if way.transport is not Transport.UDP or str(server) in known:
            continue
        known.add(str(server))
        result = await probe_nat(server, lifetimes=options.mapping_lifetimes)
        report = attrs.evolve(report, nat=(*report.nat, result))
        if result.mapped_address is not None and result.mapped_address != result.local_address:
            candidate = LocalCandidate(
                "srflx", "udp", result.mapped_address, base=result.local_address
            )
            report = attrs.evolve(report, candidates=(*report.candidates, candidate))
    return report

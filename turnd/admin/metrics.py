"""Prometheus metrics: counted by events, and read from the engine as they are scraped.

Labels have few values: transports, families, directions, methods, reasons, and the realms of
the configuration. Users are a label where the operator asks for it, of one gauge.
"""

from __future__ import annotations

from collections import Counter as Counts
from collections.abc import Callable, Iterable, Iterator, Sequence

import attrs
from prometheus_client import CollectorRegistry, Counter, Gauge, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from stun import ErrorCode, Method
from turnd import __version__
from turnd.admin.logs import method_name
from turnd.core import outputs as o
from turnd.core.five_tuple import Transport
from turnd.core.tables import RelayedAddress
from turnd.datapath.interface import Totals
from turnd.transports.totals import StreamTotals

OTHER_REALM = "other"


@attrs.frozen(slots=True)
class LiveValues:
    """Where the values come from that are read at each scrape."""

    datapath: Callable[[], Totals]
    streams: Callable[[], StreamTotals]
    draining: Callable[[], bool]


class Metrics:
    """The server's metrics; an observer of the core's events.

    Args:
        realms: values that the label `realm` may have, first that of who names none.
        live: read at each scrape.
        per_realm: whether counters have the label's values at all, or all say ``"other"``.
        per_user: whether the gauge of allocations has the label `user` too.

    """

    def __init__(
        self,
        realms: Sequence[str],
        live: LiveValues,
        *,
        per_realm: bool,
        per_user: bool = False,
    ) -> None:
        self._per_user = per_user
        self._open: dict[int, tuple[str, ...]] = {}
        self._series: Counts[tuple[str, ...]] = Counts()
        self._realms = frozenset(realms) if per_realm else frozenset()
        self._default_realm = realms[0] if realms else ""
        self._counted = Totals({}, {}, 0)
        self.registry = CollectorRegistry(auto_describe=True)
        registry = self.registry
        # Before the counters: what it reads of the engine is added to them.
        registry.register(_LiveCollector(live, self._count_answers))
        self._allocations = Gauge(
            "turnd_allocations",
            "Allocations there are.",
            ("transport", "relay", "family", "realm", *(("user",) if per_user else ())),
            registry=registry,
        )
        self._opened = Counter(
            "turnd_allocations_opened",
            "Allocations granted.",
            ("transport", "relay", "realm"),
            registry=registry,
        )
        self._closed = Counter(
            "turnd_allocations_closed",
            "Allocations ended.",
            ("transport", "relay", "realm", "reason"),
            registry=registry,
        )
        self._requests = Counter(
            "turnd_requests",
            "Requests answered, by STUN error code (0 is success).",
            ("method", "code", "transport", "realm"),
            registry=registry,
        )
        self._dropped = Counter(
            "turnd_requests_dropped",
            "Messages that had no answer.",
            ("reason", "transport"),
            registry=registry,
        )
        # Looked up once each: as many as there are methods, codes, reasons and realms.
        self._answers: dict[tuple[int, int, Transport, str], tuple[str, ...]] = {}
        self._children: dict[tuple[Counter, tuple[str, ...]], Counter] = {}
        self._unauthenticated = Counter(
            "turnd_unauthenticated",
            "401 answers; the first request of every client gets one.",
            ("realm",),
            registry=registry,
        )
        self._stale_nonces = Counter(
            "turnd_stale_nonce", "438 answers.", ("realm",), registry=registry
        )
        self._denied = Counter(
            "turnd_peers_denied", "Peers that the policy refused.", registry=registry
        )
        self._peer_connections = Counter(
            "turnd_peer_connections",
            "Events of TCP allocations' peer connections.",
            ("state",),
            registry=registry,
        )
        ProcessCollector(registry=registry)

    def handle(self, output: o.Output) -> None:
        """Count one event."""
        if isinstance(output, o.RequestAnswered):
            self._answered(output)
        elif isinstance(output, o.RequestDropped):
            self._dropped.labels(output.reason, output.five_tuple.transport.value).inc()
        elif isinstance(output, o.AllocationOpened):
            self._child(self._opened, self._labels(output)).inc()
            self._count_in(output)
        elif isinstance(output, o.AllocationClosed):
            self._child(self._closed, (*self._labels(output), output.reason)).inc()
            self._count_out(output.allocation)
        elif isinstance(output, o.PeerDenied):
            self._denied.inc()
        elif isinstance(output, o.PeerConnection):
            self._peer_connections.labels(output.state).inc()

    def _count_answers(self, totals: Totals) -> None:
        """Count requests that the engine took care of, since the last scrape."""
        before, self._counted = self._counted, totals
        realm = self._realm(self._default_realm)
        for counter, labels, number in (
            (
                self._requests,
                (method_name(Method.BINDING), "0", "udp", self._realm("")),
                totals.bindings - before.bindings,
            ),
            (
                self._requests,
                (method_name(Method.ALLOCATE), "401", "udp", realm),
                totals.challenges - before.challenges,
            ),
            (self._unauthenticated, (realm,), totals.challenges - before.challenges),
            (
                self._dropped,
                ("rate-limited", "udp"),
                totals.answers_limited - before.answers_limited,
            ),
        ):
            if number:
                self._child(counter, labels).inc(number)

    def _answered(self, output: o.RequestAnswered) -> None:
        transport, realm = output.five_tuple.transport, self._realm(output.realm)
        key = (output.method, output.error_code, transport, realm)
        labels = self._answers.get(key)
        if labels is None:
            name, code = method_name(output.method), str(int(output.error_code))
            labels = self._answers[key] = (name, code, transport.value, realm)
        self._child(self._requests, labels).inc()
        if output.error_code == ErrorCode.UNAUTHENTICATED:
            self._child(self._unauthenticated, (realm,)).inc()
        elif output.error_code == ErrorCode.STALE_NONCE:
            self._stale_nonces.labels(realm).inc()

    def _child(self, counter: Counter, labels: tuple[str, ...]) -> Counter:
        """Return the counter of those label values, without making it anew."""
        child = self._children.get((counter, labels))
        if child is None:
            child = self._children[counter, labels] = counter.labels(*labels)
        return child

    def _count_in(self, output: o.AllocationOpened) -> None:
        transport, relay, realm = self._labels(output)
        user = (output.username,) if self._per_user else ()
        labels = (transport, relay, _family(output.relayed), realm, *user)
        # Kept, as the end does not tell families, and a token may change the user name.
        self._open[output.allocation] = labels
        self._series[labels] += 1
        self._allocations.labels(*labels).inc()

    def _count_out(self, allocation: int) -> None:
        labels = self._open.pop(allocation, None)
        if labels is None:
            return
        self._series[labels] -= 1
        self._allocations.labels(*labels).dec()
        if not self._series[labels]:
            del self._series[labels]
            # A time-limited user name never comes back: its series would stay for ever.
            if self._per_user:
                self._allocations.remove(*labels)

    def _labels(self, output: o.AllocationOpened | o.AllocationClosed) -> tuple[str, str, str]:
        relay = "tcp" if output.tcp else "udp"
        # An allocation keeps the transport it began with, though it may move (RFC 8016).
        return output.opened_over.value, relay, self._realm(output.realm)

    def _realm(self, realm: str) -> str:
        return realm if realm in self._realms else OTHER_REALM


def _family(relayed: Iterable[RelayedAddress]) -> str:
    """Return the family of an allocation; ``"dual"`` for both, so that sums count it once."""
    families = {address.public.family for address in relayed}
    return next(iter(families)).name.lower() if len(families) == 1 else "dual"


class _LiveCollector(Collector):
    def __init__(self, live: LiveValues, count_answers: Callable[[Totals], None]) -> None:
        self._live = live
        self._count_answers = count_answers

    def describe(self) -> list[Metric]:
        """Say nothing: reading the engine takes its locks."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Read everything now."""
        totals = self._live.datapath()
        self._count_answers(totals)
        yield from _datapath(totals)
        yield from _streams(self._live.streams())
        draining = GaugeMetricFamily("turnd_draining", "1 while new allocations are refused.")
        draining.add_metric([], float(self._live.draining()))
        yield draining
        build = GaugeMetricFamily("turnd_build_info", "Always 1.", labels=["version"])
        build.add_metric([__version__], 1)
        yield build


def _datapath(totals: Totals) -> Iterator[Metric]:
    labels = ["direction", "transport", "family"]
    packets = CounterMetricFamily("turnd_packets", "Packets relayed.", labels=labels)
    payload = CounterMetricFamily("turnd_bytes", "Payload bytes relayed.", labels=labels)
    for (direction, transport, family), count in totals.relayed.items():
        values = [direction.value, transport.value, family.name.lower()]
        packets.add_metric(values, count.packets)
        payload.add_metric(values, count.bytes)
    yield packets
    yield payload
    drops = CounterMetricFamily("turnd_drops", "Packets that went nowhere.", labels=["reason"])
    for reason, number in totals.drops.items():
        drops.add_metric([reason.value], number)
    yield drops
    internal = CounterMetricFamily(
        "turnd_internal_packets", "Packets delivered between two allocations inside."
    )
    internal.add_metric([], totals.internal)
    yield internal
    passed_on = CounterMetricFamily(
        "turnd_passed_on_packets", "Packets that one thread of the engine had to give to another."
    )
    passed_on.add_metric([], totals.passed_on)
    yield passed_on


def _streams(totals: StreamTotals) -> Iterator[Metric]:
    open_now = GaugeMetricFamily(
        "turnd_connections", "TCP and TLS connections and DTLS sessions.", labels=["transport"]
    )
    for transport, number in totals.open.items():
        open_now.add_metric([transport.value], number)
    yield open_now
    families: tuple[tuple[str, str, str, Iterable[tuple[tuple[str, str], int]]], ...] = (
        (
            "turnd_handshakes",
            "TLS and DTLS handshakes.",
            "outcome",
            [((t.value, how.value), n) for (t, how), n in totals.handshakes.items()],
        ),
        (
            "turnd_connections_closed",
            "Connections and sessions that ended.",
            "reason",
            [((t.value, why.value), n) for (t, why), n in totals.closed.items()],
        ),
        (
            "turnd_connections_refused",
            "Connections and sessions that never began.",
            "reason",
            [((t.value, why.value), n) for (t, why), n in totals.refused.items()],
        ),
    )
    for name, text, label, rows in families:
        family = CounterMetricFamily(name, text, labels=["transport", label])
        for values, number in rows:
            family.add_metric(list(values), number)
        yield family
    drops = CounterMetricFamily(
        "turnd_dtls_drops", "DTLS datagrams dropped unanswered.", labels=["reason"]
    )
    for reason, number in totals.dtls_drops.items():
        drops.add_metric([reason.value], number)
    yield drops
    cookies = CounterMetricFamily(
        "turnd_dtls_cookies_sent", "HelloVerifyRequests, each forgotten as it left."
    )
    cookies.add_metric([], totals.cookies_sent)
    yield cookies

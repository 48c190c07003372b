"""Prometheus metrics: events are counted in plain tables, which become metrics when scraped.

Labels have few values: transports, families, directions, methods, reasons, and the realms of
the configuration. Users are a label where the operator asks for it, of one gauge.
"""

from __future__ import annotations

from collections import Counter as Counts
from collections.abc import Callable, Iterable, Iterator, Sequence

import attrs
from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from stun import ErrorCode, Method
from turnd import __version__
from turnd.admin.logs import method_name
from turnd.admin.traffic_metrics import datapath_metrics, stream_metrics
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
    certificate_expiry: Callable[[], float | None] = lambda: None
    """Unix time at which the certificate in force ends; None where TLS and DTLS are off."""


class Metrics(Collector):
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
        self._live = live
        self._per_realm = per_realm
        self._per_user = per_user
        self.reconfigure(realms)
        self._counted = Totals({}, {}, 0)
        self._open: dict[int, tuple[str, ...]] = {}
        self._allocations: Counts[tuple[str, ...]] = Counts()
        self._opened: Counts[tuple[str, ...]] = Counts()
        self._closed: Counts[tuple[str, ...]] = Counts()
        self._requests: Counts[tuple[int, int, Transport, str]] = Counts()
        self._dropped: Counts[tuple[str, ...]] = Counts()
        self._peer_connections: Counts[tuple[str, ...]] = Counts()
        self._denied = 0
        self.registry = CollectorRegistry(auto_describe=True)
        self.registry.register(self)
        ProcessCollector(registry=self.registry)

    def reconfigure(self, realms: Sequence[str]) -> None:
        """Let the label `realm` have other values, first that of who names none."""
        self._realms = frozenset(realms) if self._per_realm else frozenset()
        self._default_realm = realms[0] if realms else ""

    def handle(self, output: o.Output) -> None:
        """Count one event."""
        if isinstance(output, o.RequestAnswered):
            realm = self._realm(output.realm)
            key = (output.method, output.error_code, output.five_tuple.transport, realm)
            self._requests[key] += 1
        elif isinstance(output, o.RequestDropped):
            self._dropped[output.reason, output.five_tuple.transport.value] += 1
        elif isinstance(output, o.AllocationOpened):
            self._opened[self._labels(output)] += 1
            self._count_in(output)
        elif isinstance(output, o.AllocationClosed):
            self._closed[*self._labels(output), output.reason] += 1
            self._count_out(output.allocation)
        elif isinstance(output, o.PeerDenied):
            self._denied += 1
        elif isinstance(output, o.PeerConnection):
            self._peer_connections[(output.state,)] += 1

    def _count_in(self, output: o.AllocationOpened) -> None:
        transport, relay, realm = self._labels(output)
        user = (output.username,) if self._per_user else ()
        labels = (transport, relay, _family(output.relayed), realm, *user)
        # Kept, as the end does not tell families, and a token may change the user name.
        self._open[output.allocation] = labels
        self._allocations[labels] += 1

    def _count_out(self, allocation: int) -> None:
        labels = self._open.pop(allocation, None)
        if labels is None:
            return
        self._allocations[labels] -= 1
        # A time-limited user name never comes back: its series would stay for ever.
        if self._per_user and not self._allocations[labels]:
            del self._allocations[labels]

    def _labels(self, output: o.AllocationOpened | o.AllocationClosed) -> tuple[str, str, str]:
        relay = "tcp" if output.tcp else "udp"
        # An allocation keeps the transport it began with, though it may move (RFC 8016).
        return output.opened_over.value, relay, self._realm(output.realm)

    def _realm(self, realm: str) -> str:
        return realm if realm in self._realms else OTHER_REALM

    def describe(self) -> list[Metric]:
        """Say nothing: reading the engine takes its locks."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Read everything now."""
        totals = self._live.datapath()
        self._count_answers(totals)
        yield from self._events()
        yield from datapath_metrics(totals)
        yield from stream_metrics(self._live.streams())
        draining = GaugeMetricFamily("turnd_draining", "1 while new allocations are refused.")
        draining.add_metric([], float(self._live.draining()))
        yield draining
        expiry = self._live.certificate_expiry()
        if expiry is not None:
            ends = GaugeMetricFamily(
                "turnd_certificate_not_after_seconds",
                "Unix time at which the certificate in force ends.",
            )
            ends.add_metric([], expiry)
            yield ends
        build = GaugeMetricFamily("turnd_build_info", "Always 1.", labels=["version"])
        build.add_metric([__version__], 1)
        yield build

    def _count_answers(self, totals: Totals) -> None:
        """Count requests that the engine took care of, since the last scrape."""
        before, self._counted = self._counted, totals
        bindings = totals.bindings - before.bindings
        challenges = totals.challenges - before.challenges
        limited = totals.answers_limited - before.answers_limited
        udp, realm = Transport.UDP, self._realm(self._default_realm)
        if bindings:
            self._requests[Method.BINDING, 0, udp, self._realm("")] += bindings
        if challenges:
            self._requests[Method.ALLOCATE, ErrorCode.UNAUTHENTICATED, udp, realm] += challenges
        if limited:
            self._dropped["rate-limited", udp.value] += limited

    def _events(self) -> Iterator[Metric]:
        labels = ["transport", "relay", "family", "realm", *(["user"] if self._per_user else [])]
        allocations = GaugeMetricFamily(
            "turnd_allocations", "Allocations there are.", labels=labels
        )
        for values, number in self._allocations.items():
            allocations.add_metric(values, number)
        yield allocations
        yield _counter(
            "turnd_allocations_opened",
            "Allocations granted.",
            ("transport", "relay", "realm"),
            self._opened,
        )
        yield _counter(
            "turnd_allocations_closed",
            "Allocations ended.",
            ("transport", "relay", "realm", "reason"),
            self._closed,
        )
        yield from self._request_metrics()
        yield _counter(
            "turnd_requests_dropped",
            "Messages that had no answer.",
            ("reason", "transport"),
            self._dropped,
        )
        denied = CounterMetricFamily("turnd_peers_denied", "Peers that the policy refused.")
        denied.add_metric([], self._denied)
        yield denied
        yield _counter(
            "turnd_peer_connections",
            "Events of TCP allocations' peer connections.",
            ("state",),
            self._peer_connections,
        )

    def _request_metrics(self) -> Iterator[Metric]:
        requests: Counts[tuple[str, ...]] = Counts()
        by_code: dict[int, Counts[tuple[str, ...]]] = {
            ErrorCode.UNAUTHENTICATED: Counts(),
            ErrorCode.STALE_NONCE: Counts(),
        }
        for (method, code, transport, realm), number in self._requests.items():
            requests[method_name(method), str(int(code)), transport.value, realm] += number
            if code in by_code:
                by_code[code][(realm,)] += number
        yield _counter(
            "turnd_requests",
            "Requests answered, by STUN error code (0 is success).",
            ("method", "code", "transport", "realm"),
            requests,
        )
        yield _counter(
            "turnd_unauthenticated",
            "401 answers; the first request of every client gets one.",
            ("realm",),
            by_code[ErrorCode.UNAUTHENTICATED],
        )
        yield _counter(
            "turnd_stale_nonce", "438 answers.", ("realm",), by_code[ErrorCode.STALE_NONCE]
        )


def _counter(
    name: str, text: str, labels: Sequence[str], counts: Counts[tuple[str, ...]]
) -> CounterMetricFamily:
    family = CounterMetricFamily(name, text, labels=labels)
    for values, number in counts.items():
        family.add_metric(values, number)
    return family


def _family(relayed: Iterable[RelayedAddress]) -> str:
    """Return the family of an allocation; ``"dual"`` for both, so that sums count it once."""
    families = {address.public.family for address in relayed}
    return next(iter(families)).name.lower() if len(families) == 1 else "dual"

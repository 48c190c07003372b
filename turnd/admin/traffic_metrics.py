"""What the engine and the stream transports have counted, as Prometheus metrics."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from turnd.datapath.interface import Totals
from turnd.transports.totals import StreamTotals


def datapath_metrics(totals: Totals) -> Iterator[Metric]:
    """Yield packets, bytes, drops of the engine."""
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


def stream_metrics(totals: StreamTotals) -> Iterator[Metric]:
    """Yield connections, handshakes and drops of TCP, TLS and DTLS."""
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

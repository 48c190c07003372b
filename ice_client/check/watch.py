"""Checks again and again, and serves what it found to Prometheus."""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable, Iterator

import trio
from prometheus_client import CollectorRegistry, Gauge, start_http_server

from ice_client.check.results import Outcome, Report, Row
from stun import Address

CheckOnce = Callable[[], Awaitable[Report]]
_WAY = ("transport", "family", "address")


class WatchMetrics:
    """The last report as metrics; what is gone from it is gone here too."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._works = Gauge(
            "ice_check_works", "Whether everything that was asked for works", registry=self.registry
        )
        self._seconds = Gauge(
            "ice_check_duration_seconds", "Seconds the check took", registry=self.registry
        )
        self._finished = Gauge(
            "ice_check_last_finished_timestamp_seconds",
            "When the last check ended",
            registry=self.registry,
        )
        self._way = Gauge(
            "ice_check_way_works", "Whether a way to the server works", _WAY, registry=self.registry
        )
        self._stage = Gauge(
            "ice_check_stage_seconds",
            "Seconds a stage took, of those that went well",
            (*_WAY, "stage"),
            registry=self.registry,
        )
        self._finding = Gauge(
            "ice_check_finding",
            "1 for each verdict of the last check",
            ("id", "severity"),
            registry=self.registry,
        )
        self._round_trip = Gauge(
            "ice_check_relay_round_trip_seconds",
            "Round trip between two allocations",
            ("way", "quantile"),
            registry=self.registry,
        )
        self._loss = Gauge(
            "ice_check_relay_loss_ratio",
            "Part of the packets lost between two allocations",
            ("way",),
            registry=self.registry,
        )

    def update(self, report: Report) -> None:
        """Take a report's values."""
        for gauge in (self._way, self._stage, self._finding, self._round_trip, self._loss):
            gauge.clear()
        self._works.set(report.works)
        self._seconds.set(report.seconds)
        self._finished.set_to_current_time()
        for row in report.rows:
            labels = _labels(row)
            self._way.labels(*labels).set(row.works)
            for stage in row.stages:
                if stage.outcome is Outcome.OK and stage.seconds is not None:
                    self._stage.labels(*labels, stage.name.value).set(stage.seconds)
        for finding in report.findings:
            self._finding.labels(finding.id, finding.severity).set(1)
        for quality in report.quality:
            self._loss.labels(quality.row).set(quality.relay.loss)
            for name in ("p50", "p95", "p99"):
                value = getattr(quality.relay, name)
                if value is not None:
                    self._round_trip.labels(quality.row, f"0.{name[1:]}").set(value)


def _labels(row: Row) -> tuple[str, str, str]:
    host = f"[{row.address}]" if row.family == "ipv6" else row.address
    return row.transport.value, row.family, f"{host}:{row.port}"


@contextlib.contextmanager
def serving(metrics: WatchMetrics, listen: Address) -> Iterator[Address]:
    """Serve the metrics over HTTP for the length of the block; yields where.

    Raises:
        OSError: the port cannot be listened on.

    """
    server, thread = start_http_server(listen.port, listen.host, metrics.registry)
    try:
        yield Address.from_sockaddr(server.server_address)
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


async def watch(
    check: CheckOnce,
    interval: float,
    metrics: WatchMetrics,
    show: Callable[[Report], None],
) -> None:
    """Check every `interval` seconds (start to start), until cancelled."""
    while True:
        started = trio.current_time()
        report = await check()
        metrics.update(report)
        show(report)
        await trio.sleep_until(started + interval)

"""What a check found out of the network it was run from, as values: NAT, candidates, quality.

Part of a `Report`, see `ice_client.check.results`.
"""

from __future__ import annotations

import enum
from typing import Literal

import attrs


class Mapping(enum.Enum):
    """How a NAT maps (RFC 5780 §4.3, RFC 4787 §4.1)."""

    NONE = "no-nat"
    ENDPOINT_INDEPENDENT = "endpoint-independent"
    ADDRESS_DEPENDENT = "address-dependent"
    ADDRESS_AND_PORT_DEPENDENT = "address-and-port-dependent"


class Filtering(enum.Enum):
    """What a NAT lets in (RFC 5780 §4.4, RFC 4787 §5)."""

    ENDPOINT_INDEPENDENT = "endpoint-independent"
    ADDRESS_DEPENDENT = "address-dependent"
    ADDRESS_AND_PORT_DEPENDENT = "address-and-port-dependent"


@attrs.frozen(slots=True)
class NatResult:
    """NAT behaviour as one server shows it; None where it could not be told.

    Attributes:
        server: the one asked, `address:port`.
        local_address: this end's socket.
        mapped_address: as the server sees it.
        offered: whether the server offers RFC 5780 discovery.
        mapping: see `Mapping`.
        filtering: see `Filtering`.
        hairpin: whether packets to the own mapped address come back.
        port_preserved: whether the external port is the local one.
        alg: whether MAPPED-ADDRESS and XOR-MAPPED-ADDRESS differ.
        lifetime: seconds a mapping was seen to last at least; only on request.
        lifetime_end: seconds after which it was gone, if it was.
        detail: what stood in the way.

    """

    server: str
    local_address: str = ""
    mapped_address: str | None = None
    offered: bool = False
    mapping: Mapping | None = None
    filtering: Filtering | None = None
    hairpin: bool | None = None
    port_preserved: bool | None = None
    alg: bool | None = None
    lifetime: float | None = None
    lifetime_end: float | None = None
    detail: str = ""


@attrs.frozen(slots=True)
class LocalCandidate:
    """An address of this machine that ICE would offer."""

    type: Literal["host", "srflx", "relay"]
    transport: str
    address: str
    base: str = ""
    interface: str = ""
    seconds: float | None = None


@attrs.frozen(slots=True)
class RoundTrips:
    """Round trips of one path, seconds; `series` has at most 500, in the order sent."""

    sent: int
    received: int
    p50: float | None = None
    p95: float | None = None
    p99: float | None = None
    jitter: float | None = None
    reordered: int = 0
    series: tuple[float | None, ...] = ()

    @property
    def loss(self) -> float:
        """The part that did not come back, 0 to 1."""
        return 1 - self.received / self.sent if self.sent else 0.0


@attrs.frozen(slots=True)
class RampStep:
    """One rate of the throughput ramp."""

    offered_bps: float
    received_bps: float
    loss: float


@attrs.frozen(slots=True)
class QualityResult:
    """How well packets pass between two allocations.

    Attributes:
        row: the way to the server that was measured.
        relay: from one allocation to the other and back.
        direct: a Binding request to the server and its response, over the same transport.
        ramp: throughput by offered rate, from one allocation to the other.
        path_mtu: the largest payload that came through, bytes; None if not measured.

    """

    row: str
    relay: RoundTrips
    direct: RoundTrips
    ramp: tuple[RampStep, ...] = ()
    path_mtu: int | None = None

    @property
    def throughput_bps(self) -> float | None:
        """The highest rate that came through with at most 1 % lost."""
        good = [step.received_bps for step in self.ramp if step.loss <= 0.01]
        return max(good) if good else (0.0 if self.ramp else None)

    @property
    def relay_minus_direct(self) -> float | None:
        """What the relay adds at the median, seconds: the relayed way passes the server twice."""
        if self.relay.p50 is None or self.direct.p50 is None:
            return None
        return self.relay.p50 - self.direct.p50

import urllib.error
import urllib.request

import attrs
import pytest
import trio
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from stun import Address, Family, Method
from turnd.admin.http import admin_app, serve_http
from turnd.admin.metrics import LiveValues, Metrics
from turnd.core import outputs as o
from turnd.core.five_tuple import FiveTuple, Transport
from turnd.core.tables import RelayedAddress, Traffic
from turnd.datapath.interface import Direction, Drop, PacketCount, Totals
from turnd.network import ListenError, open_tcp
from turnd.transports.totals import HandshakeOutcome, TransportCounters

CLIENT = FiveTuple(
    Transport.TLS, Address.parse("198.51.100.20", 40000), Address.parse("192.0.2.15", 5349)
)
REALM = "example.org"
TOTALS = Totals(
    {(Direction.TO_PEER, Transport.UDP, Family.IPV4): PacketCount(3, 300)},
    {Drop.NO_PERMISSION: 5},
    7,
)


IPV4 = RelayedAddress(Address.parse("10.0.0.5", 50000), Address.parse("203.0.113.5", 50000))
IPV6 = RelayedAddress(Address.parse("2001:db8::5", 50000), Address.parse("2001:db8::5", 50000))


class Draining:
    now = False


@pytest.fixture
def counters() -> TransportCounters:
    return TransportCounters()


@pytest.fixture
def metrics(counters: TransportCounters) -> Metrics:
    live = LiveValues(lambda: TOTALS, counters.snapshot, lambda: Draining.now)
    return Metrics([REALM], live, per_realm=True)


def value(metrics: Metrics, name: str, **labels: str) -> float:
    found = metrics.registry.get_sample_value(name, labels)
    assert found is not None, generate_latest(metrics.registry).decode()
    return found


def opened(realm: str = REALM, number: int = 1) -> o.AllocationOpened:
    return o.AllocationOpened(number, CLIENT, "alice", realm, (IPV4,), 600)


def closed(realm: str = REALM, number: int = 1) -> o.AllocationClosed:
    moved = FiveTuple(Transport.UDP, CLIENT.client, CLIENT.server)
    return o.AllocationClosed(
        number, moved, "alice", realm, "expired", 1.0, Traffic(), Transport.TLS
    )


def test_allocations_go_up_and_down_by_the_transport_they_began_with(metrics: Metrics) -> None:
    labels = {"transport": "tls", "relay": "udp", "realm": REALM}
    for number in (1, 2):
        metrics.handle(opened(number=number))
    metrics.handle(closed())
    assert value(metrics, "turnd_allocations", family="ipv4", **labels) == 1
    assert value(metrics, "turnd_allocations_opened_total", **labels) == 2
    assert value(metrics, "turnd_allocations_closed_total", **labels, reason="expired") == 1


@pytest.mark.parametrize(
    ("relayed", "family"), [((IPV4,), "ipv4"), ((IPV6,), "ipv6"), ((IPV4, IPV6), "dual")]
)
def test_allocation_counts_once_whatever_its_families(
    metrics: Metrics, relayed: tuple[RelayedAddress, ...], family: str
) -> None:
    metrics.handle(o.AllocationOpened(1, CLIENT, "alice", REALM, relayed, 600))
    samples = [s for m in metrics.registry.collect() for s in m.samples]
    (sample,) = [sample for sample in samples if sample.name == "turnd_allocations"]
    assert (sample.labels["family"], sample.value) == (family, 1)


def test_user_is_a_label_when_asked_for_and_gone_with_the_last_allocation(
    counters: TransportCounters,
) -> None:
    live = LiveValues(lambda: TOTALS, counters.snapshot, lambda: False)
    metrics = Metrics([REALM], live, per_realm=True, per_user=True)
    for number in (1, 2):
        metrics.handle(opened(number=number))
    metrics.handle(o.RequestAnswered(CLIENT, Method.ALLOCATE, 0, REALM, "", "alice"))
    labels = {"transport": "tls", "relay": "udp", "family": "ipv4", "realm": REALM}
    # A token may have changed the name meanwhile: the one it began with counts.
    metrics.handle(attrs.evolve(closed(number=1), username="bob"))
    assert value(metrics, "turnd_allocations", user="alice", **labels) == 1
    metrics.handle(closed(number=2))
    assert "alice" not in generate_latest(metrics.registry).decode()


def test_user_is_no_label_by_default(metrics: Metrics) -> None:
    metrics.handle(opened())
    metrics.handle(o.RequestAnswered(CLIENT, Method.ALLOCATE, 0, REALM, "", "alice"))
    assert "alice" not in generate_latest(metrics.registry).decode()


def test_requests_that_the_engine_answered_are_requests_like_others(
    counters: TransportCounters,
) -> None:
    totals = [TOTALS]
    live = LiveValues(lambda: totals[0], counters.snapshot, lambda: False)
    metrics = Metrics([REALM], live, per_realm=True)
    metrics.handle(
        o.RequestAnswered(attrs.evolve(CLIENT, transport=Transport.UDP), Method.BINDING, 0, "")
    )
    for answered, limited, challenges in ((5, 0, 1), (5, 2, 1), (9, 2, 4)):
        totals[0] = attrs.evolve(
            TOTALS, bindings=answered, answers_limited=limited, challenges=challenges
        )
        generate_latest(metrics.registry)
    labels = {"method": "binding", "code": "0", "transport": "udp", "realm": "other"}
    assert value(metrics, "turnd_requests_total", **labels) == 10
    labels = {"method": "allocate", "code": "401", "transport": "udp", "realm": REALM}
    assert value(metrics, "turnd_requests_total", **labels) == 4
    assert value(metrics, "turnd_unauthenticated_total", realm=REALM) == 4
    labels = {"reason": "rate-limited", "transport": "udp"}
    assert value(metrics, "turnd_requests_dropped_total", **labels) == 2


def test_requests_are_counted_by_method_and_code(metrics: Metrics) -> None:
    for code in (0, 401, 401, 438):
        metrics.handle(o.RequestAnswered(CLIENT, Method.ALLOCATE, code, REALM))
    labels = {"method": "allocate", "transport": "tls", "realm": REALM}
    assert value(metrics, "turnd_requests_total", code="401", **labels) == 2
    assert value(metrics, "turnd_unauthenticated_total", realm=REALM) == 2
    assert value(metrics, "turnd_stale_nonce_total", realm=REALM) == 1


def test_realms_that_clients_make_up_are_no_labels(metrics: Metrics) -> None:
    for number in range(100):
        metrics.handle(o.RequestAnswered(CLIENT, Method.ALLOCATE, 401, f"realm{number}"))
        metrics.handle(o.RequestAnswered(CLIENT, 0x100 + number, 400, REALM))
    assert value(metrics, "turnd_unauthenticated_total", realm="other") == 100
    text = generate_latest(metrics.registry).decode()
    assert "realm7" not in text
    assert text.count("turnd_requests_total{") == 2


def test_realms_of_a_reloaded_configuration_are_labels_too(metrics: Metrics) -> None:
    metrics.reconfigure([REALM, "added.example"])
    metrics.handle(o.RequestAnswered(CLIENT, Method.ALLOCATE, 401, "added.example"))
    assert value(metrics, "turnd_unauthenticated_total", realm="added.example") == 1


def test_end_of_the_certificate_is_told_where_there_is_one(counters: TransportCounters) -> None:
    ends: list[float | None] = [None]
    live = LiveValues(lambda: TOTALS, counters.snapshot, lambda: False, lambda: ends[0])
    metrics = Metrics([REALM], live, per_realm=True)
    assert "turnd_certificate" not in generate_latest(metrics.registry).decode()
    ends[0] = 1_800_000_000.0
    assert value(metrics, "turnd_certificate_not_after_seconds") == 1_800_000_000


def test_drops_and_denials_are_counted(metrics: Metrics) -> None:
    metrics.handle(o.RequestDropped(CLIENT, "malformed"))
    metrics.handle(o.PeerDenied(CLIENT, CLIENT.client, "rule"))
    metrics.handle(o.PeerConnection(1, 2, CLIENT.client, "arrived"))
    assert value(metrics, "turnd_requests_dropped_total", reason="malformed", transport="tls") == 1
    assert value(metrics, "turnd_peers_denied_total") == 1
    assert value(metrics, "turnd_peer_connections_total", state="arrived") == 1


def test_engine_is_read_as_it_is_scraped(metrics: Metrics) -> None:
    labels = {"direction": "to_peer", "transport": "udp", "family": "ipv4"}
    assert value(metrics, "turnd_packets_total", **labels) == 3
    assert value(metrics, "turnd_bytes_total", **labels) == 300
    assert value(metrics, "turnd_drops_total", reason="no-permission") == 5
    assert value(metrics, "turnd_internal_packets_total") == 7


def test_connections_and_handshakes_are_read_from_the_transports(
    metrics: Metrics, counters: TransportCounters
) -> None:
    counters.opened(Transport.TLS)
    counters.handshake(Transport.DTLS, HandshakeOutcome.FAILED)
    assert value(metrics, "turnd_connections", transport="tls") == 1
    labels = {"transport": "dtls", "outcome": "failed"}
    assert value(metrics, "turnd_handshakes_total", **labels) == 1


def test_names_and_units_are_prometheus_style(metrics: Metrics) -> None:
    metrics.handle(opened())
    text = generate_latest(metrics.registry).decode()
    names = {family.name for family in text_string_to_metric_families(text)}
    assert "process_resident_memory_bytes" in names
    assert all(name.startswith(("turnd_", "process_")) for name in names)


def get(port: int, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


async def test_http_port_serves_metrics_health_and_readiness(metrics: Metrics) -> None:
    ready = False
    app = admin_app(metrics.registry, lambda: ready)
    async with trio.open_nursery() as nursery:
        port: int = await nursery.start(serve_http, Address.parse("127.0.0.1", 0), app)

        async def fetch(path: str) -> tuple[int, str]:
            return await trio.to_thread.run_sync(get, port, path)

        assert await fetch("/health") == (200, "ok\n")
        assert (await fetch("/ready"))[0] == 503
        ready = True
        assert (await fetch("/ready"))[0] == 200
        status, text = await fetch("/metrics")
        assert status == 200
        assert 'turnd_packets_total{direction="to_peer",family="ipv4",transport="udp"} 3.0' in text
        assert (await fetch("/nothing"))[0] == 404
        nursery.cancel_scope.cancel()


async def test_http_port_that_is_taken_is_a_clear_error() -> None:
    with open_tcp(Address.parse("127.0.0.1", 0), 1) as taken:
        address = Address.from_sockaddr(taken.getsockname())
        with pytest.RaisesGroup(ListenError, allow_unwrapped=True) as caught:
            await serve_http(address, admin_app(CollectorRegistry(), lambda: True))
        assert str(address) in str(caught.value)

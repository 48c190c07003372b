"""DTLS for clients: the stateless first exchange, sessions, their bounds and ends."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import pytest
import trio
import trio.testing
from OpenSSL import SSL

from stun import Address
from tests.turnd.transports.transport_fakes import (
    BINDING_REQUEST,
    CLIENT,
    DTLS,
    SERVER,
    UDP,
    DtlsClient,
    FakeRoad,
)
from turnd.core.five_tuple import FiveTuple, Transport
from turnd.transports.certificates import CertificateStore
from turnd.transports.dtls_cookie import KEY_LIFETIME
from turnd.transports.dtls_transport import DtlsTransport
from turnd.transports.settings import DtlsSettings, TlsSettings
from turnd.transports.totals import CloseReason, DtlsDrop, HandshakeOutcome, Refusal

# 26 names of 50 bytes: a ClientHello of some 1,500 bytes, which needs two datagrams.
LONG_ALPN = [bytes([65 + i]) * 50 for i in range(26)]


def make(
    road: FakeRoad, certificates: CertificateStore, settings: DtlsSettings | None = None
) -> DtlsTransport:
    return DtlsTransport(
        settings or DtlsSettings(),
        road,
        certificates,
        on_client_gone=road.on_client_gone,
        has_allocation=road.has_allocation,
    )


@pytest.fixture
async def dtls(
    road: FakeRoad, certificates: CertificateStore, nursery: trio.Nursery
) -> DtlsTransport:
    transport = make(road, certificates)
    await nursery.start(transport.run)
    return transport


def deliver(transport: DtlsTransport, datagrams: list[bytes], who: FiveTuple = DTLS) -> None:
    for datagram in datagrams:
        transport.receive(datagram, who)


def connect(
    transport: DtlsTransport, road: FakeRoad, client: DtlsClient, who: FiveTuple = DTLS
) -> None:
    """Carry datagrams to and fro until the handshake is done."""
    flight = client.handshake()
    for _ in range(10):
        deliver(transport, flight, who)
        flight = client.feed(road.take_records())
        if client.done and not flight:
            return
    raise AssertionError("the handshake does not come to an end")


def hello_body(random: bytes, session_id: bytes, cookie: bytes) -> bytes:
    """A ClientHello by RFC 6347 §4.2.1, with one cipher suite and no extensions."""
    return (
        b"\xfe\xfd"
        + random
        + bytes([len(session_id)])
        + session_id
        + bytes([len(cookie)])
        + cookie
        + bytes.fromhex("0002c02b0100")
    )


def hello_record(body: bytes, message_seq: int = 0, record_seq: int = 0) -> bytes:
    size = len(body).to_bytes(3, "big")
    message = b"\x01" + size + message_seq.to_bytes(2, "big") + bytes(3) + size + body
    return (
        b"\x16\xfe\xfd\0\0"
        + record_seq.to_bytes(6, "big")
        + len(message).to_bytes(2, "big")
        + message
    )


async def test_a_session_carries_messages_both_ways(dtls: DtlsTransport, road: FakeRoad) -> None:
    client = DtlsClient()
    connect(dtls, road, client)
    deliver(dtls, client.send(BINDING_REQUEST))
    assert road.received == [(BINDING_REQUEST, DTLS)]
    assert client.receive(road.take_records()) == [BINDING_REQUEST]
    assert dtls.totals().handshakes == {(Transport.DTLS, HandshakeOutcome.COMPLETED): 1}
    assert dtls.totals().open[Transport.DTLS] == 1


async def test_records_leave_by_the_udp_socket_the_client_sent_to(
    dtls: DtlsTransport, road: FakeRoad
) -> None:
    deliver(dtls, DtlsClient().handshake())
    assert [five_tuple for _, five_tuple in road.records] == [UDP]


async def test_a_hello_without_cookie_is_answered_by_a_smaller_hello_verify_request(
    dtls: DtlsTransport, road: FakeRoad
) -> None:
    hello = hello_record(hello_body(bytes(32), b"", b""), record_seq=7)
    dtls.receive(hello, DTLS)
    [answer] = road.take_records()
    assert len(answer) < len(hello)
    # RFC 6347 §4.2.1: version 1.0, the hello's record sequence number, message type 3.
    assert answer[:11] == b"\x16\xfe\xff\0\0" + (7).to_bytes(6, "big")
    assert answer[13] == 3
    assert answer[17:19] == b"\0\0"
    assert answer[25:27] == b"\xfe\xff"
    assert answer[27] == len(answer) - 28 <= 32


async def test_nothing_is_kept_for_a_hundred_thousand_clients_without_a_cookie(
    dtls: DtlsTransport, road: FakeRoad
) -> None:
    for number in range(100_000):
        random = hashlib.sha256(number.to_bytes(4, "big")).digest()
        client = Address(b"\x0a" + number.to_bytes(3, "big"), 1024 + number % 60000)
        dtls.receive(
            hello_record(hello_body(random, b"", b"")), FiveTuple(Transport.DTLS, client, SERVER)
        )
    assert dtls.session_count == 0
    assert road.sinks == {}
    assert dtls.totals().cookies_sent == 100_000
    assert dtls.totals().handshakes == {}
    cookies = {record[28:] for record in road.take_records()}
    assert len(cookies) == 100_000


def cookie_for(transport: DtlsTransport, road: FakeRoad, who: FiveTuple, random: bytes) -> bytes:
    transport.receive(hello_record(hello_body(random, b"", b"")), who)
    [answer] = road.take_records()
    return answer[28:]


OTHER_PORT = FiveTuple(Transport.DTLS, CLIENT.with_port(40001), SERVER)
OTHER_SERVER = FiveTuple(Transport.DTLS, CLIENT, SERVER.with_port(3478))


@pytest.mark.parametrize(
    ("who", "random", "change"),
    [
        pytest.param(OTHER_PORT, bytes(32), b"", id="another client address"),
        pytest.param(OTHER_SERVER, bytes(32), b"", id="another server address"),
        pytest.param(DTLS, b"x" * 32, b"", id="another random"),
        pytest.param(DTLS, bytes(32), b"x", id="another cookie"),
    ],
)
async def test_a_cookie_is_valid_for_its_client_alone(
    dtls: DtlsTransport, road: FakeRoad, who: FiveTuple, random: bytes, change: bytes
) -> None:
    cookie = cookie_for(dtls, road, DTLS, bytes(32))
    cookie = change + cookie[len(change) :]
    dtls.receive(hello_record(hello_body(random, b"", cookie), 1, 1), who)
    assert dtls.session_count == 0
    assert road.take_records() == []
    assert dtls.totals().dtls_drops == {DtlsDrop.INVALID_COOKIE: 1}


@pytest.mark.parametrize(
    ("age", "sessions"), [(KEY_LIFETIME * 0.9, 1), (KEY_LIFETIME * 1.9, 1), (KEY_LIFETIME * 2, 0)]
)
async def test_a_cookie_is_valid_for_one_to_two_minutes(
    road: FakeRoad,
    certificates: CertificateStore,
    mock_clock: trio.testing.MockClock,
    age: float,
    sessions: int,
) -> None:
    dtls = make(road, certificates)
    client = DtlsClient()
    deliver(dtls, client.handshake())
    second_hello = client.feed(road.take_records())
    # Whether keys rotate while nobody asks, or on the way, must make no difference.
    for _ in range(10):
        mock_clock.jump(age / 10)
        cookie_for(dtls, road, OTHER_PORT, bytes(32))
    deliver(dtls, second_hello)
    assert dtls.session_count == sessions


async def test_a_client_hello_split_over_two_datagrams_is_put_together(
    dtls: DtlsTransport, road: FakeRoad
) -> None:
    client = DtlsClient(alpn=LONG_ALPN)
    first = client.handshake()
    assert len(first) > 1  # or the test would prove nothing
    deliver(dtls, first)
    assert dtls.session_count == 0
    assert dtls.totals().cookies_sent == 1
    second = client.feed(road.take_records())
    assert len(second) > 1
    deliver(dtls, second)
    deliver(dtls, client.feed(road.take_records()))
    client.feed(road.take_records())
    assert client.done
    deliver(dtls, client.send(BINDING_REQUEST))
    assert client.receive(road.take_records()) == [BINDING_REQUEST]


async def test_two_fragments_of_a_hello_may_share_a_datagram(
    dtls: DtlsTransport, road: FakeRoad
) -> None:
    client = DtlsClient(mtu=600, alpn=LONG_ALPN)
    deliver(dtls, [b"".join(client.handshake())])
    deliver(dtls, [b"".join(client.feed(road.take_records()))])
    deliver(dtls, client.feed(road.take_records()))
    client.feed(road.take_records())
    assert client.done


async def test_a_later_fragment_is_not_kept_before_the_cookie(
    dtls: DtlsTransport, road: FakeRoad
) -> None:
    client = DtlsClient(alpn=LONG_ALPN)
    deliver(dtls, client.handshake()[:1])
    second = client.feed(road.take_records())
    deliver(dtls, list(reversed(second)))  # the part without the cookie comes first
    assert dtls.totals().dtls_drops == {DtlsDrop.NO_FIRST_FRAGMENT: 1}
    assert road.take_records() == []
    deliver(dtls, second)  # as when the client's timer fires
    deliver(dtls, client.feed(road.take_records()))
    client.feed(road.take_records())
    assert client.done


async def test_flights_keep_to_the_mtu(road: FakeRoad, certificates: CertificateStore) -> None:
    dtls = make(road, certificates, DtlsSettings(mtu=300))
    client = DtlsClient()
    deliver(dtls, client.handshake())
    deliver(dtls, client.feed(road.take_records()))
    flight = road.take_records()
    assert len(flight) > 1
    assert max(map(len, flight)) <= 300
    deliver(dtls, client.feed(flight))
    client.feed(road.take_records())
    assert client.done


async def test_small_records_of_a_flight_share_a_datagram(
    dtls: DtlsTransport, road: FakeRoad
) -> None:
    client = DtlsClient()
    deliver(dtls, client.handshake())
    deliver(dtls, client.feed(road.take_records()))
    # ServerHello, Certificate (ECDSA, one), ServerKeyExchange, ServerHelloDone.
    assert len(road.take_records()) == 1


async def test_a_lost_flight_is_sent_again(road: FakeRoad, certificates: CertificateStore) -> None:
    """OpenSSL's timer is one second of real time, so this takes that long."""
    async with trio.open_nursery() as nursery:
        dtls = make(road, certificates)
        await nursery.start(dtls.run)
        client = DtlsClient()
        deliver(dtls, client.handshake())
        deliver(dtls, client.feed(road.take_records()))
        lost = road.take_records()
        with trio.fail_after(5):
            while not road.records:
                await trio.sleep(0.05)
        again = road.take_records()
        assert [len(datagram) for datagram in again] == [len(datagram) for datagram in lost]
        deliver(dtls, client.feed(again))
        client.feed(road.take_records())
        assert client.done
        nursery.cancel_scope.cancel()


async def test_a_handshake_that_stalls_is_dropped(
    road: FakeRoad,
    certificates: CertificateStore,
    autojump_clock: trio.testing.MockClock,
    nursery: trio.Nursery,
) -> None:
    dtls = make(road, certificates, DtlsSettings(handshake_timeout=20))
    await nursery.start(dtls.run)
    client = DtlsClient()
    deliver(dtls, client.handshake())
    deliver(dtls, client.feed(road.take_records()))
    await trio.sleep(19.9)
    assert dtls.session_count == 1
    await trio.sleep(0.2)
    assert dtls.session_count == 0
    assert dtls.totals().handshakes == {(Transport.DTLS, HandshakeOutcome.TIMED_OUT): 1}
    assert road.gone == []  # it never was a client


async def test_an_idle_session_without_an_allocation_ends(
    road: FakeRoad,
    certificates: CertificateStore,
    autojump_clock: trio.testing.MockClock,
    nursery: trio.Nursery,
) -> None:
    dtls = make(road, certificates, DtlsSettings(idle_timeout=60))
    await nursery.start(dtls.run)
    client = DtlsClient()
    connect(dtls, road, client)
    await trio.sleep(50)
    deliver(dtls, client.send(BINDING_REQUEST))
    await trio.sleep(50)
    assert dtls.session_count == 1
    road.holders.add(DTLS)
    await trio.sleep(500)
    assert dtls.session_count == 1
    road.holders.clear()
    road.take_records()
    await trio.sleep(61)
    assert dtls.session_count == 0
    assert road.gone == [DTLS]
    assert road.sinks == {}
    with pytest.raises(SSL.ZeroReturnError):  # close_notify
        client.receive(road.take_records())
    assert dtls.totals().closed == {(Transport.DTLS, CloseReason.IDLE): 1}


async def test_close_notify_ends_the_session_and_is_answered(
    dtls: DtlsTransport, road: FakeRoad
) -> None:
    client = DtlsClient()
    connect(dtls, road, client)
    client.ssl.shutdown()
    deliver(dtls, client.drain())
    assert dtls.session_count == 0
    assert road.gone == [DTLS]
    with pytest.raises(SSL.ZeroReturnError):
        client.receive(road.take_records())
    assert dtls.totals().closed == {(Transport.DTLS, CloseReason.CLIENT): 1}


async def test_close_client_ends_the_session(dtls: DtlsTransport, road: FakeRoad) -> None:
    client = DtlsClient()
    connect(dtls, road, client)
    dtls.close_client(DTLS)
    assert (dtls.session_count, road.gone) == (0, [DTLS])
    with pytest.raises(SSL.ZeroReturnError):
        client.receive(road.take_records())
    dtls.close_client(DTLS)
    assert road.gone == [DTLS]


async def test_cancelling_ends_every_session(
    road: FakeRoad, certificates: CertificateStore
) -> None:
    dtls = make(road, certificates)
    async with trio.open_nursery() as nursery:
        await nursery.start(dtls.run)
        connect(dtls, road, DtlsClient())
        deliver(dtls, DtlsClient().handshake(), OTHER_PORT)
        nursery.cancel_scope.cancel()
    assert (dtls.session_count, road.gone, road.sinks) == (0, [DTLS], {})
    assert dtls.totals().open[Transport.DTLS] == 0


async def test_a_hello_from_a_known_address_replaces_the_session_only_after_its_handshake(
    dtls: DtlsTransport, road: FakeRoad
) -> None:
    old, new = DtlsClient(), DtlsClient()
    connect(dtls, road, old)
    deliver(dtls, new.handshake())
    deliver(dtls, new.feed(road.take_records()))  # the cookie: a handshake has begun
    flight = road.take_records()
    deliver(dtls, old.send(BINDING_REQUEST))
    assert old.receive(road.take_records()) == [BINDING_REQUEST]
    assert road.gone == []
    deliver(dtls, new.feed(flight))
    new.feed(road.take_records())
    assert new.done
    assert road.gone == [DTLS]
    deliver(dtls, new.send(BINDING_REQUEST))
    assert new.receive(road.take_records()) == [BINDING_REQUEST]
    assert dtls.session_count == 1
    assert dtls.totals().closed == {(Transport.DTLS, CloseReason.REPLACED): 1}


async def test_a_repeated_hello_of_the_same_client_begins_nothing(
    dtls: DtlsTransport, road: FakeRoad
) -> None:
    client = DtlsClient()
    deliver(dtls, client.handshake())
    hello = client.feed(road.take_records())
    deliver(dtls, hello + hello)
    assert dtls.session_count == 1
    deliver(dtls, client.feed(road.take_records()))
    client.feed(road.take_records())
    assert client.done
    deliver(dtls, hello)
    assert (dtls.session_count, road.gone) == (1, [])


async def test_sessions_are_bounded_in_total(
    road: FakeRoad, certificates: CertificateStore
) -> None:
    dtls = make(road, certificates, DtlsSettings(max_sessions=1))
    connect(dtls, road, DtlsClient())
    other = DtlsClient()
    deliver(dtls, other.handshake(), OTHER_PORT)
    deliver(dtls, other.feed(road.take_records()), OTHER_PORT)
    assert dtls.session_count == 1
    assert dtls.totals().refused == {(Transport.DTLS, Refusal.TOTAL_LIMIT): 1}
    dtls.close_client(DTLS)
    road.take_records()
    connect(dtls, road, DtlsClient(), OTHER_PORT)


async def test_sessions_are_bounded_per_address(
    road: FakeRoad, certificates: CertificateStore
) -> None:
    dtls = make(road, certificates, DtlsSettings(max_sessions_per_address=1))
    connect(dtls, road, DtlsClient())
    same_host = DtlsClient()
    deliver(dtls, same_host.handshake(), OTHER_PORT)
    deliver(dtls, same_host.feed(road.take_records()), OTHER_PORT)
    assert dtls.totals().refused == {(Transport.DTLS, Refusal.ADDRESS_LIMIT): 1}
    other_host = FiveTuple(Transport.DTLS, Address.parse("198.51.100.8", 1), SERVER)
    connect(dtls, road, DtlsClient(), other_host)
    dtls.close_client(DTLS)
    road.take_records()
    connect(dtls, road, DtlsClient(), OTHER_PORT)


async def test_a_client_that_offers_nothing_acceptable_gets_an_alert_and_is_forgotten(
    dtls: DtlsTransport, road: FakeRoad
) -> None:
    cookie = cookie_for(dtls, road, DTLS, bytes(32))
    body = hello_body(bytes(32), b"", cookie)[:-6] + bytes.fromhex("000200ff0100")
    dtls.receive(hello_record(body, 1, 1), DTLS)
    assert dtls.session_count == 0
    assert [record[0] for record in road.take_records()] == [21]
    assert dtls.totals().handshakes == {(Transport.DTLS, HandshakeOutcome.FAILED): 1}


@pytest.mark.parametrize("size", [1, 1400, 1500, 16384])
async def test_messages_of_any_size_a_record_holds_arrive_whole(
    dtls: DtlsTransport, road: FakeRoad, size: int
) -> None:
    client = DtlsClient()
    connect(dtls, road, client)
    message = bytes(size)
    accepted = road.sinks[DTLS].send(message)
    assert accepted
    assert b"".join(client.receive(road.take_records())) == message


async def test_a_message_that_no_record_holds_is_refused(
    dtls: DtlsTransport, road: FakeRoad
) -> None:
    client = DtlsClient()
    connect(dtls, road, client)
    assert not road.sinks[DTLS].send(bytes(16385))
    assert road.sinks[DTLS].send(b"still there")
    assert client.receive(road.take_records()) == [b"still there"]


async def test_records_that_are_not_authentic_change_nothing(
    dtls: DtlsTransport, road: FakeRoad
) -> None:
    client = DtlsClient()
    connect(dtls, road, client)
    [record] = client.send(BINDING_REQUEST)
    close_notify_in_clear = bytes.fromhex("15fefd000000000000000000020100")
    deliver(dtls, [close_notify_in_clear, record[:-1] + b"\xff", record[:-5], b"\x16" * 40])
    assert road.received == []
    deliver(dtls, client.send(BINDING_REQUEST))
    assert road.received == [(BINDING_REQUEST, DTLS)]


async def test_records_of_unknown_clients_are_counted_and_dropped(
    dtls: DtlsTransport, road: FakeRoad
) -> None:
    dtls.receive(bytes.fromhex("17fefd0001000000000001000400000000"), DTLS)
    assert dtls.totals().dtls_drops == {DtlsDrop.NO_SESSION: 1}
    assert road.records == []


def damaged_hellos() -> Iterator[bytes]:
    hello = hello_record(hello_body(bytes(32), b"s" * 32, b""))
    yield from (hello[:size] for size in range(14, len(hello)))
    for position in range(len(hello)):
        for value in (0x00, 0x7F, 0xFF):
            yield hello[:position] + bytes([value]) + hello[position + 1 :]


async def test_damaged_hellos_never_make_state_nor_a_larger_answer(
    dtls: DtlsTransport, road: FakeRoad
) -> None:
    for hello in damaged_hellos():
        dtls.receive(hello, DTLS)
        assert dtls.session_count == 0
        assert sum(map(len, road.take_records())) < len(hello)
    assert dtls.totals().closed == {}  # ERROR would be among it


async def test_a_session_that_fails_ends_alone(dtls: DtlsTransport, road: FakeRoad) -> None:
    good, bad = DtlsClient(), DtlsClient()
    connect(dtls, road, good)
    connect(dtls, road, bad, OTHER_PORT)

    def fail_for_one(data: bytes, five_tuple: FiveTuple) -> None:
        if five_tuple == OTHER_PORT:
            raise ZeroDivisionError
        road.echo(data, five_tuple)

    road.on_message = fail_for_one
    deliver(dtls, bad.send(BINDING_REQUEST), OTHER_PORT)
    assert road.gone == [OTHER_PORT]
    road.take_records()
    deliver(dtls, good.send(BINDING_REQUEST))
    assert good.receive(road.take_records()) == [BINDING_REQUEST]
    assert dtls.totals().closed == {(Transport.DTLS, CloseReason.ERROR): 1}


@pytest.mark.parametrize(
    ("offered", "chosen"),
    [
        ([b"stun.nat-discovery", b"stun.turn"], b"stun.turn"),
        ([b"stun.nat-discovery"], b"stun.nat-discovery"),
        ([b"http/1.1"], b""),
    ],
)
async def test_alpn_names_turn_or_nat_discovery_or_nothing(
    dtls: DtlsTransport, road: FakeRoad, offered: list[bytes], chosen: bytes
) -> None:
    client = DtlsClient(alpn=offered)
    connect(dtls, road, client)
    assert client.ssl.get_alpn_proto_negotiated() == chosen


async def test_a_reloaded_certificate_serves_new_sessions_and_spares_old_ones(
    road: FakeRoad,
) -> None:
    store = CertificateStore(TlsSettings())
    store.make_self_signed(["old.example"])
    dtls = make(road, store)
    old, new = DtlsClient(), DtlsClient()
    connect(dtls, road, old)
    store.make_self_signed(["new.example"])
    connect(dtls, road, new, OTHER_PORT)
    names = []
    for client in (old, new):
        certificate = client.ssl.get_peer_certificate(as_cryptography=True)
        assert certificate is not None
        names.append(certificate.subject.rfc4514_string())
    assert names == ["CN=old.example", "CN=new.example"]
    deliver(dtls, old.send(BINDING_REQUEST))
    assert old.receive(road.take_records()) == [BINDING_REQUEST]

"""What anybody can send to an endpoint's address: counted, bounded, and the handshake goes on."""

import functools
import random
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.webrtc.dtls.link import (
    LinkConditions,
    SimulatedLink,
    certificate,
    connected_pair,
    make_pair,
    start,
)
from webrtc.dtls import (
    DataReceived,
    DtlsEndpoint,
    DtlsRole,
    DtlsState,
    Failed,
    FailureReason,
)
from webrtc.dtls.handshake import DOUBT_TIMEOUT
from webrtc.dtls.hello import COOKIE_SIZE, HelloGate, Verdict, parse_client_hello
from webrtc.dtls.records import Fragment, HandshakeType, handshake_fragments, handshake_record

CONNECTED = (DtlsState.CONNECTED, DtlsState.CONNECTED)
FORGED = 1000
CLIENT, SERVER = 0, 1
VERSION = b"\xfe\xfd"
FATAL_ALERT = bytes((21,)) + VERSION + bytes(8) + b"\0\2" + bytes((2, 40))


@functools.cache
def forged_hello(number: int) -> bytes:
    """A hello that is right in every respect, only not the peer's."""
    forger = DtlsEndpoint(certificate("forger"))
    forger.start(0.0, DtlsRole.CLIENT, [certificate().fingerprint()])
    (datagram,) = forger.take_datagrams()
    return datagram


def fragment_of(datagram: bytes) -> Fragment:
    fragments = handshake_fragments(datagram)
    assert fragments is not None
    return fragments[0]


def extensions_offset(body: bytes) -> int:
    """Where the length of a hello's extensions stands; there is no session id and no cookie."""
    return 2 + 32 + 1 + 1 + 2 + int.from_bytes(body[36:38], "big") + 2


def damaged_hello(number: int) -> bytes:
    """A hello with a byte changed somewhere behind the record header."""
    dice = random.Random(number)
    datagram = bytearray(forged_hello(number % 50))
    datagram[dice.randrange(13, len(datagram))] ^= dice.randrange(1, 256)
    return bytes(datagram)


def forged_server_hello(number: int) -> bytes:
    body = VERSION + random.Random(number).randbytes(32) + b"\0" + b"\xc0\x2b" + b"\0"
    return handshake_record(VERSION, HandshakeType.SERVER_HELLO, 0, body)


def forged_verify_request(number: int) -> bytes:
    body = b"\xfe\xff" + b"\x10" + random.Random(number).randbytes(16)
    return handshake_record(b"\xfe\xff", HandshakeType.HELLO_VERIFY_REQUEST, 0, body)


def noise(number: int) -> bytes:
    dice = random.Random(number)
    return bytes((dice.randrange(20, 64),)) + dice.randbytes(dice.randrange(200))


def alert(_number: int) -> bytes:
    return FATAL_ALERT


FLOODS = [
    pytest.param(forged_hello, SERVER, id="hellos-to-server"),
    pytest.param(forged_hello, CLIENT, id="hellos-to-client"),
    pytest.param(damaged_hello, SERVER, id="damaged-hellos-to-server"),
    pytest.param(damaged_hello, CLIENT, id="damaged-hellos-to-client"),
    pytest.param(forged_server_hello, SERVER, id="server-hellos-to-server"),
    pytest.param(forged_server_hello, CLIENT, id="server-hellos-to-client"),
    pytest.param(forged_verify_request, CLIENT, id="verify-requests-to-client"),
    pytest.param(noise, SERVER, id="noise-to-server"),
    pytest.param(noise, CLIENT, id="noise-to-client"),
    pytest.param(alert, SERVER, id="alerts-to-server"),
    pytest.param(alert, CLIENT, id="alerts-to-client"),
]


def exchange_works(link: SimulatedLink) -> bool:
    link.ends[CLIENT].endpoint.send(b"through")
    link.run()
    return DataReceived(b"through") in link.ends[SERVER].events


@pytest.mark.parametrize("spread", [0.0, 0.5], ids=["burst", "spread"])
@pytest.mark.parametrize("moment", [0.0, 0.01, 0.03, 0.05])
@pytest.mark.parametrize(("forge", "target"), FLOODS)
def test_handshake_goes_on_through_a_thousand_forgeries(
    forge: object, target: int, moment: float, spread: float
) -> None:
    assert callable(forge)
    link = make_pair(conditions=LinkConditions(delay=0.02))
    start(link)
    for number in range(FORGED):
        link.inject(target, forge(number), moment + spread * number / FORGED)
    link.run()
    assert link.states == CONNECTED
    assert exchange_works(link)
    client, server = (end.endpoint.statistics for end in link.ends)
    assert client.attempts <= 6
    assert server.attempts <= 6
    target_statistics = link.ends[target].endpoint.statistics
    counted = (
        target_statistics.malformed
        + target_statistics.unexpected
        + target_statistics.unauthentic_alerts
        + target_statistics.challenges
        + target_statistics.attempts
        + target_statistics.flights_resent
    )
    assert counted >= FORGED // 2


def test_forged_hello_first_is_challenged_away_by_the_peers_own() -> None:
    link = make_pair()
    start(link)
    server = link.ends[SERVER].endpoint
    server.receive(forged_hello(1), 0.0)
    server.take_datagrams()  # the forger hears nothing, and neither does the peer
    link.run()
    assert link.states == CONNECTED
    assert server.statistics.challenges >= 1
    assert server.statistics.attempts == 2


def test_flood_of_hellos_is_answered_with_less_than_it_brings() -> None:
    server = DtlsEndpoint(certificate())
    server.start(0.0, DtlsRole.SERVER, [certificate().fingerprint()])
    server.receive(forged_hello(0), 0.0)
    server.take_datagrams()
    for number in range(1, FORGED):
        hello = forged_hello(number)
        server.receive(hello, 0.0)
        assert sum(map(len, server.take_datagrams())) < len(hello) / 2


def test_repeated_hello_in_a_burst_is_answered_once() -> None:
    server = DtlsEndpoint(certificate())
    server.start(0.0, DtlsRole.SERVER, [certificate().fingerprint()])
    for moment in (0.0, 0.001, 0.002, 0.06, 0.061):
        server.receive(forged_hello(0), moment)
    assert server.statistics.flights_resent == 1
    assert len(server.take_datagrams()) == 2


def test_alert_in_the_clear_fails_only_a_handshake_that_comes_to_nothing() -> None:
    client = DtlsEndpoint(certificate())
    client.start(0.0, DtlsRole.CLIENT, [certificate().fingerprint()])
    client.receive(FATAL_ALERT, 1.0)
    assert client.state is DtlsState.CONNECTING
    client.on_deadline(1.0 + DOUBT_TIMEOUT)
    (failed,) = client.take_events()
    assert isinstance(failed, Failed)
    assert failed.reason is FailureReason.PEER_ALERT


def test_hello_in_pieces_in_any_order_is_answered_once_whole() -> None:
    fragment = fragment_of(forged_hello(0))
    server = DtlsEndpoint(certificate())
    server.start(0.0, DtlsRole.SERVER, [certificate().fingerprint()])
    pieces = [(at, fragment.body[at : at + 20]) for at in range(0, fragment.size, 20)]
    random.Random(1).shuffle(pieces)
    for at, body in pieces:
        assert server.take_datagrams() == []
        header = struct.pack("!I", fragment.size)[1:] + b"\0\0" + struct.pack("!I", at)[1:]
        content = b"\1" + header + struct.pack("!I", len(body))[1:] + body
        record = b"\x16\xfe\xff" + bytes(8) + struct.pack("!H", len(content)) + content
        server.receive(record, 0.0)
    assert server.statistics.attempts == 1
    assert server.take_datagrams()


def test_hello_of_chromiums_size_in_two_datagrams_is_taken_whole() -> None:
    body = fragment_of(forged_hello(0)).body
    at = extensions_offset(body)
    padding = b"\0\x15" + struct.pack("!H", 1200) + bytes(1200)  # RFC 7685
    extensions = body[at + 2 :] + padding
    padded = body[:at] + struct.pack("!H", len(extensions)) + extensions
    gate = HelloGate(bytes(COOKIE_SIZE))
    halves = [
        Fragment(HandshakeType.CLIENT_HELLO, len(padded), 0, at, padded[at : at + 1100])
        for at in (1100, 0)
    ]
    assert gate.judge(halves[0])[0] is Verdict.IGNORE
    verdict, whole = gate.judge(halves[1])
    assert verdict is Verdict.BEGIN
    assert whole is not None
    assert whole.body == padded


def test_cookie_is_worth_nothing_in_another_endpoint() -> None:
    cookie = b"c" * COOKIE_SIZE
    body = fragment_of(forged_hello(0)).body
    with_cookie = body[:35] + bytes((COOKIE_SIZE,)) + cookie + body[36:]
    assert parse_client_hello(1, with_cookie) is not None
    fragment = Fragment(HandshakeType.CLIENT_HELLO, len(with_cookie), 1, 0, with_cookie)
    assert HelloGate(cookie).judge(fragment)[0] is Verdict.BEGIN_VERIFIED
    assert HelloGate(b"d" * COOKIE_SIZE).judge(fragment)[0] is Verdict.IGNORE


def test_hello_cut_short_is_no_hello() -> None:
    body = fragment_of(forged_hello(0)).body
    assert parse_client_hello(0, body) is not None
    without_extensions = extensions_offset(body)
    for cut in range(len(body)):
        parsed = parse_client_hello(0, body[:cut])
        assert (parsed is not None) is (cut == without_extensions)


def test_session_outlives_forgeries_of_every_kind() -> None:
    link = connected_pair()
    for end in link.ends:
        for number in range(300):
            for forge in (forged_hello, damaged_hello, forged_server_hello, noise, alert):
                end.endpoint.receive(forge(number), link.now)
            bad_tag = b"\x17\xfe\xfd\0\1" + struct.pack("!Q", number)[2:] + b"\0\x20" + bytes(32)
            bad_epoch = b"\x16\xfe\xfd\0\2" + bytes(6) + b"\0\x20" + bytes(32)
            bad_alert = b"\x15\xfe\xfd\0\1" + struct.pack("!Q", number)[2:] + b"\0\x1a" + bytes(26)
            for datagram in (bad_tag, bad_epoch, bad_alert):
                end.endpoint.receive(datagram, link.now)
        sent = end.endpoint.take_datagrams()
        assert sum(map(len, sent)) < 3000  # the server's last flight, once for all of them
    assert link.states == CONNECTED
    assert exchange_works(link)


@given(st.lists(st.binary(max_size=120), max_size=8), st.sampled_from(list(DtlsRole)))
def test_no_bytes_raise_in_any_state(datagrams: list[bytes], role: DtlsRole) -> None:
    endpoint = DtlsEndpoint(certificate())
    for now, datagram in enumerate(datagrams):
        endpoint.receive(datagram, float(now))
    endpoint.start(8.0, role, [certificate().fingerprint()])
    for now, datagram in enumerate(datagrams, 9):
        endpoint.receive(datagram, float(now))
        header = b"\x16\xfe\xfd" + bytes(8) + struct.pack("!H", len(datagram))
        endpoint.receive(header + datagram, float(now))
    assert endpoint.state in (DtlsState.CONNECTING, DtlsState.FAILED)

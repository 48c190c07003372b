"""An endpoint's life: before the start, messages, the MTU, the end."""

import pytest

from tests.webrtc.dtls.link import End, certificate, connected_pair, make_pair, start
from webrtc.dtls import (
    Closed,
    DataReceived,
    DtlsEndpoint,
    DtlsRole,
    DtlsSettings,
    DtlsState,
    DtlsStateError,
    Failed,
    FailureReason,
    PayloadSizeError,
    SrtpProfile,
)
from webrtc.dtls.endpoint import MAX_QUEUED

CONNECTED = (DtlsState.CONNECTED, DtlsState.CONNECTED)


def messages(end: End) -> list[bytes]:
    return [event.data for event in end.events if isinstance(event, DataReceived)]


@pytest.mark.parametrize("mtu", [256, 300, 576, 1200, 1452, 9000])
def test_no_datagram_is_above_the_mtu_and_the_longest_message_fills_it(mtu: int) -> None:
    link = connected_pair(DtlsSettings(mtu=mtu))
    client, server = link.ends
    longest = client.endpoint.max_payload
    for size in (1, longest - 1, longest):
        client.endpoint.send(bytes(size))
    link.run()
    assert [len(message) for message in messages(server)] == [1, longest - 1, longest]
    assert len(client.sent[-1]) == mtu
    assert max(len(datagram) for end in link.ends for datagram in end.sent) == mtu
    with pytest.raises(PayloadSizeError):
        client.endpoint.send(bytes(longest + 1))
    with pytest.raises(PayloadSizeError):
        client.endpoint.send(b"")


def test_mtu_can_change_in_mid_session() -> None:
    link = connected_pair()
    client = link.ends[0].endpoint
    before = client.max_payload
    client.set_mtu(1400)
    assert client.max_payload == before + 200
    client.send(bytes(client.max_payload))
    link.run()
    assert len(link.ends[0].sent[-1]) == 1400
    with pytest.raises(PayloadSizeError):
        client.set_mtu(100)


def test_smaller_mtu_during_the_handshake_holds_for_the_flights_to_come() -> None:
    link = make_pair()
    start(link)
    server = link.ends[1].endpoint
    server.set_mtu(300)
    link.run()
    assert link.states == CONNECTED
    assert max(map(len, link.ends[1].sent)) <= 300


def test_flight_that_arrives_before_the_start_is_kept() -> None:
    link = make_pair()
    client, server = (end.endpoint for end in link.ends)
    client.start(0.0, DtlsRole.CLIENT, [server.certificate.fingerprint()])
    link.run(until=0.05)
    assert server.state is DtlsState.NEW
    server.start(0.05, DtlsRole.SERVER, [client.certificate.fingerprint()])
    link.run(until=0.15)
    assert link.states == CONNECTED


def test_messages_survive_in_both_directions_and_keep_their_boundaries() -> None:
    link = connected_pair()
    sent = [bytes([n]) * (n + 1) for n in range(100)]
    for message in sent:
        for end in link.ends:
            end.endpoint.send(message)
    link.run()
    assert messages(link.ends[0]) == sent
    assert messages(link.ends[1]) == sent


def test_message_that_overtakes_the_end_of_the_handshake_is_released_after_it() -> None:
    link = make_pair()
    start(link)
    client, server = (end.endpoint for end in link.ends)
    for sender, receiver in ((client, server), (server, client), (client, server)):
        for datagram in sender.take_datagrams():
            receiver.receive(datagram, 0.0)
    last_flight = server.take_datagrams()
    server.send(b"early")
    (early,) = server.take_datagrams()
    client.receive(early, 0.0)
    assert client.state is DtlsState.CONNECTING
    assert client.take_events() == []
    for datagram in last_flight:
        client.receive(datagram, 0.0)
    assert client.take_events()[1:] == [DataReceived(b"early")]


def test_replayed_message_is_dropped() -> None:
    link = connected_pair()
    client, server = link.ends
    client.endpoint.send(b"once")
    link.run()
    server.endpoint.receive(client.sent[-1], link.now)
    server.endpoint.receive(client.sent[-1], link.now)
    link.run()
    assert messages(server) == [b"once"]


def test_owner_who_takes_nothing_away_has_a_bounded_heap_of_it() -> None:
    link = connected_pair()
    client, server = (end.endpoint for end in link.ends)
    for _ in range(MAX_QUEUED + 10):
        client.send(b"x")
    assert client.statistics.datagrams_dropped == 10
    for datagram in client.take_datagrams():
        server.receive(datagram, 0.0)
    for _ in range(10):
        client.send(b"y")
    for datagram in client.take_datagrams():
        server.receive(datagram, 0.0)
    assert server.statistics.messages_dropped == 10
    assert len(server.take_events()) == MAX_QUEUED


@pytest.mark.parametrize("closing", [0, 1])
def test_close_notify_closes_the_other_end_too(closing: int) -> None:
    link = connected_pair()
    link.ends[closing].endpoint.close()
    link.ends[closing].endpoint.close()
    link.run()
    assert link.states == (DtlsState.CLOSED, DtlsState.CLOSED)
    assert link.ends[closing].events[1:] == [Closed(by_peer=False)]
    assert link.ends[1 - closing].events[1:] == [Closed(by_peer=True)]
    for end in link.ends:
        assert end.endpoint.next_deadline() is None
        with pytest.raises(DtlsStateError):
            end.endpoint.send(b"x")


def test_endpoint_closed_before_or_in_the_handshake_sends_nothing_more() -> None:
    link = make_pair()
    link.ends[1].endpoint.close()
    assert link.ends[1].endpoint.state is DtlsState.CLOSED
    with pytest.raises(DtlsStateError):
        link.ends[1].endpoint.start(0.0, DtlsRole.SERVER, [certificate().fingerprint()])
    client = link.ends[0].endpoint
    client.start(0.0, DtlsRole.CLIENT, [certificate().fingerprint()])
    client.take_datagrams()
    client.close()
    assert client.next_deadline() is None
    assert client.take_datagrams() == []


def test_silent_peer_fails_the_handshake_in_time() -> None:
    endpoint = DtlsEndpoint(certificate(), DtlsSettings(handshake_timeout=5.0))
    endpoint.start(100.0, DtlsRole.SERVER, [certificate().fingerprint()])
    assert endpoint.next_deadline() == 105.0
    endpoint.on_deadline(105.0)
    (failed,) = endpoint.take_events()
    assert isinstance(failed, Failed)
    assert failed.reason is FailureReason.TIMEOUT
    assert endpoint.next_deadline() is None


@pytest.mark.parametrize("role", list(DtlsRole))
def test_no_srtp_profile_in_common_fails(role: DtlsRole) -> None:
    gcm = DtlsSettings(offered_profiles=(SrtpProfile.AEAD_AES_128_GCM,))
    cm = DtlsSettings(accepted_profiles=(SrtpProfile.AES128_CM_SHA1_80,))
    link = make_pair(gcm, cm)
    start(link)
    link.run()
    end = link.ends[role is DtlsRole.SERVER]
    assert end.endpoint.state is DtlsState.FAILED
    assert isinstance(end.events[0], Failed)
    assert end.events[0].reason is FailureReason.SRTP_PROFILE


def test_data_channels_alone_need_no_profile() -> None:
    settings = DtlsSettings(offered_profiles=(), accepted_profiles=(), srtp_required=False)
    link = connected_pair(settings)
    assert link.ends[0].connected.srtp is None
    link.ends[0].endpoint.send(b"data")
    link.run()
    assert messages(link.ends[1]) == [b"data"]


def test_datagram_of_one_message_is_taken_without_an_event() -> None:
    link = connected_pair()
    client, server = link.ends
    client.endpoint.send(b"message")
    (datagram,) = client.endpoint.take_datagrams()
    forged = datagram[:-1] + bytes((datagram[-1] ^ 1,))
    assert server.endpoint.receive_message(forged) == b""
    assert server.endpoint.receive_message(datagram) == b"message"
    assert server.endpoint.receive_message(datagram) == b""  # a replay
    for other in (b"", datagram[:-1], datagram + datagram, b"\x16" + datagram[1:]):
        assert server.endpoint.receive_message(other) is None
    assert server.endpoint.take_events() == []
    statistics = server.endpoint.statistics
    assert (statistics.unauthentic, statistics.replayed) == (1, 1)
    assert statistics.messages_received == 1

"""RFC 6062 §5."""

import pytest

from stun import Address, Family, Message, MessageClass, Method
from stun import attributes as a
from tests.turnd.core.kit import PEER, RELAY_IP, TCP, Client, World
from turnd.core.five_tuple import Transport
from turnd.core.outputs import AllocationClosed, PeerConnection, Transmit
from turnd.core.settings import Limits, RelayIp
from turnd.core.tables import Traffic


def control(world: World, port: int = 40000, user: str = "alice") -> Client:
    client = world.client(port, transport=Transport.TCP, user=user)
    client.allocated(protocol=TCP)
    return client


def connect(world: World, client: Client, peer: Address = PEER) -> int:
    """Ask for a connection; return the CONNECTION-ID the TCP relay was given."""
    if not client.nonce:
        client.learn_nonce()
    data = client.encode(Method.CONNECT, peers=[peer])
    outputs = world.server.receive(data, client.five_tuple, world.now)
    assert outputs == [], "the answer waits for the peer"
    call = world.tcp_relay.calls[-1]
    assert call[0] == "connect"
    return int(call[2])


def answer(outputs: list[object]) -> Message:
    (transmit,) = [output for output in outputs if isinstance(output, Transmit)]
    return Message.decode(transmit.data)


def test_connect_is_answered_when_the_peer_is_connected() -> None:
    world = World()
    client = control(world)
    number = connect(world, client)
    outputs = world.server.peer_connected(number, world.now)
    assert PeerConnection(1, number, PEER, "connected") in outputs
    message = answer(list(outputs))
    assert message.message_class is MessageClass.SUCCESS_RESPONSE
    assert message.get(a.CONNECTION_ID) == number


def test_connect_that_fails_is_447() -> None:
    world = World()
    client = control(world)
    number = connect(world, client)
    error = answer(list(world.server.peer_unreachable(number))).get(a.ERROR_CODE)
    assert error is not None
    assert error.code == 447
    connect(world, client)  # and may be tried again


def test_second_connect_to_the_same_peer_is_446() -> None:
    world = World()
    client = control(world)
    number = connect(world, client)
    assert client.request(Method.CONNECT, peers=[PEER]).code == 446
    world.server.peer_connected(number, world.now)
    assert client.request(Method.CONNECT, peers=[PEER]).code == 446
    world.server.connection_closed(number)
    connect(world, client)


@pytest.mark.parametrize(
    ("peer", "code"),
    [(Address.parse("127.0.0.1", 22), 403), (Address.parse("2606:4700::1", 22), 443), (None, 400)],
)
def test_connect_to_a_bad_peer_is_refused(peer: Address | None, code: int) -> None:
    world = World()
    client = control(world)
    assert client.request(Method.CONNECT, peers=[peer] if peer else []).code == code
    assert not world.tcp_relay.calls


def test_connect_without_a_tcp_allocation_is_refused() -> None:
    world = World()
    client = world.client(transport=Transport.TCP)
    assert client.request(Method.CONNECT, peers=[PEER]).code == 437
    client.allocated()
    assert client.request(Method.CONNECT, peers=[PEER]).code == 400


def test_tcp_allocation_needs_a_stream_and_excludes_what_is_for_datagrams() -> None:
    world = World()
    assert world.client(1).allocate(protocol=TCP).code == 400
    client = world.client(2, transport=Transport.TLS)
    for attribute in (
        a.DONT_FRAGMENT.of(True),
        a.EVEN_PORT.of(False),
        a.RESERVATION_TOKEN.of(bytes(8)),
    ):
        assert client.allocate(attribute, protocol=TCP).code == 400
    assert client.allocate(protocol=TCP).code == 0


def test_tcp_allocation_is_unsupported_where_it_is_turned_off() -> None:
    client = World(relay_tcp=False).client(transport=Transport.TCP)
    assert client.allocate(protocol=TCP).code == 442
    client = World(relay_udp=False).client(transport=Transport.TCP)
    assert client.allocate().code == 403


def test_channels_are_not_for_tcp_allocations() -> None:
    client = control(World())
    assert client.bind(0x4000).code == 400


def test_peer_with_permission_is_announced_to_the_client() -> None:
    world = World()
    client = control(world)
    client.permit(PEER)
    number, outputs = world.server.peer_arrived(1, PEER, world.now)
    message = answer(list(outputs))
    assert (message.method, message.message_class) == (
        Method.CONNECTION_ATTEMPT,
        MessageClass.INDICATION,
    )
    assert message.get(a.CONNECTION_ID) == number
    assert message.get(a.XOR_PEER_ADDRESS) == PEER


def test_peer_without_permission_is_closed_at_once() -> None:
    world = World()
    client = control(world)
    assert world.server.peer_arrived(1, PEER, world.now) == (None, [])
    client.permit(PEER)
    assert world.server.peer_arrived(1, PEER, world.now + 300) == (None, [])
    assert world.server.peer_arrived(99, PEER, world.now) == (None, [])


def bind(client: Client, number: int) -> int:
    return client.request(Method.CONNECTION_BIND, a.CONNECTION_ID.of(number)).code


def pending(world: World) -> tuple[Client, int]:
    client = control(world)
    number = connect(world, client)
    world.server.peer_connected(number, world.now)
    return client, number


def test_connection_is_bound_to_the_clients_data_connection_once() -> None:
    world = World()
    _, number = pending(world)
    data = world.client(40001, transport=Transport.TCP)
    reply = data.request(Method.CONNECTION_BIND, a.CONNECTION_ID.of(number))
    assert reply.code == 0
    assert reply.events(PeerConnection) == [PeerConnection(1, number, PEER, "bound")]
    assert world.tcp_relay.calls[-1] == ("bind", number, data.five_tuple)
    assert bind(world.client(40002, transport=Transport.TCP), number) == 400


@pytest.mark.parametrize(
    "why", ["unknown", "still connecting", "other user", "over UDP", "control"]
)
def test_connection_bind_that_does_not_fit_is_a_bad_request(why: str) -> None:
    world = World()
    if why == "still connecting":
        client = control(world)
        number = connect(world, client)
    else:
        client, number = pending(world)
    data = {
        "over UDP": lambda: world.client(40001),
        "control": lambda: client,
        "other user": lambda: world.client(40001, transport=Transport.TCP, user="bob"),
    }.get(why, lambda: world.client(40001, transport=Transport.TCP))()
    expected = {400, 441} if why == "other user" else {400}
    assert bind(data, number + (why == "unknown")) in expected
    assert world.tcp_relay.calls[-1][0] == "connect"


def test_connection_nobody_binds_is_closed_after_30_seconds() -> None:
    world = World()
    _, number = pending(world)
    assert world.advance(29.9) == []
    (event,) = world.advance(0.1)
    assert event == PeerConnection(1, number, PEER, "timed-out")
    assert world.tcp_relay.calls[-1] == ("close", number)
    assert bind(world.client(40001, transport=Transport.TCP), number) == 400


def test_bound_connection_does_not_time_out() -> None:
    world = World()
    _, number = pending(world)
    bind(world.client(40001, transport=Transport.TCP), number)
    assert world.advance(100) == []


def test_connection_of_an_allocation_that_ended_meanwhile_is_closed() -> None:
    world = World()
    client = control(world)
    number = connect(world, client)
    client.refresh(0)
    assert world.server.peer_connected(number, world.now) == []
    assert world.tcp_relay.calls[-1] == ("close", number)
    assert world.server.peer_unreachable(number) == []


def test_number_of_connections_is_bounded() -> None:
    world = World(limits=Limits(connections_per_allocation=1))
    client = control(world)
    connect(world, client)
    assert client.request(Method.CONNECT, peers=[PEER.with_port(1)]).code == 508


def test_own_tcp_relay_is_reached_by_its_local_address_under_its_public_name() -> None:
    public = Address.parse("203.0.113.5").packed
    from turnd.core.peer_policy import PeerPolicy

    world = World(
        relay_ips=(RelayIp(RELAY_IP, public),),
        policy=PeerPolicy(relay_ips=frozenset({RELAY_IP, public})),
    )
    one, two = control(world, 1), control(world, 2, "bob")
    relays = world.tcp_relay.relays
    connect(world, one, relays[2].public)
    assert world.tcp_relay.calls[-1][3] == relays[2].local
    # The other side sees the connection come from our public name as well.
    two.permit(relays[1].public)
    number, outputs = world.server.peer_arrived(2, relays[1].local, world.now)
    assert number is not None
    assert answer(list(outputs)).get(a.XOR_PEER_ADDRESS) == relays[1].public


def test_own_address_without_a_live_tcp_relay_is_forbidden() -> None:
    client = control(World())
    assert client.request(Method.CONNECT, peers=[Address(RELAY_IP, 22)]).code == 403


def test_allocation_that_ends_takes_its_connections_with_it() -> None:
    # RFC 6062 §5.5.
    world = World()
    client, number = pending(world)
    client.permit(PEER)
    waiting, _ = world.server.peer_arrived(1, PEER.with_port(1), world.now)
    assert waiting is not None
    client.refresh(0)
    assert not world.tcp_relay.relays
    for connection in (number, waiting):
        assert bind(world.client(40001, transport=Transport.TCP), connection) == 400
    assert world.advance(60) == []


def test_control_connection_that_closes_ends_the_allocation() -> None:
    world = World(mobility=True)
    client, _ = pending(world)
    (closed,) = world.server.client_gone(client.five_tuple, world.now)
    assert isinstance(closed, AllocationClosed)
    assert (closed.reason, closed.tcp, closed.traffic) == (
        "client-gone",
        True,
        Traffic(5, 6, 7, 8),
    )


def test_tcp_allocation_does_not_move() -> None:
    client = World(mobility=True).client(transport=Transport.TCP)
    assert client.allocate(a.MOBILITY_TICKET.of(b""), protocol=TCP).code == 405


def test_second_family_of_a_tcp_allocation_is_told_to_fail() -> None:
    world = World()
    client = world.client(transport=Transport.TCP)
    reply = client.allocated(a.ADDITIONAL_ADDRESS_FAMILY.of(Family.IPV6), protocol=TCP)
    failure = reply.message.get(a.ADDRESS_ERROR_CODE)
    assert failure is not None
    assert (failure.family, failure.code) == (Family.IPV6, 440)
    assert client.refresh(0, a.REQUESTED_ADDRESS_FAMILY.of(Family.IPV6)).code == 443
    assert client.refresh(0, a.REQUESTED_ADDRESS_FAMILY.of(Family.IPV4)).code == 0
    assert not world.tcp_relay.relays


def test_tcp_allocation_on_ipv6_expires() -> None:
    world = World()
    client = world.client(transport=Transport.TLS)
    client.allocated(a.REQUESTED_ADDRESS_FAMILY.of(Family.IPV6), protocol=TCP)
    world.advance(600)
    assert not world.tcp_relay.relays


def test_own_host_reaches_a_tcp_relay_through_relays_alone() -> None:
    world = World()
    client = control(world)
    client.permit(Address(RELAY_IP, 0))
    assert world.server.peer_arrived(1, Address(RELAY_IP, 22), world.now) == (None, [])
    other = control(world, 2)
    local = world.tcp_relay.relays[2].local
    number, _ = world.server.peer_arrived(1, local, world.now)
    assert number is not None
    other.refresh(0)
    assert world.server.peer_arrived(1, local, world.now) == (None, [])


def test_arriving_peers_are_bounded_too() -> None:
    world = World(limits=Limits(connections_per_allocation=1))
    client = control(world)
    client.permit(PEER)
    assert world.server.peer_arrived(1, PEER, world.now)[0] is not None
    assert world.server.peer_arrived(1, PEER.with_port(1), world.now) == (None, [])


def test_connection_bind_needs_its_connection_id() -> None:
    world = World()
    pending(world)
    data = world.client(40001, transport=Transport.TCP)
    assert data.request(Method.CONNECTION_BIND).code == 400


def test_connection_bind_takes_the_nonce_of_the_control_connection() -> None:
    # RFC 6062 §4.3: the client authenticates as on the control connection.
    world = World()
    client, number = pending(world)
    data = world.client(40001, transport=Transport.TCP)
    data.nonce = client.nonce
    assert bind(data, number) == 0


def test_connection_id_is_never_one_in_use() -> None:
    world = World()
    client = control(world)
    drawn = iter([b"\0\0\0\1", b"\0\0\0\1", b"\0\0\0\2"])
    world.server._state.random_bytes = lambda size: next(drawn)[:size]
    assert connect(world, client) == 1
    assert connect(world, client, PEER.with_port(1)) == 2


def test_failure_told_late_ends_a_pending_connection_in_silence() -> None:
    world = World()
    _, number = pending(world)
    assert world.server.peer_unreachable(number) == []
    assert world.advance(60) == []
    assert world.server.peer_connected(number, world.now) == []
    assert world.tcp_relay.calls[-1] == ("close", number)


def test_tcp_relay_that_ended_is_not_reached_under_either_name() -> None:
    from turnd.core.peer_policy import PeerPolicy

    public = Address.parse("203.0.113.5").packed
    world = World(
        relay_ips=(RelayIp(RELAY_IP, public),),
        policy=PeerPolicy(relay_ips=frozenset({RELAY_IP, public})),
    )
    one, two = control(world, 1), control(world, 2, "bob")
    relayed = world.tcp_relay.relays[2]
    two.refresh(0)
    for peer in (relayed.public, relayed.local):
        assert one.request(Method.CONNECT, peers=[peer]).code == 403
    assert not world.tcp_relay.calls

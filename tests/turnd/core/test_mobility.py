"""RFC 8016 §3."""

import pytest

from stun import Family, Method
from stun import attributes as a
from tests.turnd.core.kit import PEER, Client, World
from turnd.core.five_tuple import Transport
from turnd.core.outputs import AllocationClosed, AllocationMoved, Transmit


def mobile(world: World) -> tuple[Client, bytes]:
    client = world.client()
    ticket = client.allocated(a.MOBILITY_TICKET.of(b"")).message.get(a.MOBILITY_TICKET)
    assert ticket
    return client, ticket


def test_ticket_is_given_on_request_alone() -> None:
    client = World(mobility=True).client()
    assert not client.allocated().message.has(a.MOBILITY_TICKET)


def test_tickets_are_text_of_no_more_than_32_bytes_as_coturns_clients_keep_them() -> None:
    world = World(mobility=True)
    _, ticket = mobile(world)
    for port in range(5000, 5020):
        assert ticket.isalnum()
        assert len(ticket) <= 32
        reply = world.client(port).refresh(600, a.MOBILITY_TICKET.of(ticket))
        ticket = reply.message.get(a.MOBILITY_TICKET) or b""


def test_client_comes_back_from_another_address_with_its_ticket() -> None:
    world = World(mobility=True)
    client, ticket = mobile(world)
    client.permit(PEER)
    moved = world.client(5000, host="203.0.113.77")
    reply = moved.refresh(600, a.MOBILITY_TICKET.of(ticket))
    assert reply.code == 0
    fresh = reply.message.get(a.MOBILITY_TICKET)
    assert fresh not in {None, ticket}
    (event,) = reply.events(AllocationMoved)
    assert event.old_five_tuple == client.five_tuple
    assert list(world.tables.clients.values()) == [moved.five_tuple]
    assert moved.permit(PEER).code == 0
    assert client.refresh().code == 437


def test_ticket_is_used_up_by_moving_but_a_retransmission_is_answered() -> None:
    world = World(mobility=True)
    _, ticket = mobile(world)
    moved = world.client(5000)
    moved.learn_nonce()
    data = moved.encode(Method.REFRESH, [a.MOBILITY_TICKET.of(ticket)])
    first = moved.send(data)
    assert first.code == 0
    (again,) = [
        o
        for o in world.server.receive(data, moved.five_tuple, world.now)
        if isinstance(o, Transmit)
    ]
    assert again.data == first.message.raw
    assert world.client(5001).refresh(600, a.MOBILITY_TICKET.of(ticket)).code == 400
    # From where it moved to, the old ticket is as good as none.
    reply = moved.refresh(600, a.MOBILITY_TICKET.of(ticket))
    assert reply.code == 0
    assert reply.message.get(a.MOBILITY_TICKET) == first.message.get(a.MOBILITY_TICKET)


def test_nonce_of_the_old_address_is_good_for_moving_and_nothing_else() -> None:
    world = World(mobility=True)
    client, ticket = mobile(world)
    moved = world.client(5000)
    moved.nonce = client.nonce
    assert moved.allocate().code == 438
    assert moved.refresh(600, a.MOBILITY_TICKET.of(ticket)).code == 0


def test_ticket_of_another_user_is_refused() -> None:
    world = World(mobility=True)
    _, ticket = mobile(world)
    assert world.client(5000, user="bob").refresh(600, a.MOBILITY_TICKET.of(ticket)).code == 441


def test_ticket_does_not_move_onto_another_allocation() -> None:
    world = World(mobility=True)
    _, ticket = mobile(world)
    other = world.client(5000)
    other.allocated()
    assert other.refresh(600, a.MOBILITY_TICKET.of(ticket)).code == 437


@pytest.mark.parametrize("ticket", [b"", b"made up"])
def test_made_up_ticket_is_a_bad_request(ticket: bytes) -> None:
    world = World(mobility=True)
    assert world.client().refresh(600, a.MOBILITY_TICKET.of(ticket)).code == 400


def test_mobility_that_is_off_is_forbidden() -> None:
    world = World()
    assert world.client().refresh(600, a.MOBILITY_TICKET.of(b"ticket")).code == 405


def test_mobile_allocation_outlives_its_stream_but_not_its_lifetime() -> None:
    world = World(mobility=True)
    client = world.client(transport=Transport.TLS)
    ticket = client.allocated(a.MOBILITY_TICKET.of(b"")).message.get(a.MOBILITY_TICKET)
    assert ticket
    assert world.server.client_gone(client.five_tuple, world.now) == []
    moved = world.client(5000)
    assert moved.refresh(600, a.MOBILITY_TICKET.of(ticket)).code == 0
    world.advance(600)
    assert world.server.allocation_count == 0


def test_quota_of_a_moved_allocation_is_released_where_it_was_counted() -> None:
    from turnd.core.settings import Limits

    world = World(mobility=True, limits=Limits(allocations_per_address=1))
    _, ticket = mobile(world)
    moved = world.client(5000, host="203.0.113.77")
    assert moved.refresh(600, a.MOBILITY_TICKET.of(ticket)).code == 0
    assert world.client(41000).allocate().code == 486
    assert moved.refresh(0).code == 0
    assert world.client(41000).allocate().code == 0


def test_ticket_is_refused_from_where_the_client_is_already() -> None:
    # RFC 8016 §3.2.2: a source address that has not changed is a 400.
    client, ticket = mobile(World(mobility=True))
    assert client.refresh(600, a.MOBILITY_TICKET.of(ticket)).code == 400
    assert client.refresh(600).code == 0


def test_ticket_of_an_allocation_that_ended_is_a_mismatch() -> None:
    world = World(mobility=True)
    client, ticket = mobile(world)
    client.refresh(0)
    assert world.client(5000).refresh(600, a.MOBILITY_TICKET.of(ticket)).code == 437


@pytest.mark.parametrize(
    ("attribute", "code"),
    [
        ((a.LIFETIME.code, b"\0"), 400),
        ((a.REQUESTED_ADDRESS_FAMILY.code, b"\x01\0"), 400),
        (a.REQUESTED_ADDRESS_FAMILY.of(Family.IPV6), 443),
    ],
    ids=["malformed lifetime", "malformed family", "family it lacks"],
)
def test_refresh_that_is_refused_moves_nothing(attribute: tuple[int, bytes], code: int) -> None:
    world = World(mobility=True)
    client, ticket = mobile(world)
    moved = world.client(5000)
    assert moved.refresh(None, attribute, a.MOBILITY_TICKET.of(ticket)).code == code
    assert list(world.tables.clients.values()) == [client.five_tuple]
    assert client.refresh(600).code == 0
    assert moved.refresh(600, a.MOBILITY_TICKET.of(ticket)).code == 0


def test_client_may_move_to_delete_and_the_move_is_told() -> None:
    world = World(mobility=True)
    client, ticket = mobile(world)
    moved = world.client(5000)
    reply = moved.refresh(0, a.MOBILITY_TICKET.of(ticket))
    assert reply.message.get(a.LIFETIME) == 0
    assert not reply.message.has(a.MOBILITY_TICKET)
    (event,) = reply.events(AllocationMoved)
    assert event.five_tuple == moved.five_tuple
    (closed,) = reply.events(AllocationClosed)
    assert closed.five_tuple == moved.five_tuple
    assert closed.opened_over == client.five_tuple.transport


def test_client_may_come_back_to_the_five_tuple_whose_stream_closed() -> None:
    world = World(mobility=True)
    client = world.client(transport=Transport.TCP)
    ticket = client.allocated(a.MOBILITY_TICKET.of(b"")).message.get(a.MOBILITY_TICKET)
    assert ticket
    world.server.client_gone(client.five_tuple, world.now)
    fresh = client.refresh(600, a.MOBILITY_TICKET.of(ticket)).message.get(a.MOBILITY_TICKET)
    assert fresh not in {None, ticket}


def test_ticket_moves_to_no_relay_of_our_own() -> None:
    world = World(mobility=True)
    _, ticket = mobile(world)
    relayed = world.client(2).allocated().message.get(a.XOR_RELAYED_ADDRESS)
    assert relayed is not None
    nested = world.client(relayed.port, host=relayed.host)
    assert nested.refresh(600, a.MOBILITY_TICKET.of(ticket)).code == 405


def test_mobility_turned_off_meanwhile_is_forbidden() -> None:
    world = World(mobility=True)
    client, ticket = mobile(world)
    world.reconfigure(mobility=False)
    assert world.client(5000).refresh(600, a.MOBILITY_TICKET.of(ticket)).code == 405
    assert client.refresh(600).code == 0


def test_ticket_with_content_in_allocate_is_a_bad_request() -> None:
    client = World(mobility=True).client()
    assert client.allocate(a.MOBILITY_TICKET.of(b"x" * 32)).code == 400


def test_only_the_last_ticket_but_one_is_known_for_a_retransmission() -> None:
    world = World(mobility=True)
    _, first = mobile(world)
    one, two = world.client(5000), world.client(5001)
    second = one.refresh(600, a.MOBILITY_TICKET.of(first)).message.get(a.MOBILITY_TICKET)
    assert second
    assert two.refresh(600, a.MOBILITY_TICKET.of(second)).code == 0
    assert two.refresh(600, a.MOBILITY_TICKET.of(second)).code == 0
    assert two.refresh(600, a.MOBILITY_TICKET.of(first)).code == 437
    two.refresh(0)
    assert not world.server._state.allocations._by_ticket


@pytest.mark.parametrize("host", ["2002:c000:204::1", "2001:0:4136:e378:8000:63bf:3fff:fdd2"])
def test_ticket_moves_to_no_address_that_could_not_have_allocated(host: str) -> None:
    # RFC 8656 §21.4: no tunnelled clients; RFC 8016 §3.2.2 would be the way around it.
    world = World(mobility=True)
    client, ticket = mobile(world)
    assert world.client(5000, host=host).refresh(600, a.MOBILITY_TICKET.of(ticket)).code == 405
    assert client.refresh().code == 0

"""RFC 8656 §8.2."""

import pytest

from stun import Family, Method
from stun import attributes as a
from tests.turnd.core.kit import PEER, PEER6, Client, World
from turnd.core.five_tuple import Transport
from turnd.core.outputs import AllocationClosed, Transmit


@pytest.mark.parametrize(("asked", "granted"), [(None, 600), (10, 600), (1200, 1200), (9999, 3600)])
def test_refresh_sets_the_time_to_expiry(asked: int | None, granted: int) -> None:
    world = World()
    client = world.client()
    client.allocated()
    world.advance(300)
    assert client.refresh(asked).message.get(a.LIFETIME) == granted
    world.advance(granted - 1)
    assert world.server.allocation_count == 1
    world.advance(1)
    assert world.server.allocation_count == 0


def test_allocation_ends_when_nobody_refreshes_it() -> None:
    world = World()
    world.client().allocated()
    assert world.advance(599.9) == []
    (closed,) = world.advance(0.1)
    assert isinstance(closed, AllocationClosed)
    assert closed.reason == "expired"
    assert closed.duration == pytest.approx(600)
    assert not world.tables.relays


def test_refresh_of_zero_deletes_and_its_retransmission_gets_the_same_answer() -> None:
    world = World()
    client = world.client()
    client.allocated()
    data = client.encode(Method.REFRESH, [a.LIFETIME.of(0)])
    first = client.send(data)
    assert (first.code, first.message.get(a.LIFETIME)) == (0, 0)
    assert world.server.allocation_count == 0
    again = [
        o.data
        for o in world.server.receive(data, client.five_tuple, world.now)
        if isinstance(o, Transmit)
    ]
    assert again == [first.message.raw]


@pytest.mark.parametrize("method", [Method.REFRESH, Method.CREATE_PERMISSION, Method.CHANNEL_BIND])
def test_request_without_allocation_is_a_mismatch(method: Method) -> None:
    client = World().client()
    reply = client.request(method, a.CHANNEL_NUMBER.of(0x4000), peers=[PEER])
    assert reply.code == 437


def test_refresh_of_a_family_the_allocation_lacks_is_a_family_mismatch() -> None:
    client = World().client()
    client.allocated()
    assert client.refresh(600, a.REQUESTED_ADDRESS_FAMILY.of(Family.IPV6)).code == 443


def dual(world: World) -> Client:
    client = world.client()
    client.allocated(a.ADDITIONAL_ADDRESS_FAMILY.of(Family.IPV6))
    assert client.permit(PEER, PEER6).code == 0
    assert client.bind(0x4000, PEER).code == 0
    assert client.bind(0x4001, PEER6).code == 0
    return client


def test_one_family_of_a_dual_allocation_can_be_deleted() -> None:
    world = World()
    client = dual(world)
    assert client.refresh(0, a.REQUESTED_ADDRESS_FAMILY.of(Family.IPV6)).code == 0
    assert world.server.allocation_count == 1
    assert [ip for _, ip in world.tables.permissions] == [PEER.packed]
    assert [number for _, number in world.tables.channels] == [0x4000]
    assert client.permit(PEER6).code == 443
    assert client.refresh(0, a.REQUESTED_ADDRESS_FAMILY.of(Family.IPV4)).code == 0
    assert world.server.allocation_count == 0


def test_either_family_of_a_dual_allocation_can_be_deleted() -> None:
    world = World()
    client = dual(world)
    assert client.refresh(0, a.REQUESTED_ADDRESS_FAMILY.of(Family.IPV4)).code == 0
    assert [ip for _, ip in world.tables.permissions] == [PEER6.packed]
    assert [number for _, number in world.tables.channels] == [0x4001]
    assert {address.family for address in world.tables.relays} == {Family.IPV6}
    (allocation,) = world.server._state.allocations
    assert set(allocation.permissions) == {PEER6.packed}
    # The peer and the number are free for another channel.
    assert client.bind(0x4000, PEER6.with_port(1)).code == 0


def test_families_of_a_dual_allocation_expire_by_themselves() -> None:
    world = World()
    client = dual(world)
    world.advance(500)
    assert client.refresh(600, a.REQUESTED_ADDRESS_FAMILY.of(Family.IPV4)).code == 0
    world.advance(100)
    assert {address.family for address in world.tables.relays} == {Family.IPV4}
    world.advance(500)
    assert not world.tables.relays


def test_refresh_without_family_counts_for_both() -> None:
    world = World()
    client = dual(world)
    world.advance(500)
    client.refresh()
    world.advance(599)
    assert {address.family for address in world.tables.relays} == {Family.IPV4, Family.IPV6}


def test_stream_that_closes_takes_its_allocation_with_it() -> None:
    world = World()
    client = world.client(transport=Transport.TCP)
    client.allocated()
    (closed,) = world.server.client_gone(client.five_tuple, world.now)
    assert isinstance(closed, AllocationClosed)
    assert closed.reason == "client-gone"


def test_retransmitted_deletion_of_one_family_gets_the_same_answer() -> None:
    world = World()
    client = dual(world)
    data = client.encode(
        Method.REFRESH, [a.LIFETIME.of(0), a.REQUESTED_ADDRESS_FAMILY.of(Family.IPV6)]
    )
    first = client.send(data)
    assert first.code == 0
    assert client.send(data).message.raw == first.message.raw


def test_server_says_when_to_look_again() -> None:
    world = World()
    assert world.server.next_deadline() is None
    client = world.client()
    client.allocated()
    assert world.server.next_deadline() == world.now + 600
    client.refresh(3600)
    # It may be looked at in vain, but never too late.
    due = world.server.next_deadline()
    assert due is not None
    assert due <= world.now + 3600
    assert world.advance(600) == []
    assert world.server.next_deadline() == world.now + 3000


def test_both_families_that_end_at_once_are_one_end() -> None:
    world = World()
    dual(world)
    outputs = world.advance(10_000)
    assert [type(output) for output in outputs] == [AllocationClosed]
    assert world.server.next_deadline() is None


def test_families_that_end_one_after_the_other_are_one_end() -> None:
    world = World()
    client = dual(world)
    client.refresh(700, a.REQUESTED_ADDRESS_FAMILY.of(Family.IPV6))
    assert world.advance(600) == []
    assert [address.family for address in world.tables.relays] == [Family.IPV6]
    (closed,) = world.advance(100)
    assert isinstance(closed, AllocationClosed)
    assert closed.duration == pytest.approx(700)

"""What the portable engine remembers has bounds."""

from __future__ import annotations

import gc
import weakref

from stun import Address
from tests.turnd.datapath.datapath_wire import send_indication
from tests.turnd.datapath.datapath_world import ManualClock, World
from turnd.core.five_tuple import Transport
from turnd.datapath.interface import DatapathSettings
from turnd.datapath.portable import PortableDatapath
from turnd.datapath.portable.rows import MAX_ROUTES


async def test_routes_are_bounded_whatever_a_client_sends_to() -> None:
    engine = PortableDatapath(DatapathSettings(), ManualClock())
    world = World(engine, ManualClock())
    client = world.client(Transport.TCP)
    allocation = world.allocate(client)
    peer = Address.parse("127.0.0.1")
    world.permit(allocation, peer)
    (row,) = engine._allocations.values()
    largest = 0
    for port in range(20000, 20000 + 3 * MAX_ROUTES):
        client.send(send_indication(peer.with_port(port), b""))
        largest = max(largest, len(row.routes))
    assert largest == MAX_ROUTES
    engine.close_allocation(allocation.number)


async def test_strangers_are_not_remembered() -> None:
    engine = PortableDatapath(DatapathSettings(), ManualClock())
    world = World(engine, ManualClock())
    allocation = world.allocate(world.client(Transport.TCP))
    (row,) = engine._allocations.values()
    (relay,) = row.relays.values()
    for port in range(20000, 20100):
        assert engine._road.route_from(relay, ("192.0.2.1", port)) is None
    assert row.routes == {}
    engine.close_allocation(allocation.number)


async def test_a_closed_allocation_is_freed_at_once() -> None:
    """At its own refcount's end: thousands that end together must not wait for the collector."""
    engine = PortableDatapath(DatapathSettings(), ManualClock())
    world = World(engine, ManualClock())
    client = world.client(Transport.TCP)
    allocation = world.allocate(client)
    peer = Address.parse("127.0.0.1", 9)
    world.bind_channel(allocation, peer)
    client.send(send_indication(peer, b""))
    (row,) = engine._allocations.values()
    assert row.routes
    freed = weakref.ref(row)
    del row
    gc.disable()
    try:
        engine.close_allocation(allocation.number)
        assert freed() is None
    finally:
        gc.enable()

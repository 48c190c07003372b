"""RFC 8656 §5, §7.2 point 10: quotas, kept and released once."""

import pytest

from stun import attributes as a
from tests.turnd.core.kit import (
    REALM,
    World,
    credential,
)
from turnd.core.five_tuple import Transport
from turnd.core.outputs import AllocationClosed, CloseClient
from turnd.core.settings import Limits
from turnd.core.tables import Traffic


@pytest.mark.parametrize(
    "changes",
    [
        {"limits": Limits(allocations=2)},
        {"limits": Limits(allocations_per_address=2)},
        {"realms": {REALM: Limits(allocations=2)}},
        {"realms": {REALM: Limits(allocations_per_user=2)}},
    ],
    ids=["total", "per address", "per realm", "per user"],
)
@pytest.mark.parametrize(
    "way_out", ["refresh-zero", "expired", "client-gone", "failed", "shutdown"]
)
def test_quota_is_kept_and_released_once_on_every_way_out(
    changes: dict[str, object], way_out: str
) -> None:
    world = World(**changes)
    first = world.client(1, transport=Transport.TCP)
    first.allocated()
    world.client(2).allocated(a.LIFETIME.of(3600))
    assert world.client(3).allocate().code == 486
    outputs = {
        "refresh-zero": lambda: first.refresh(0).outputs,
        "expired": lambda: world.advance(600),
        "client-gone": lambda: world.server.client_gone(first.five_tuple, world.now),
        "failed": lambda: world.server.fail(first.five_tuple, world.now),
        "shutdown": lambda: world.server.close_all(world.now),
    }[way_out]()
    closed = [output for output in outputs if isinstance(output, AllocationClosed)]
    assert closed[0].reason == way_out
    assert closed[0].traffic == Traffic(1, 2, 3, 4)
    # A second end of the same thing must not release a second time.
    assert world.server.client_gone(first.five_tuple, world.now) == []
    assert world.server.fail(first.five_tuple, world.now) == [CloseClient(first.five_tuple)]
    free = 2 if way_out == "shutdown" else 1
    codes = [world.client(port).allocate().code for port in range(10, 13)]
    assert codes == [0] * free + [486] * (3 - free)


def test_quota_counts_the_person_behind_a_time_limited_name() -> None:
    world = World(realms={REALM: Limits(allocations_per_user=1)})
    for name in ("1:carol", "2:carol"):
        world.source.users[REALM, name] = credential(REALM, name, "p", owner="carol")
    codes = []
    for port, name in enumerate(("1:carol", "2:carol")):
        client = world.client(1000 + port, user=name)
        client.password = "p"
        codes.append(client.allocate().code)
    assert codes == [0, 486]


def test_quota_of_a_user_does_not_concern_nobody_in_particular() -> None:
    world = World(realms={REALM: Limits(allocations_per_user=1)})
    world.source.users[REALM, "alice"] = credential(REALM, "alice", "alice's password", owner="")
    assert [world.client(port).allocate().code for port in (1, 2, 3)] == [0, 0, 0]


@pytest.mark.parametrize(
    ("first", "second", "codes"),
    [
        ("2001:db8::1", "2001:db8::ffff:2", 486),
        ("2001:db8::1", "2001:db8:0:1::1", 0),
        ("192.0.2.1", "192.0.2.2", 0),
    ],
)
def test_quota_of_an_address_counts_an_ipv6_network_of_64_bits(
    first: str, second: str, codes: int
) -> None:
    """RFC 6177 §2: a site has a /64 at the least, and all the addresses in it."""
    world = World(limits=Limits(allocations_per_address=1))
    world.client(host=first).allocated()
    assert world.client(host=second).allocate().code == codes


@pytest.mark.parametrize(
    "changes",
    [{"limits": Limits(allocations=3)}, {"realms": {REALM: Limits(allocations_per_user=3)}}],
    ids=["total", "per user"],
)
def test_reserved_port_counts_until_it_is_taken_up_or_let_go(changes: dict[str, object]) -> None:
    # RFC 8656 §7.2: held for 30 seconds. Who lets go of the even port each time holds ever more.
    world = World(**changes)
    codes = []
    for port in range(1, 6):
        client = world.client(port)
        codes.append(client.allocate(a.EVEN_PORT.of(True)).code)
        if not codes[-1]:
            client.refresh(0)
    assert codes == [0, 0, 0, 486, 486]
    world.advance(30)
    reply = world.client(10).allocated(a.EVEN_PORT.of(True))
    token = reply.message.get(a.RESERVATION_TOKEN)
    assert token is not None
    world.client(11).allocated()
    assert world.client(12).allocate().code == 486
    world.client(13).allocated(a.RESERVATION_TOKEN.of(token))
    assert world.client(14).allocate().code == 486
    assert len(world.server._state.reservations) == 0

"""RFC 8656 §9, §10.2, §12.2, and the peer policy at work."""

import pytest

from stun import Address, RawAttribute
from stun import attributes as a
from tests.turnd.core.kit import PEER, PEER6, RELAY_IP, SERVER, World
from turnd.core.outputs import PeerDenied, PermissionInstalled
from turnd.core.peer_policy import PeerPolicy
from turnd.core.settings import Limits
from turnd.core.special_purpose import AddressRange

LOOPBACK = Address.parse("127.0.0.1", 80)


def test_permission_is_installed_for_300_seconds() -> None:
    world = World()
    client = world.client()
    client.allocated()
    reply = client.permit(PEER)
    assert reply.code == 0
    assert world.tables.permissions == {(1, PEER.packed): (world.now + 300, False)}
    assert reply.events(PermissionInstalled) == [
        PermissionInstalled(1, client.five_tuple, PEER, None)
    ]


def test_several_peers_are_permitted_at_once() -> None:
    world = World()
    client = world.client()
    client.allocated()
    peers = [Address.parse(f"8.8.4.{n}") for n in range(5)]
    assert client.permit(*peers).code == 0
    assert {ip for _, ip in world.tables.permissions} == {peer.packed for peer in peers}


@pytest.mark.parametrize(
    ("bad", "code"), [(LOOPBACK, 403), (PEER6, 443)], ids=["denied peer", "other family"]
)
def test_one_bad_peer_installs_none_and_harms_nothing(bad: Address, code: int) -> None:
    world = World()
    client = world.client()
    client.allocated()
    assert client.permit(PEER, bad).code == code
    assert not world.tables.permissions
    assert client.permit(PEER).code == 0


def test_no_peer_is_a_bad_request() -> None:
    client = World().client()
    client.allocated()
    assert client.permit().code == 400


def test_denial_names_its_rule_and_the_key_that_would_allow_it() -> None:
    client = World().client()
    client.allocated()
    (event,) = client.permit(LOOPBACK).events(PeerDenied)
    assert event.peer == LOOPBACK
    assert "127.0.0.0/8" in event.rule
    assert "peers.allow" in event.rule


def test_own_relay_address_is_open_for_live_relays_alone() -> None:
    world = World()
    client = world.client()
    client.allocated()
    assert client.permit(Address(RELAY_IP, 0)).code == 0
    assert world.tables.permissions[1, RELAY_IP][1] is True


def test_own_listener_is_never_a_peer() -> None:
    policy = PeerPolicy(relay_ips=frozenset({RELAY_IP}))
    world = World(policy=policy, denied_endpoints=frozenset({SERVER}))
    client = world.client()
    client.allocated()
    assert client.bind(0x4000, SERVER).code == 403


def test_number_of_permissions_is_bounded_and_room_comes_with_time() -> None:
    world = World(limits=Limits(permissions_per_allocation=2))
    client = world.client()
    client.allocated()
    peers = [Address.parse(f"8.8.4.{n}") for n in range(3)]
    assert client.permit(*peers[:2]).code == 0
    assert client.permit(peers[2]).code == 508
    assert client.permit(*peers[:2]).code == 0  # those it has may be refreshed
    world.advance(300)
    assert client.permit(peers[2]).code == 0
    assert [ip for _, ip in world.tables.permissions] == [peers[2].packed]


@pytest.mark.parametrize("number", [0x4000, 0x4FFF, 0x5000, 0x7FFF])
def test_channel_is_bound_for_600_seconds_and_permits_its_peer(number: int) -> None:
    world = World()
    client = world.client()
    client.allocated()
    assert client.bind(number).code == 0
    assert world.tables.channels == {(1, number): (PEER, world.now + 600)}
    assert world.tables.permissions == {(1, PEER.packed): (world.now + 300, False)}


@pytest.mark.parametrize("number", [0x0000, 0x3FFF, 0x8000, 0xFFFF])
def test_channel_number_out_of_range_is_a_bad_request(number: int) -> None:
    world = World()
    client = world.client()
    client.allocated()
    assert client.bind(number).code == 400
    assert not world.tables.channels


def test_channel_bind_needs_number_and_peer() -> None:
    from stun import Method

    client = World().client()
    client.allocated()
    attributes: RawAttribute = a.CHANNEL_NUMBER.of(0x4000)
    assert client.request(Method.CHANNEL_BIND, attributes).code == 400
    assert client.request(Method.CHANNEL_BIND, peers=[PEER]).code == 400


def test_binding_again_refreshes_channel_and_permission() -> None:
    world = World()
    client = world.client()
    client.allocated()
    client.bind(0x4000)
    world.advance(200)
    assert client.bind(0x4000).code == 0
    assert world.tables.channels[1, 0x4000] == (PEER, world.now + 600)
    assert world.tables.permissions[1, PEER.packed] == (world.now + 300, False)


def test_channel_and_peer_are_bound_to_each_other_alone() -> None:
    other = PEER.with_port(9001)
    client = World().client()
    client.allocated()
    client.bind(0x4000, PEER)
    assert client.bind(0x4000, other).code == 400
    assert client.bind(0x4001, PEER).code == 400
    assert client.bind(0x4001, other).code == 0


def test_expired_channel_may_be_bound_to_another_peer() -> None:
    world = World()
    client = world.client()
    client.allocated(a.LIFETIME.of(3600))
    client.bind(0x4000, PEER)
    world.advance(600)
    client.learn_nonce()
    assert client.bind(0x4000, PEER.with_port(9001)).code == 0
    assert client.bind(0x4001, PEER).code == 0


def test_number_of_channels_is_bounded() -> None:
    client = World(limits=Limits(channels_per_allocation=1)).client()
    client.allocated()
    assert client.bind(0x4000, PEER).code == 0
    assert client.bind(0x4001, PEER.with_port(1)).code == 508


@pytest.mark.parametrize(("peer", "code"), [(LOOPBACK, 403), (PEER6, 443)])
def test_channel_to_a_bad_peer_is_refused(peer: Address, code: int) -> None:
    world = World()
    client = world.client()
    client.allocated()
    assert client.bind(0x4000, peer).code == code
    assert not world.tables.channels
    assert not world.tables.permissions


def test_rows_of_a_closed_allocation_are_gone() -> None:
    world = World()
    client = world.client()
    client.allocated()
    client.bind(0x4000)
    client.refresh(0)
    assert not world.tables.permissions
    assert not world.tables.channels


@pytest.mark.parametrize("host", ["8.8.8.8", "192.0.2.15", "127.0.0.1"])
def test_ipv4_mapped_peer_is_a_bad_request(host: str) -> None:
    # It would pass for another address than the IPv4 one it stands for, in every table.
    from stun import Family

    world = World()
    client = world.client()
    client.allocated(a.ADDITIONAL_ADDRESS_FAMILY.of(Family.IPV6))
    mapped = Address(bytes(10) + b"\xff\xff" + Address.parse(host).packed, 9000)
    assert client.permit(mapped).code == 400
    assert client.bind(0x4000, mapped).code == 400
    assert not world.tables.permissions


@pytest.mark.parametrize(
    "value", [b"", b"\0\1\0\0\1\2\3", b"\0\3\0\0\1\2\3\4", b"\0\2\0\0\1\2\3\4"]
)
def test_malformed_peer_is_a_bad_request_and_installs_none(value: bytes) -> None:
    from stun import Method

    world = World()
    client = world.client()
    client.allocated()
    bad: RawAttribute = (a.XOR_PEER_ADDRESS.code, value)
    good = a.XOR_PEER_ADDRESS.of(PEER, bytes(12))
    for listed in ([bad], [good, bad], [bad, good]):
        assert client.request(Method.CREATE_PERMISSION, *listed).code == 400
    assert client.request(Method.CHANNEL_BIND, a.CHANNEL_NUMBER.of(0x4000), bad).code == 400
    assert not world.tables.permissions


def test_two_ports_of_one_peer_are_one_permission() -> None:
    # RFC 8656 §9: only addresses are compared.
    world = World(limits=Limits(permissions_per_allocation=1))
    client = world.client()
    client.allocated()
    assert client.permit(PEER, PEER.with_port(1), PEER.with_port(0)).code == 0
    assert list(world.tables.permissions) == [(1, PEER.packed)]


def test_permission_outlives_its_channel_and_a_channel_its_permission() -> None:
    world = World()
    client = world.client()
    client.allocated(a.LIFETIME.of(3600))
    client.bind(0x4000)
    world.advance(301)
    client.permit(Address.parse("8.8.4.4"))
    assert PEER.packed not in {ip for _, ip in world.tables.permissions}
    assert (1, 0x4000) in world.tables.channels
    world.advance(298)
    client.permit(PEER)
    world.advance(2)
    client.learn_nonce()
    client.permit(Address.parse("8.8.4.4"))
    assert not world.tables.channels
    assert PEER.packed in {ip for _, ip in world.tables.permissions}


def test_permissions_of_two_allocations_have_nothing_to_do_with_each_other() -> None:
    world = World()
    one, two = world.client(1), world.client(2)
    one.allocated()
    two.allocated()
    one.permit(PEER)
    one.bind(0x4000)
    assert {number for number, _ in world.tables.permissions} == {1}
    assert two.bind(0x4000, PEER.with_port(1)).code == 0


def test_policy_that_changes_counts_from_the_next_refresh() -> None:
    world = World()
    client = world.client()
    client.allocated()
    assert client.permit(PEER).code == 0
    range_of_peer = AddressRange.of_network("8.8.8.0/24", "peers.deny")
    world.reconfigure(policy=PeerPolicy(deny=(range_of_peer,)))
    assert client.permit(PEER).code == 403
    assert client.refresh().code == 0


def test_permissions_are_installed_and_told_of_once_for_each_ip_address() -> None:
    # RFC 8656 §9: a permission is an IP address; a request has room for thousands of ports.
    client = World().client()
    client.allocated()
    reply = client.permit(*(PEER.with_port(port) for port in range(1, 1001)), PEER6.with_port(1))
    assert reply.code == 443
    reply = client.permit(*(PEER.with_port(port) for port in range(1, 1001)))
    assert reply.code == 0
    assert [event.peer for event in reply.events(PermissionInstalled)] == [PEER.with_port(1)]

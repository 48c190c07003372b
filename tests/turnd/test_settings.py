"""From configuration and host addresses to what core, engine and transports go by."""

from __future__ import annotations

import socket
from pathlib import Path

import attrs
import pytest

from stun import Address, Family
from turnd.config import Config, load_config
from turnd.core.settings import RelayIp
from turnd.listeners import open_listeners
from turnd.network import ListenError, host_addresses, open_tcp, open_udp
from turnd.settings import (
    HostAddresses,
    core_settings,
    datapath_settings,
    nat_discovery,
    own_endpoints,
    relay_ips,
)
from turnd.transport_settings import stream_settings

V4, V6 = Address.parse("10.0.0.5").packed, Address.parse("2a01:4f8::5").packed
OTHER = Address.parse("10.0.0.6").packed
PUBLIC = Address.parse("203.0.113.5").packed
HOST = HostAddresses(
    frozenset({V4, V6, OTHER, b"\x7f\0\0\x01"}), {Family.IPV4: V4, Family.IPV6: V6}
)


def config(tmp_path: Path, text: str) -> Config:
    path = tmp_path / "turnd.toml"
    path.write_text(text)
    return load_config(path)


def test_relays_are_where_clients_come_in_unless_said_otherwise(tmp_path: Path) -> None:
    assert relay_ips(Config(), HOST) == (RelayIp(V4, V4), RelayIp(V6, V6))
    only_v4 = HostAddresses(HOST.interfaces, {Family.IPV4: V4})
    assert relay_ips(Config(), only_v4) == (RelayIp(V4, V4),)
    one = '[listen]\nudp = ["10.0.0.6:3478"]\ntcp = []\ntls = []\ndtls = []\n'
    assert relay_ips(config(tmp_path, one), HOST) == (RelayIp(OTHER, OTHER),)
    named = '[relay]\naddresses = ["10.0.0.6"]\n'
    assert relay_ips(config(tmp_path, named), HOST) == (RelayIp(OTHER, OTHER),)


@pytest.mark.parametrize(
    ("external", "v4", "other"),
    [
        ('["203.0.113.5"]', PUBLIC, PUBLIC),
        ('["203.0.113.5/10.0.0.5"]', PUBLIC, OTHER),
        ('["203.0.113.9", "203.0.113.5/10.0.0.5"]', PUBLIC, Address.parse("203.0.113.9").packed),
    ],
)
def test_external_names_belong_to_one_address_or_to_all_of_a_family(
    tmp_path: Path, external: str, v4: bytes, other: bytes
) -> None:
    text = f'[relay]\naddresses = ["10.0.0.5", "10.0.0.6", "2a01:4f8::5"]\nexternal = {external}\n'
    publics = [relay.public for relay in relay_ips(config(tmp_path, text), HOST)]
    assert publics == [v4, other, V6]


def test_own_endpoints_are_on_every_address_of_a_wildcard_and_outside_too(tmp_path: Path) -> None:
    text = '[relay]\nexternal = ["203.0.113.5"]\n'
    host = attrs.evolve(HOST, listening=frozenset({Address(bytes(4), 3478)}))
    found = own_endpoints(config(tmp_path, text), host)
    assert {Address(packed, 3478) for packed in (V4, OTHER, PUBLIC)} <= found
    settings = core_settings(config(tmp_path, text), host)
    assert settings.denied_endpoints == found
    assert settings.policy.check(PUBLIC).internal_only
    assert not settings.policy.check(OTHER).allowed
    assert datapath_settings(config(tmp_path, text), host, frozenset()).own_ips == {V4, PUBLIC, V6}


def test_limits_of_realms_inherit_and_override(tmp_path: Path) -> None:
    text = """
[server]
realm = "main.example"
[quota]
allocations = 100
allocations_per_user = 10
bandwidth_per_allocation = 5000
[[realms]]
name = "small.example"
origins = ["https://small.example"]
allocations = 5
bandwidth_per_allocation = 100
"""
    settings = core_settings(config(tmp_path, text), HOST)
    assert settings.limits.allocations == 100
    main, small = settings.realms["main.example"], settings.realms["small.example"]
    assert (main.allocations, main.allocations_per_user, main.bandwidth) == (0, 10, 5000)
    assert (small.allocations, small.allocations_per_user, small.bandwidth) == (5, 10, 100)
    assert settings.origins == {"https://small.example": "small.example"}


def test_nat_discovery_needs_an_alternate_address(tmp_path: Path) -> None:
    assert nat_discovery(Config()) is None
    text = """
[listen]
udp = ["10.0.0.5:3478"]
[nat_discovery]
alternate_address = "10.0.0.6"
[relay]
external = ["203.0.113.5/10.0.0.5"]
"""
    found = nat_discovery(config(tmp_path, text))
    assert found is not None
    assert found.primary == Address(V4, 3478)
    assert found.alternate == Address(OTHER, 3479)
    assert found.public == {V4: PUBLIC}


def test_tls_is_not_detected_where_it_is_off(tmp_path: Path) -> None:
    assert stream_settings(Config()).detect_tls
    assert not stream_settings(config(tmp_path, "[listen]\ntls = []\n")).detect_tls


def test_no_limit_per_address_is_no_limit(tmp_path: Path) -> None:
    text = "[listen]\nmax_connections = 7\nmax_connections_per_address = 0\n"
    assert stream_settings(config(tmp_path, text)).max_connections_per_address == 7


def test_host_has_loopback_and_a_way_out_or_itself() -> None:
    host = host_addresses()
    assert socket.inet_aton("127.0.0.1") in host.interfaces
    assert host.primary


def test_listeners_are_bound_once_each_and_closed_together(tmp_path: Path) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    text = f"""
[listen]
udp = ["127.0.0.1:{port}"]
dtls = ["127.0.0.1:{port}"]
tcp = ["127.0.0.1:0"]
tls = []
[nat_discovery]
alternate_address = "127.0.0.2"
alternate_port = {port + 1 if port < 65535 else port - 1}
"""
    listeners = open_listeners(config(tmp_path, text))
    try:
        assert len(listeners.udp) == 4
        assert len(listeners.streams) == 1
        assert port in listeners.dtls_ports & listeners.plain_udp_ports
        assert len(listeners.addresses) == 5
    finally:
        listeners.close()
    assert all(sock.fileno() == -1 for sock in listeners.udp)


def test_listener_that_cannot_be_bound_names_the_address_and_closes_the_others() -> None:
    with open_udp(Address.parse("127.0.0.1", 0), 0) as taken:
        address = Address.from_sockaddr(taken.getsockname())
        with pytest.raises(ListenError, match=f"udp 127.0.0.1:{address.port}.*another program"):
            open_udp(address, 0)
    with pytest.raises(ListenError, match="no such address"):
        open_tcp(Address.parse("192.0.2.77", 0), 1)


@pytest.mark.parametrize(
    ("text", "anonymous"),
    [
        ("", True),
        ('[[auth.users]]\nname = "u"\npassword = "p"\n', True),
        ('[auth]\nsecrets = ["a-shared-secret"]\n', False),
        ('[[realms]]\nname = "b.example"\nsecrets = ["a-shared-secret"]\n', False),
        ('[auth]\nuser_database = "users.db"\n', False),
    ],
)
def test_names_are_not_asked_to_be_hashed_where_time_limited_ones_are_valid(
    tmp_path: Path, text: str, anonymous: bool
) -> None:
    assert core_settings(config(tmp_path, text), HOST).username_anonymity is anonymous

import pytest

from stun import Address
from turnd.core.peer_policy import PeerPolicy
from turnd.core.special_purpose import AddressRange, embedded_ipv4

OWN_RELAY = Address.parse("198.18.0.1").packed
OWN_HOST = Address.parse("5.6.7.8").packed
POLICY = PeerPolicy(relay_ips=frozenset({OWN_RELAY}), own_ips=frozenset({OWN_HOST}))


def packed(host: str) -> bytes:
    import ipaddress

    return ipaddress.ip_address(host).packed


@pytest.mark.parametrize(
    "host",
    [
        "0.0.0.0",
        "0.1.2.3",
        "10.0.0.1",
        "100.64.0.1",
        "100.100.100.200",
        "127.0.0.1",
        "127.255.255.254",
        "168.63.129.16",
        "169.254.169.254",
        "172.16.0.1",
        "172.31.255.255",
        "192.0.0.192",
        "192.0.2.1",
        "192.168.1.1",
        "198.19.0.1",
        "198.51.100.1",
        "203.0.113.1",
        "224.0.0.1",
        "239.255.255.255",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::127.0.0.1",
        "::ffff:127.0.0.1",
        "::ffff:10.0.0.1",
        "64:ff9b::7f00:1",
        "64:ff9b::a00:1",
        "64:ff9b:1::1",
        "64:ff9b:1:ffff::a00:1",
        "100::1",
        "2001::1",
        "2001:0:4136:e378:8000:63bf:80ff:fffe",
        "2001:db8::1",
        "2002:7f00:1::1",
        "2002:808:808::1",  # RFC 8656 §21.4: MUST NOT, whatever it leads to
        "2002:a00:1::1",
        "2002:a9fe:a9fe::1",
        "3fff::1",
        "5f00::1",
        "fc00::1",
        "fd00:ec2::254",
        "fe80::1",
        "fe80::5efe:10.0.0.1",
        "2606:4700::5efe:10.0.0.1",
        "2606:4700::200:5efe:127.0.0.1",
        "fec0::1",
        "ff02::1",
    ],
)
def test_special_purpose_address_is_denied_in_every_disguise(host: str) -> None:
    verdict = POLICY.check(packed(host))
    assert not verdict.allowed
    assert verdict.rule


@pytest.mark.parametrize(
    "host",
    [
        "8.8.8.8",
        "1.1.1.1",
        "172.32.0.1",
        "100.128.0.1",
        "192.0.1.1",
        "2606:4700::1111",
        "2a01:4f8::1",
        "64:ff9b::808:808",
        "::ffff:8.8.8.8",
    ],
)
def test_global_address_is_allowed(host: str) -> None:
    verdict = POLICY.check(packed(host))
    assert verdict.allowed
    assert not verdict.internal_only


def of(*networks: str) -> tuple[AddressRange, ...]:
    return tuple(AddressRange.of_network(network, network) for network in networks)


def test_allow_beats_deny() -> None:
    policy = PeerPolicy(allow=of("10.1.0.0/16"), deny=of("0.0.0.0/0"))
    assert policy.check(packed("10.1.2.3")).allowed
    assert not policy.check(packed("10.2.2.3")).allowed
    assert not policy.check(packed("8.8.8.8")).allowed


def test_allowing_an_address_allows_its_disguises() -> None:
    policy = PeerPolicy(allow=of("10.1.0.0/16"))
    assert policy.check(packed("::ffff:10.1.2.3")).allowed
    assert policy.check(packed("64:ff9b::a01:203")).allowed


def test_allowing_all_of_ipv6_does_not_open_ipv4_inside_it() -> None:
    policy = PeerPolicy(allow=of("::/0"))
    assert policy.check(packed("fd00::1")).allowed
    assert not policy.check(packed("64:ff9b::7f00:1")).allowed


def test_allowing_ipv6_loopback_opens_it() -> None:
    assert PeerPolicy(allow=of("::1/128")).check(packed("::1")).allowed
    assert not PeerPolicy(allow=of("::1/128")).check(packed("::127.0.0.1")).allowed


def test_special_ranges_can_be_opened_as_a_whole() -> None:
    policy = PeerPolicy(deny_special=False, deny=of("10.0.0.0/8"))
    assert policy.check(packed("192.168.1.1")).allowed
    assert not policy.check(packed("10.0.0.1")).allowed


def test_own_relay_address_is_internal_though_it_is_special() -> None:
    verdict = POLICY.check(OWN_RELAY)
    assert verdict.allowed
    assert verdict.internal_only
    assert not POLICY.check(packed("2002:c612:1::")).allowed


def test_own_relay_address_that_is_allowed_is_open() -> None:
    policy = PeerPolicy(relay_ips=frozenset({OWN_RELAY}), allow=of("198.18.0.1/32"))
    verdict = policy.check(OWN_RELAY)
    assert verdict.allowed
    assert not verdict.internal_only


def test_other_addresses_of_this_host_are_denied() -> None:
    assert not POLICY.check(OWN_HOST).allowed
    assert PeerPolicy(own_ips=frozenset({OWN_HOST}), allow=of("5.6.7.8/32")).check(OWN_HOST).allowed


@pytest.mark.parametrize("network", ["", "10.0.0.1/8", "10.0.0.0/33", "2001:db8::/129", "a.b"])
def test_range_that_is_none_is_refused(network: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        AddressRange.of_network(network, network)


@pytest.mark.parametrize(
    ("network", "inside", "outside"),
    [
        ("10.0.0.0/8", ("10.0.0.0", "10.255.255.255"), ("9.255.255.255", "11.0.0.0")),
        ("192.0.2.1/32", ("192.0.2.1",), ("192.0.2.0", "192.0.2.2")),
        ("2001:db8::/32", ("2001:db8::", "2001:db8:ffff::"), ("2001:db7:ffff::", "2001:db9::")),
        ("0.0.0.0/0", ("0.0.0.0", "255.255.255.255"), ("::", "::1")),
    ],
)
def test_range_ends_where_its_prefix_says(
    network: str, inside: tuple[str, ...], outside: tuple[str, ...]
) -> None:
    (network_range,) = of(network)
    assert all(packed(host) in network_range for host in inside)
    assert not any(packed(host) in network_range for host in outside)


def test_denied_disguise_of_an_allowed_address_names_the_rule() -> None:
    policy = PeerPolicy(deny=of("64:ff9b::/96"))
    verdict = policy.check(packed("64:ff9b::808:808"))
    assert not verdict.allowed
    assert "64:ff9b::/96" in verdict.rule
    assert policy.check(packed("8.8.8.8")).allowed


def test_deny_goes_for_disguises_too() -> None:
    policy = PeerPolicy(deny=of("8.8.8.0/24"))
    for host in ("8.8.8.8", "::ffff:8.8.8.8", "64:ff9b::808:808"):
        assert not policy.check(packed(host)).allowed


def test_disguise_of_our_own_addresses_is_denied() -> None:
    # A translator would deliver past the relay tables.
    own = PeerPolicy(relay_ips=frozenset({packed("5.5.5.5")}), own_ips=frozenset({OWN_HOST}))
    assert own.check(packed("5.5.5.5")).internal_only
    assert not own.check(packed("64:ff9b::505:505")).allowed
    assert not own.check(packed("64:ff9b::506:708")).allowed


@pytest.mark.parametrize(
    ("host", "inside"),
    [
        ("192.0.2.1", []),
        ("2606:4700::1", []),
        ("::", []),
        ("::1", []),
        ("::192.0.2.1", ["192.0.2.1"]),
        ("::ffff:192.0.2.1", ["192.0.2.1"]),
        ("64:ff9b::c000:221", ["192.0.2.33"]),  # RFC 6052 §2.4
        ("64:ff9b:1::c000:221", ["192.0.2.33"]),
        ("2002:c000:204::1", ["192.0.2.4"]),  # RFC 3056 §2
        # RFC 4380 §4: server, flags, then port and address of the client, inverted.
        ("2001:0:4136:e378:8000:63bf:3fff:fdd2", ["65.54.227.120", "192.0.2.45"]),
        ("fe80::5efe:192.0.2.143", ["192.0.2.143"]),  # RFC 5214 §6.1
        ("2001:4860::200:5efe:192.0.2.143", ["192.0.2.143"]),
    ],
)
def test_ipv4_addresses_inside_an_ipv6_address(host: str, inside: list[str]) -> None:
    assert list(embedded_ipv4(packed(host))) == [packed(each) for each in inside]

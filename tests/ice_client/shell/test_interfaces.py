"""Host candidates come from the addresses that RFC 8445 §5.1.1.1 allows, as the kernel has them."""

from __future__ import annotations

import contextlib
from typing import Any

import attrs
import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from ice_client import interfaces
from ice_client.interfaces import InterfaceFilter, LocalAddress, local_addresses
from ice_client.netlink import watch_network
from ice_client.rtnetlink import NetlinkError, decode, dump_request
from stun import Address, Family
from tests.ice_client.shell.lab import two_hosts


def address(text: str, interface: str = "eth0", **changes: Any) -> LocalAddress:
    host, _, length = text.partition("/")
    default = LocalAddress(
        Address.parse(host),
        interface,
        int(interface[-1]),
        int(length or (64 if ":" in host else 24)),
    )
    return attrs.evolve(default, **changes)


LOOPBACK = address("127.0.0.1", "lo1", is_loopback=True)
ORDINARY = address("192.0.2.1")
SECOND = address("198.51.100.1", "wlan1")
GLOBAL_6 = address("2001:db8::1")
TEMPORARY_6 = address("2001:db8::bad", is_temporary=True)
OTHER_PREFIX_6 = address("fd00::1")
LINK_LOCAL_6 = address("fe80::1")
DEPRECATED_6 = address("2001:db8::2", is_deprecated=True)


@pytest.mark.parametrize(
    ("settings", "there", "chosen"),
    [
        ({}, [LOOPBACK, ORDINARY], [ORDINARY]),
        ({"loopback": True}, [LOOPBACK, ORDINARY], [LOOPBACK, ORDINARY]),
        ({}, [LINK_LOCAL_6, GLOBAL_6], [GLOBAL_6]),
        ({"link_local": True}, [LINK_LOCAL_6, GLOBAL_6], [LINK_LOCAL_6, GLOBAL_6]),
        ({"link_local": True}, [LINK_LOCAL_6, TEMPORARY_6], [TEMPORARY_6]),
        ({}, [address("169.254.1.1")], []),
        ({}, [DEPRECATED_6, GLOBAL_6], [GLOBAL_6]),
        ({}, [GLOBAL_6, TEMPORARY_6, OTHER_PREFIX_6], [TEMPORARY_6, OTHER_PREFIX_6]),
        ({}, [address("fec0::1"), address("::192.0.2.1")], []),
        ({}, [address("224.0.0.1"), address("0.0.0.0")], []),
        ({"interfaces": ["wlan*"]}, [ORDINARY, SECOND], [SECOND]),
        ({"exclude_interfaces": ["wlan1"]}, [ORDINARY, SECOND], [ORDINARY]),
        (
            {"interfaces": ["*"], "exclude_interfaces": ["eth*"]},
            [ORDINARY, SECOND],
            [SECOND],
        ),
        ({"networks": ["192.0.2.0/24"]}, [ORDINARY, SECOND, GLOBAL_6], [ORDINARY]),
        ({"exclude_networks": ["2001:db8::/32"]}, [ORDINARY, GLOBAL_6], [ORDINARY]),
        ({"families": [Family.IPV6]}, [ORDINARY, GLOBAL_6], [GLOBAL_6]),
    ],
)
def test_a_filter_chooses(
    settings: dict[str, Any], there: list[LocalAddress], chosen: list[LocalAddress]
) -> None:
    assert InterfaceFilter(**settings).choose(there) == chosen


def test_no_more_addresses_are_chosen_than_pairs_can_be_made_of() -> None:
    many = [address(f"192.0.2.{number}") for number in range(1, 200)]
    assert InterfaceFilter().choose(many) == many[: interfaces.MAX_ADDRESSES]


@given(st.binary(max_size=200))
def test_no_bytes_make_the_decoder_fail_otherwise_than_it_says(data: bytes) -> None:
    with contextlib.suppress(NetlinkError):
        list(decode(data))


def test_an_error_of_the_kernel_is_raised() -> None:
    refused = bytes.fromhex("24000000 0200 0000 01000000 00000000 ffffffff") + dump_request(18, 1)
    refused = len(refused).to_bytes(4, "little") + refused[4:]
    with pytest.raises(NetlinkError, match="errno 1"):
        list(decode(refused))


async def test_the_kernel_is_asked_for_addresses_and_tells_temporary_and_deprecated_ones() -> None:
    with two_hosts() as (host, _):
        host.ip("addr add 2001:db8::5/64 dev eth0 nodad preferred_lft 0")
        host.ip("link add down0 type veth peer name down1")
        host.ip("addr add 192.0.2.9/24 dev down0")
        everything = InterfaceFilter(loopback=True)
        found = await host.run(lambda: local_addresses(everything))
    assert [(each.interface, each.address.host) for each in found] == [
        ("lo", "127.0.0.1"),
        ("eth0", "10.99.0.1"),
        ("lo", "::1"),
        ("eth0", "fd99::1"),
    ]


async def test_where_the_kernel_tells_nothing_another_way_is_taken(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    everything = InterfaceFilter(loopback=True, interfaces=["lo"])
    expected = [each.address for each in await local_addresses(everything)]

    async def refuse() -> None:
        raise PermissionError("a sandbox")

    monkeypatch.setattr(interfaces, "dump_host", refuse)
    found = await local_addresses(everything)
    assert sorted(each.address for each in found) == sorted(expected)
    assert all(each.is_loopback for each in found)


async def test_a_change_is_told_once_when_the_burst_is_over() -> None:
    with two_hosts() as (host, _):

        async def program() -> list[str]:
            async with watch_network() as changes:
                for number in range(5):
                    await trio.to_thread.run_sync(
                        host.ip, f"addr add 10.1.1.{number + 1}/24 dev eth0"
                    )
                with trio.fail_after(5):
                    await anext(changes)
                with trio.move_on_after(0.5):
                    await anext(changes)
                    raise AssertionError("one burst was told of twice")
                return [each.address.host for each in await local_addresses()]

        assert "10.1.1.5" in await host.run(program)

"""Whatever bytes come in, each message is relayed, handed up, or counted; nothing is raised."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from stun import Address
from tests.turnd.datapath.conftest import ENGINES
from tests.turnd.datapath.datapath_wire import (
    COOKIE,
    DATA,
    DONT_FRAGMENT,
    SEND,
    XOR_PEER_ADDRESS,
    attribute,
    xor_address,
)
from turnd.core.five_tuple import FiveTuple, Transport
from turnd.datapath.interface import DatapathSettings

CLIENT = FiveTuple(
    Transport.TCP, Address.parse("192.0.2.1", 50000), Address.parse("192.0.2.2", 3478)
)
ATTRIBUTES = st.lists(
    st.one_of(
        st.binary(max_size=20).map(lambda value: attribute(XOR_PEER_ADDRESS, value)),
        st.builds(
            lambda packed, port: attribute(
                XOR_PEER_ADDRESS, xor_address(Address(packed, port), bytes(12))
            ),
            st.sampled_from([b"\x7f\0\0\1", bytes(15) + b"\1"]),
            st.integers(0, 65535),
        ),
        st.binary(max_size=40).map(lambda value: attribute(DATA, value)),
        st.just(attribute(DONT_FRAGMENT, b"")),
        st.builds(attribute, st.integers(0, 65535), st.binary(max_size=9)),
        st.binary(max_size=9),
    ),
    max_size=5,
).map(b"".join)
SEND_LIKE = st.builds(
    lambda body, off: (
        SEND.to_bytes(2, "big")
        + max(0, len(body) + off).to_bytes(2, "big")
        + COOKIE
        + bytes(12)
        + body
    ),
    ATTRIBUTES,
    st.sampled_from([0, 0, 0, 0, 1, -1, 4]),
)
CHANNEL_LIKE = st.builds(
    lambda number, length, body: number.to_bytes(2, "big") + length.to_bytes(2, "big") + body,
    st.integers(0x3FFF, 0x8000),
    st.integers(0, 12),
    st.binary(max_size=12),
)


@given(st.lists(st.one_of(st.binary(max_size=64), SEND_LIKE, CHANNEL_LIKE), max_size=20))
def test_every_message_is_relayed_handed_up_or_counted(messages: list[bytes]) -> None:
    for make in ENGINES.values():
        engine, _ = make(DatapathSettings())
        for data in messages:
            engine.receive_from_client(data, CLIENT)
        counted = sum(engine.totals().drops.values())
        requests = [data for data in messages if data and data[0] < 4 and data[:2] != b"\0\x16"]
        assert counted + len(requests) == len(messages)

"""Hypothesis strategies for messages and attributes."""

from typing import Any

from hypothesis import strategies as st

from stun import Address, Error, Family, Message, MessageClass, Method
from stun import attributes as a
from stun.attribute import AttributeType
from stun.values import AddressError, ChangeRequest, Icmp, PasswordAlgorithm, TransmitCounter

ports = st.integers(0, 0xFFFF)
# Mapped addresses are left out: they become the IPv4 address they stand for elsewhere.
addresses = st.builds(Address, st.binary(min_size=4, max_size=4), ports) | st.builds(
    Address, st.binary(min_size=16, max_size=16), ports
)
octets = st.binary(max_size=300)
text = st.text(max_size=60)
families = st.sampled_from(Family)
codes = st.integers(300, 699)
algorithms = st.builds(PasswordAlgorithm, st.integers(0, 0xFFFF), st.binary(max_size=20))

VALUES: dict[AttributeType[Any], st.SearchStrategy[Any]] = {
    a.MAPPED_ADDRESS: addresses,
    a.USERNAME: text,
    a.ERROR_CODE: st.builds(Error, codes, text),
    a.UNKNOWN_ATTRIBUTES: st.lists(ports, max_size=8).map(tuple),
    a.REALM: text,
    a.NONCE: st.binary(max_size=128),
    a.PASSWORD_ALGORITHM: algorithms,
    a.PASSWORD_ALGORITHMS: st.lists(algorithms, max_size=4).map(tuple),
    a.USERHASH: st.binary(min_size=32, max_size=32),
    a.XOR_MAPPED_ADDRESS: addresses,
    a.ALTERNATE_DOMAIN: text,
    a.SOFTWARE: text,
    a.ALTERNATE_SERVER: addresses,
    a.CHANNEL_NUMBER: ports,
    a.LIFETIME: st.integers(0, 2**32 - 1),
    a.XOR_PEER_ADDRESS: addresses,
    a.DATA: octets,
    a.XOR_RELAYED_ADDRESS: addresses,
    a.REQUESTED_ADDRESS_FAMILY: families,
    a.EVEN_PORT: st.booleans(),
    a.REQUESTED_TRANSPORT: st.integers(0, 255),
    a.DONT_FRAGMENT: st.just(True),
    a.RESERVATION_TOKEN: st.binary(min_size=8, max_size=8),
    a.ADDITIONAL_ADDRESS_FAMILY: families,
    a.ADDITIONAL_ADDRESS_FAMILY_DRAFT: families,
    a.ADDRESS_ERROR_CODE: st.builds(AddressError, families, codes, text),
    a.ICMP: st.builds(Icmp, st.integers(0, 127), st.integers(0, 511), st.integers(0, 2**32 - 1)),
    a.CONNECTION_ID: st.integers(0, 2**32 - 1),
    a.CHANGE_REQUEST: st.builds(ChangeRequest, st.booleans(), st.booleans()),
    a.PADDING: octets,
    a.RESPONSE_PORT: ports,
    a.CACHE_TIMEOUT: st.integers(0, 2**32 - 1),
    a.RESPONSE_ORIGIN: addresses,
    a.OTHER_ADDRESS: addresses,
    a.SOURCE_ADDRESS: addresses,
    a.CHANGED_ADDRESS: addresses,
    a.TRANSACTION_TRANSMIT_COUNTER: st.builds(
        TransmitCounter, st.integers(0, 255), st.integers(0, 255)
    ),
    a.PRIORITY: st.integers(0, 2**32 - 1),
    a.USE_CANDIDATE: st.just(True),
    a.ICE_CONTROLLED: st.integers(0, 2**64 - 1),
    a.ICE_CONTROLLING: st.integers(0, 2**64 - 1),
    a.ACCESS_TOKEN: octets,
    a.THIRD_PARTY_AUTHORIZATION: text,
    a.MOBILITY_TICKET: octets,
    a.ORIGIN: text,
    a.GOOG_NETWORK_INFO: octets,
}
"""Values of every attribute but those that cover the message itself."""

transaction_ids = st.binary(min_size=12, max_size=12)


@st.composite
def messages(draw: st.DrawFn) -> Message:
    transaction_id = draw(transaction_ids)
    kinds = draw(st.lists(st.sampled_from(list(VALUES)), max_size=6))
    attributes = [kind.of(draw(VALUES[kind]), transaction_id) for kind in kinds]
    # Unknown, comprehension-optional.
    attributes += draw(st.lists(st.tuples(st.integers(0xC100, 0xFFFF), octets), max_size=2))
    return Message.build(
        draw(st.sampled_from(Method)),
        draw(st.sampled_from(MessageClass)),
        transaction_id,
        attributes,
    )

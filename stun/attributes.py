"""Every attribute this project speaks, by its RFC name, and the registry of them.

RFC 8489 §18.3, RFC 8656 §18, RFC 6062 §6.2, RFC 5780 §7, RFC 8445 §16.1,
RFC 7635 §6, RFC 7982 §3, RFC 8016 §4, RFC 3489 §11.2, and what is used without an RFC.
"""

from __future__ import annotations

from typing import Any, TypeVar

from stun import codec, values
from stun.address import Address, Family
from stun.attribute import AttributeType, Decoder, Encoder

T = TypeVar("T")

REGISTRY: dict[int, AttributeType[Any]] = {}
"""Attribute types by code."""


def _attribute(code: int, name: str, coder: tuple[Encoder[T], Decoder[T]]) -> AttributeType[T]:
    attribute = AttributeType(code, name, *coder)
    REGISTRY[code] = attribute
    return attribute


_ADDRESS = (codec.encode_address, codec.decode_address)
_XOR_ADDRESS = (codec.encode_xor_address, codec.decode_xor_address)
_FLAG = (codec.encode_flag, codec.decode_flag)
_FAMILY = (codec.encode_family, codec.decode_family)
_ANY_OCTETS = codec.octets(0, 0xFFFC)

# RFC 8489, comprehension-required
MAPPED_ADDRESS: AttributeType[Address] = _attribute(0x0001, "MAPPED-ADDRESS", _ADDRESS)
USERNAME: AttributeType[str] = _attribute(0x0006, "USERNAME", codec.text(508))
MESSAGE_INTEGRITY = _attribute(0x0008, "MESSAGE-INTEGRITY", codec.octets(20, 20))
ERROR_CODE = _attribute(0x0009, "ERROR-CODE", (values.encode_error, values.decode_error))
UNKNOWN_ATTRIBUTES = _attribute(
    0x000A,
    "UNKNOWN-ATTRIBUTES",
    (values.encode_unknown_attributes, values.decode_unknown_attributes),
)
REALM: AttributeType[str] = _attribute(0x0014, "REALM", codec.text(763))
NONCE: AttributeType[bytes] = _attribute(0x0015, "NONCE", codec.octets(0, 763))
MESSAGE_INTEGRITY_SHA256 = _attribute(0x001C, "MESSAGE-INTEGRITY-SHA256", codec.octets(16, 32))
PASSWORD_ALGORITHM = _attribute(
    0x001D,
    "PASSWORD-ALGORITHM",
    (values.encode_password_algorithm, values.decode_password_algorithm),
)
USERHASH: AttributeType[bytes] = _attribute(0x001E, "USERHASH", codec.octets(32, 32))
XOR_MAPPED_ADDRESS: AttributeType[Address] = _attribute(0x0020, "XOR-MAPPED-ADDRESS", _XOR_ADDRESS)

# RFC 8489, comprehension-optional
PASSWORD_ALGORITHMS = _attribute(
    0x8002,
    "PASSWORD-ALGORITHMS",
    (values.encode_password_algorithms, values.decode_password_algorithms),
)
ALTERNATE_DOMAIN: AttributeType[str] = _attribute(0x8003, "ALTERNATE-DOMAIN", codec.text(255))
SOFTWARE: AttributeType[str] = _attribute(0x8022, "SOFTWARE", codec.text(509))
ALTERNATE_SERVER: AttributeType[Address] = _attribute(0x8023, "ALTERNATE-SERVER", _ADDRESS)
FINGERPRINT: AttributeType[int] = _attribute(0x8028, "FINGERPRINT", codec.integer(4))

# RFC 8656
CHANNEL_NUMBER: AttributeType[int] = _attribute(0x000C, "CHANNEL-NUMBER", codec.leading_integer(2))
LIFETIME: AttributeType[int] = _attribute(0x000D, "LIFETIME", codec.integer(4))
XOR_PEER_ADDRESS: AttributeType[Address] = _attribute(0x0012, "XOR-PEER-ADDRESS", _XOR_ADDRESS)
DATA: AttributeType[bytes] = _attribute(0x0013, "DATA", _ANY_OCTETS)
XOR_RELAYED_ADDRESS: AttributeType[Address] = _attribute(
    0x0016, "XOR-RELAYED-ADDRESS", _XOR_ADDRESS
)
REQUESTED_ADDRESS_FAMILY: AttributeType[Family] = _attribute(
    0x0017, "REQUESTED-ADDRESS-FAMILY", _FAMILY
)
EVEN_PORT: AttributeType[bool] = _attribute(
    0x0018, "EVEN-PORT", (values.encode_even_port, values.decode_even_port)
)
REQUESTED_TRANSPORT: AttributeType[int] = _attribute(
    0x0019, "REQUESTED-TRANSPORT", codec.leading_integer(1)
)
DONT_FRAGMENT: AttributeType[bool] = _attribute(0x001A, "DONT-FRAGMENT", _FLAG)
RESERVATION_TOKEN: AttributeType[bytes] = _attribute(
    0x0022, "RESERVATION-TOKEN", codec.octets(8, 8)
)
ADDITIONAL_ADDRESS_FAMILY: AttributeType[Family] = _attribute(
    0x8000, "ADDITIONAL-ADDRESS-FAMILY", _FAMILY
)
ADDITIONAL_ADDRESS_FAMILY_DRAFT: AttributeType[Family] = _attribute(
    0x8032, "ADDITIONAL-ADDRESS-FAMILY (draft)", _FAMILY
)
"""The number it had in draft-ietf-tram-turnbis, and in coturn until late in 2025 (Debian's too)."""
ADDRESS_ERROR_CODE = _attribute(
    0x8001,
    "ADDRESS-ERROR-CODE",
    (values.encode_address_error, values.decode_address_error),
)
ICMP = _attribute(0x8004, "ICMP", (values.encode_icmp, values.decode_icmp))

# RFC 6062
CONNECTION_ID: AttributeType[int] = _attribute(0x002A, "CONNECTION-ID", codec.integer(4))

# RFC 5780 (and RFC 3489, whose names the last three once had)
CHANGE_REQUEST = _attribute(
    0x0003, "CHANGE-REQUEST", (values.encode_change_request, values.decode_change_request)
)
PADDING: AttributeType[bytes] = _attribute(0x0026, "PADDING", _ANY_OCTETS)
RESPONSE_PORT: AttributeType[int] = _attribute(0x0027, "RESPONSE-PORT", codec.leading_integer(2))
CACHE_TIMEOUT: AttributeType[int] = _attribute(0x8027, "CACHE-TIMEOUT", codec.integer(4))
RESPONSE_ORIGIN: AttributeType[Address] = _attribute(0x802B, "RESPONSE-ORIGIN", _ADDRESS)
OTHER_ADDRESS: AttributeType[Address] = _attribute(0x802C, "OTHER-ADDRESS", _ADDRESS)
SOURCE_ADDRESS: AttributeType[Address] = _attribute(0x0004, "SOURCE-ADDRESS", _ADDRESS)
CHANGED_ADDRESS: AttributeType[Address] = _attribute(0x0005, "CHANGED-ADDRESS", _ADDRESS)

# RFC 7982
TRANSACTION_TRANSMIT_COUNTER = _attribute(
    0x8025,
    "TRANSACTION_TRANSMIT_COUNTER",
    (values.encode_transmit_counter, values.decode_transmit_counter),
)

# RFC 8445
PRIORITY: AttributeType[int] = _attribute(0x0024, "PRIORITY", codec.integer(4))
USE_CANDIDATE: AttributeType[bool] = _attribute(0x0025, "USE-CANDIDATE", _FLAG)
ICE_CONTROLLED: AttributeType[int] = _attribute(0x8029, "ICE-CONTROLLED", codec.integer(8))
ICE_CONTROLLING: AttributeType[int] = _attribute(0x802A, "ICE-CONTROLLING", codec.integer(8))

# RFC 7635
ACCESS_TOKEN: AttributeType[bytes] = _attribute(0x001B, "ACCESS-TOKEN", _ANY_OCTETS)
THIRD_PARTY_AUTHORIZATION: AttributeType[str] = _attribute(
    0x802E, "THIRD-PARTY-AUTHORIZATION", codec.text(763)
)

# RFC 8016
MOBILITY_TICKET: AttributeType[bytes] = _attribute(0x8030, "MOBILITY-TICKET", _ANY_OCTETS)

# In use, in no RFC (draft-johnston-tram-stun-origin, libwebrtc)
ORIGIN: AttributeType[str] = _attribute(0x802F, "ORIGIN", codec.text(763))
GOOG_NETWORK_INFO: AttributeType[bytes] = _attribute(0xC057, "GOOG-NETWORK-INFO", _ANY_OCTETS)

"""STUN and TURN messages, without sockets, clocks or randomness of their own."""

from stun.address import Address, AddressError, Family
from stun.attribute import AttributeType, RawAttribute
from stun.constants import ErrorCode, MessageClass, Method
from stun.errors import DecodeError, EncodeError, StunError
from stun.integrity import IntegrityAlgorithm
from stun.message import Message
from stun.values import Error

__all__ = [
    "Address",
    "AddressError",
    "AttributeType",
    "DecodeError",
    "EncodeError",
    "Error",
    "ErrorCode",
    "Family",
    "IntegrityAlgorithm",
    "Message",
    "MessageClass",
    "Method",
    "RawAttribute",
    "StunError",
]

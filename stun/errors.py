"""The errors of the protocol library: one root, one for bytes that do not parse."""


class StunError(Exception):
    """Root of every error raised by `stun`."""


class DecodeError(StunError):
    """Bytes that are not what the RFC says they should be.

    Decoding raises nothing else, whatever the bytes.
    """


class UnknownFamilyError(DecodeError):
    """An address family that is neither IPv4 nor IPv6: well-formed, but not of this library."""


class EncodeError(StunError):
    """A value that the wire format cannot hold (too long, out of range)."""

"""The errors of the protocol library: one root, one for bytes that do not parse."""


class StunError(Exception):
    """Root of every error raised by `stun`."""


class DecodeError(StunError):
    """Bytes that are not what the RFC says they should be.

    The only exception that decoding may raise, whatever the bytes.
    """


class EncodeError(StunError):
    """A value that the wire format cannot hold (too long, out of range)."""

"""NTP timestamps as RTCP has them: 32.32 fixed point seconds since 1900 (RFC 3550 §4).

Reports only compare a sender's clock with itself, so a monotonic clock does (RFC 3550 §4 allows
it: "a system that has no notion of wallclock time"). Nothing here reads a clock.
"""

_FRACTION = 1 << 32


def to_ntp(seconds: float) -> int:
    """Return a time in seconds as 64 bits; it wraps after 136 years."""
    return round(seconds * _FRACTION) & 0xFFFFFFFFFFFFFFFF


def from_ntp(ntp_time: int) -> float:
    """Return 64 bits as seconds."""
    return ntp_time / _FRACTION


def compact_ntp(ntp_time: int) -> int:
    """Return the middle 32 bits: 16.16 fixed point, as report blocks have it."""
    return ntp_time >> 16 & 0xFFFFFFFF


def round_trip_time(ntp_time: int, last_sender_report: int, delay: int) -> float | None:
    """Return the round trip in seconds that a report block tells (RFC 3550 §6.4.1).

    Args:
        ntp_time: when the block came, by the clock of the sender reports.
        last_sender_report: from the block.
        delay: since then, from the block, in 1/65536 s.

    Returns:
        None where no sender report had come, or the times make no sense.

    """
    if not last_sender_report:
        return None
    elapsed = (compact_ntp(ntp_time) - last_sender_report - delay) & 0xFFFFFFFF
    # A clock that was set, or rounding on a very short path, gives a small negative number.
    return None if elapsed >= 1 << 31 else elapsed / 65536

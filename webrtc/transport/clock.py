"""The wall clock for RTCP."""

from __future__ import annotations

import time

import trio

_NTP_EPOCH = 2_208_988_800
"""Seconds from 1900 to 1970."""


def ntp_offset() -> float:
    """Return seconds since 1900 at the zero of trio's clock, for sender reports."""
    return time.time() + _NTP_EPOCH - trio.current_time()

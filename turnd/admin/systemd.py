"""Telling systemd how the server is (sd_notify(3)): a datagram to a socket it names."""

from __future__ import annotations

import os
import socket

import trio


def notify(*lines: str) -> bool:
    """Send a state such as ``"READY=1"``; False where nobody listens for it."""
    path = os.environ.get("NOTIFY_SOCKET", "")
    if not path or path[0] not in "/@":
        return False
    # A leading @ names an abstract socket.
    address = "\0" + path[1:] if path[0] == "@" else path
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
            sock.connect(address)
            sock.send("\n".join(lines).encode())
    except OSError:
        return False
    return True


async def feed_watchdog() -> None:
    """Say that the event loop runs, twice in each interval systemd asks for; return if none."""
    microseconds = os.environ.get("WATCHDOG_USEC", "")
    for_us = os.environ.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
    # systemd's own sd_watchdog_enabled(3) takes 0 for none too; to sleep 0 would spin.
    if not microseconds.isdigit() or not int(microseconds) or not for_us:
        return
    while True:
        notify("WATCHDOG=1")
        await trio.sleep(int(microseconds) / 2_000_000)

import os
import socket
from pathlib import Path

import pytest
import trio
import trio.testing

from turnd.admin.systemd import feed_watchdog, notify


@pytest.fixture
def notify_socket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    sock.bind(str(tmp_path / "notify"))
    sock.setblocking(False)
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
    return sock


def test_state_goes_to_the_socket_systemd_names(notify_socket: socket.socket) -> None:
    with notify_socket:
        assert notify("READY=1", "STATUS=fine")
        assert notify_socket.recv(100) == b"READY=1\nSTATUS=fine"


@pytest.mark.parametrize("path", ["", "relative", "/nowhere/notify"])
def test_nobody_listening_is_no_error(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", path)
    assert not notify("READY=1")


async def test_watchdog_is_fed_twice_in_each_interval(
    notify_socket: socket.socket,
    monkeypatch: pytest.MonkeyPatch,
    autojump_clock: trio.testing.MockClock,
) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", "10000000")
    monkeypatch.setenv("WATCHDOG_PID", str(os.getpid()))
    with notify_socket:
        with trio.move_on_after(22):
            await feed_watchdog()
        fed = 0
        while True:
            try:
                assert notify_socket.recv(100) == b"WATCHDOG=1"
            except BlockingIOError:
                break
            fed += 1
        assert fed == 5


async def test_watchdog_with_an_interval_of_nothing_is_not_fed(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: trio.testing.MockClock
) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", "0")
    monkeypatch.setenv("WATCHDOG_PID", str(os.getpid()))
    with trio.fail_after(1):
        await feed_watchdog()


@pytest.mark.parametrize(("interval", "pid"), [("", "1"), ("soon", "1"), ("1000000", "1")])
async def test_watchdog_for_nobody_or_somebody_else_is_not_fed(
    interval: str, pid: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", interval)
    if interval.isdigit():
        monkeypatch.setenv("WATCHDOG_PID", pid)
    await feed_watchdog()

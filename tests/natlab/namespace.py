"""Network namespaces without names, which the kernel removes when nobody holds them.

A name (`ip netns add`) is a mount that outlives whoever made it: a killed test run leaves it
behind. Here a namespace is a descriptor, closed at the end of the block and by the kernel at
the end of the process however that comes, and there is nothing to sweep.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
import shutil
import socket
import struct
import subprocess
from collections.abc import Iterator

import attrs

_CLONE_NEWNET = 0x40000000
_TUNSETIFF = 0x400454CA
_IFF_TUN, _IFF_NO_PI = 0x0001, 0x1000
_libc = ctypes.CDLL(None, use_errno=True)

_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class LabError(Exception):
    """The lab can't be built here; the message says what is missing."""


def _call(name: str, *arguments: int) -> None:
    if getattr(_libc, name)(*arguments) != 0:
        number = ctypes.get_errno()
        raise LabError(
            f"{name}: {os.strerror(number)} (namespaces need root: run the tests as root, "
            "or in a container with CAP_NET_ADMIN and CAP_SYS_ADMIN)"
        )


def _this_namespace() -> int:
    return os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)


def program(name: str) -> str:
    """Return a program's path.

    Raises:
        LabError: it is missing.

    """
    path = shutil.which(name, path=_PATH)
    if path is None:
        raise LabError(f"{name} is missing (Debian: apt-get install iproute2 nftables util-linux)")
    return path


@attrs.define
class Namespace:
    """A network namespace; `close` gives it up, and what still runs in it keeps it alive."""

    descriptor: int = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        with contextlib.ExitStack() as stack:
            before = _this_namespace()
            stack.callback(os.close, before)
            _call("unshare", _CLONE_NEWNET)
            stack.callback(_call, "setns", before, _CLONE_NEWNET)
            self.descriptor = _this_namespace()

    def close(self) -> None:
        """Give it up."""
        os.close(self.descriptor)

    @property
    def inode(self) -> int:
        """The number it has in `/proc/PID/ns/net` and in `lsns`."""
        return os.fstat(self.descriptor).st_ino

    @contextlib.contextmanager
    def entered(self) -> Iterator[None]:
        """Move the calling thread in for the length of the block, and back.

        Sockets opened and programs started in the block are of the namespace and stay so.
        Never `await` in it: the other tasks of the thread would be in there as well.
        """
        before = _this_namespace()
        try:
            _call("setns", self.descriptor, _CLONE_NEWNET)
            try:
                yield
            finally:
                _call("setns", before, _CLONE_NEWNET)
        finally:
            os.close(before)

    def open_socket(
        self,
        family: socket.AddressFamily = socket.AF_INET,
        kind: socket.SocketKind = socket.SOCK_DGRAM,
        protocol: int = 0,
    ) -> socket.socket:
        """Open a socket in it, for use in any thread (`trio.socket.from_stdlib_socket`)."""
        with self.entered():
            return socket.socket(family, kind, protocol)

    def open_tun(self, name: str) -> int:
        """Make a TUN device and return its descriptor; the device goes when that is closed."""
        with self.entered():
            descriptor = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
            try:
                request = struct.pack("16sH22x", name.encode(), _IFF_TUN | _IFF_NO_PI)
                fcntl.ioctl(descriptor, _TUNSETIFF, request)
            except BaseException:
                os.close(descriptor)
                raise
        return descriptor

    def run(self, *arguments: str, text: str = "") -> str:
        """Run a short program in it to its end and return what it printed.

        Args:
            arguments: its name and arguments.
            text: its standard input.

        Raises:
            LabError: it failed; the message is what it said.

        """
        with self.entered():
            done = subprocess.run(
                [program(arguments[0]), *arguments[1:]],
                input=text,
                capture_output=True,
                text=True,
            )
        if done.returncode:
            raise LabError(f"{' '.join(arguments)}: {done.stderr.strip()}\n{text}")
        return done.stdout

    def command(self, *arguments: str) -> list[str]:
        """Return an argv that runs a program in it, for `subprocess` and `trio.run_process`.

        The process is the program itself, not a parent of it: signals reach it.
        """
        path = f"/proc/{os.getpid()}/fd/{self.descriptor}"
        return [program("nsenter"), f"--net={path}", "--", *arguments]

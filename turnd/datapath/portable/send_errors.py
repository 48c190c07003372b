"""What a refused send means: which drop it is, or that it may be tried again."""

from __future__ import annotations

import errno

from turnd.datapath.interface import Drop

PENDING = frozenset({errno.ECONNREFUSED, errno.EHOSTUNREACH, errno.ENETUNREACH})
"""Errors of an earlier datagram (ICMP), told in place of a send that may be tried again."""

_FULL = frozenset({errno.EAGAIN, errno.EWOULDBLOCK, errno.ENOBUFS, errno.ENOMEM})


def drop_of(error: OSError) -> Drop:
    """Return the reason that a datagram which could not be sent is counted under."""
    if error.errno in _FULL:
        return Drop.SEND_BUFFER_FULL
    return Drop.TOO_LARGE if error.errno == errno.EMSGSIZE else Drop.SEND_FAILED

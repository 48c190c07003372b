"""What a refused send means: which drop it is, or that it may be tried again."""

from __future__ import annotations

import errno

from turnd.datapath.interface import Drop

_FULL = frozenset({errno.EAGAIN, errno.EWOULDBLOCK, errno.ENOBUFS, errno.ENOMEM})


def drop_of(error: OSError) -> Drop:
    """Return the reason that a datagram which could not be sent is counted under."""
    if error.errno in _FULL:
        return Drop.SEND_BUFFER_FULL
    return Drop.TOO_LARGE if error.errno == errno.EMSGSIZE else Drop.SEND_FAILED


def may_be_of_earlier(error: OSError) -> bool:
    """Whether the error may be an earlier datagram's (ICMP), told in place of this send.

    Linux turns ICMP into a dozen error numbers, EMSGSIZE among them, and tells each once:
    trying again shows whose it is.
    """
    return error.errno not in _FULL

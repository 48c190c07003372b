"""How many file descriptors the process may have: allocations and connections take one each."""

from __future__ import annotations

import contextlib
import resource

MOST = 1 << 20
"""More than a million are for nobody, and the hard limit of a container may be a billion."""


def raise_descriptor_limit() -> int:
    """Raise the soft limit to the hard one, as coturn does; return what is in force then.

    Shells give 1,024 by default, for the sake of programs that call select(2), which is not
    called here.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST if hard == resource.RLIM_INFINITY else min(hard, MOST)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with contextlib.suppress(OSError, ValueError):  # a sandbox's rule: what there is has to do
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]

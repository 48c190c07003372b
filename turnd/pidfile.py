"""The file that names the server's process to scripts of the operator's."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path


class PidfileError(Exception):
    """The file can't be written; the message names it and the reason."""


@contextlib.contextmanager
def pidfile(name: str) -> Iterator[None]:
    """Keep the process id in the file `name` while the context lasts; ``""`` is for none.

    Raises:
        PidfileError: it can't be written.

    """
    if not name:
        yield
        return
    path = Path(name)
    try:
        path.write_text(f"{os.getpid()}\n", encoding="ascii")
    except OSError as error:
        raise PidfileError(f"server.pidfile: {name}: {error.strerror}") from error
    try:
        yield
    finally:
        # Who has become another user since may not be allowed to.
        with contextlib.suppress(OSError):
            path.unlink()

"""Giving root up once the sockets are bound."""

from __future__ import annotations

import grp
import os
import pwd

import structlog

log = structlog.get_logger("turnd")


def drop_privileges(user: str, group: str) -> None:
    """Become `user` and `group`; empty names change nothing.

    Raises:
        KeyError: there is no such user or group; the configuration's check has looked.
        PermissionError: the process may not change its user.

    """
    if not user and not group:
        if os.geteuid() == 0:
            log.debug("running-as-root", detail="server.user would drop privileges")
        return
    entry = pwd.getpwnam(user) if user else None
    gid = grp.getgrnam(group).gr_gid if group else entry.pw_gid if entry else os.getgid()
    if os.geteuid() != 0:
        if entry is not None and entry.pw_uid == os.geteuid():
            return
        raise PermissionError(f"only root can become user {user!r}, group {group!r}")
    if entry is not None:
        os.initgroups(entry.pw_name, gid)
    else:
        os.setgroups([gid])
    os.setgid(gid)
    if entry is not None:
        os.setuid(entry.pw_uid)
    log.info("privileges-dropped", uid=os.geteuid(), gid=os.getegid())

"""Time-limited credentials (draft-uberti-behave-turn-rest-00).

The user name carries a Unix time, the password is base64(HMAC-SHA1(secret, user name)).
Nothing is stored: whoever shares the secret can mint them, and they end by themselves.
"""

from __future__ import annotations

import base64
import hmac
from collections.abc import Mapping, Sequence

import attrs

from stun import StunError
from turnd.core.credentials import Credential
from turnd.store.static_users import password_credential

_MAXIMUM_DIGITS = 12
"""Unix seconds have ten digits for the next centuries; more is not a time."""


@attrs.frozen(slots=True)
class TimeLimitedName:
    """A time-limited user name taken apart.

    Attributes:
        expires_at: Unix time, seconds.
        user: whom it was made for; the whole name where it names nobody.

    """

    expires_at: int
    user: str


def parse_time_limited(username: str, separator: str) -> TimeLimitedName | None:
    """Read ``expiry:user``, ``user:expiry`` or ``expiry``; None if it is none of these.

    Where both halves are numbers the first is the time, as in the draft.
    """
    head, found, tail = username.partition(separator)
    if not found:
        return TimeLimitedName(int(username), username) if _is_time(username) else None
    if _is_time(head):
        return TimeLimitedName(int(head), tail or username)
    user, _, last = username.rpartition(separator)
    return TimeLimitedName(int(last), user) if _is_time(last) else None


def _is_time(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= _MAXIMUM_DIGITS


def password_of(secret: str, username: str) -> str:
    """Return the password that goes with a time-limited user name."""
    digest = hmac.digest(secret.encode(), username.encode(), "sha1")
    return base64.b64encode(digest).decode()


def mint(
    secret: str, user: str, lifetime: int, now: float, separator: str = ":"
) -> tuple[str, str]:
    """Make a user name and its password.

    Args:
        secret: shared with the server.
        user: whom it is for; empty for nobody in particular.
        lifetime: seconds until it ends.
        now: Unix time, seconds.
        separator: between time and user.

    """
    expiry = str(int(now) + lifetime)
    username = f"{expiry}{separator}{user}" if user else expiry
    return username, password_of(secret, username)


@attrs.frozen(slots=True)
class RestCredentials:
    """Checks time-limited credentials.

    Attributes:
        secrets: by realm; several may be in force, so that one can be replaced in turns.
        separator: between time and user.

    """

    secrets: Mapping[str, Sequence[str]] = attrs.field(repr=False)
    separator: str = ":"

    def find(self, realm: str, username: str, wall_time: float) -> Credential | None:
        """Return the credential of a time-limited user name, an alternative per secret.

        None where the realm has no secrets, the name is no such name, or its time is up.
        """
        secrets = self.secrets.get(realm)
        if not secrets:
            return None
        name = parse_time_limited(username, self.separator)
        if name is None or name.expires_at <= wall_time:
            return None
        try:
            made = [
                attrs.evolve(
                    password_credential(realm, username, password_of(secret, username)),
                    owner=name.user,
                    expires_at=float(name.expires_at),
                )
                for secret in secrets
            ]
        except StunError:
            return None
        return attrs.evolve(made[0], alternatives=tuple(made[1:]))

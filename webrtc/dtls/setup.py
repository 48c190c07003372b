"""Who begins: the `a=setup` attribute (RFC 4145 §4, RFC 8842 §5) and the DTLS role it means."""

from __future__ import annotations

import enum

from webrtc.dtls.errors import SetupError


class Setup(enum.Enum):
    """The values of `a=setup`."""

    ACTIVE = "active"
    PASSIVE = "passive"
    ACTPASS = "actpass"
    HOLDCONN = "holdconn"


class DtlsRole(enum.Enum):
    """Who sends the ClientHello."""

    CLIENT = "client"
    SERVER = "server"


def answer_setup(offered: Setup, role: DtlsRole | None = None) -> Setup:
    """Return what to answer an offer's setup attribute with.

    Args:
        offered: the offer's.
        role: ours in the association that exists and stays, or the one that is wanted. None
            takes active where there is a choice, which saves a round trip (RFC 8842 §5.3).

    Raises:
        SetupError: the offer leaves us another role, or holds the connection.

    """
    answers = {
        Setup.ACTPASS: (Setup.ACTIVE, Setup.PASSIVE),
        Setup.ACTIVE: (Setup.PASSIVE,),
        Setup.PASSIVE: (Setup.ACTIVE,),
        Setup.HOLDCONN: (),
    }[offered]
    if role is not None:
        wanted = Setup.ACTIVE if role is DtlsRole.CLIENT else Setup.PASSIVE
        answers = tuple(answer for answer in answers if answer is wanted)
    if not answers:
        raise SetupError(f"no answer to a=setup:{offered.value} makes us the {role or 'peer'}")
    return answers[0]


def negotiated_role(local: Setup, remote: Setup) -> DtlsRole:
    """Return our role, by our setup attribute and the peer's; one is the answer to the other.

    Raises:
        SetupError: they do not go together.

    """
    if local is Setup.ACTIVE and remote in (Setup.PASSIVE, Setup.ACTPASS):
        return DtlsRole.CLIENT
    if local is Setup.PASSIVE and remote in (Setup.ACTIVE, Setup.ACTPASS):
        return DtlsRole.SERVER
    if local is Setup.ACTPASS and remote is Setup.ACTIVE:
        return DtlsRole.SERVER
    if local is Setup.ACTPASS and remote is Setup.PASSIVE:
        return DtlsRole.CLIENT
    raise SetupError(f"a=setup:{local.value} here and a=setup:{remote.value} there")

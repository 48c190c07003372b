"""What a description says of its writer's transports, with the rules of BUNDLE (RFC 9143)."""

from __future__ import annotations

from collections.abc import Iterator

from ice_client.core import Credentials
from webrtc.dtls.setup import DtlsRole, Setup, negotiated_role
from webrtc.sdp.attributes import (
    CandidateLine,
    ExtMap,
    FingerprintLine,
    Flag,
    IceOptions,
    IcePwd,
    IceUfrag,
    SetupLine,
)
from webrtc.sdp.description import MediaSection, SessionDescription
from webrtc.sdp.parameters import RemoteTransport


def _sections_of(description: SessionDescription, mid: str) -> Iterator[MediaSection]:
    """Yield the live sections that may tell of a section's transport, the first to ask first.

    RFC 9143 §7.1.3: in a BUNDLE group the tagged section, the first, has the attributes.
    """
    for name in (*description.bundle_of(mid), mid):
        section = description.section(name)
        if section is not None and not section.is_rejected:
            yield section


def remote_transport(description: SessionDescription, mid: str) -> RemoteTransport | None:
    """Read the writer's end of a section's transport; None where credentials are missing."""
    for section in _sections_of(description, mid):
        credentials = _credentials(description, section)
        if credentials is not None:
            fingerprints = description.inherited(section, FingerprintLine)
            options = description.every(IceOptions) + section.every(IceOptions)
            return RemoteTransport(
                credentials=credentials,
                fingerprints=tuple(dict.fromkeys(line.fingerprint for line in fingerprints)),
                is_lite=description.has(Flag.ICE_LITE),
                can_trickle=any("trickle" in line.tags for line in options),
                candidates=tuple(line.candidate for line in section.every(CandidateLine)),
                end_of_candidates=section.has(Flag.END_OF_CANDIDATES)
                or description.has(Flag.END_OF_CANDIDATES),
            )
    return None


def _credentials(description: SessionDescription, section: MediaSection) -> Credentials | None:
    ufrags = description.inherited(section, IceUfrag)
    passwords = description.inherited(section, IcePwd)
    if not ufrags or not passwords:
        return None
    try:
        return Credentials(ufrags[0].value, passwords[0].value)
    except ValueError:
        return None  # too short; `validation` says so


def offered_setup(description: SessionDescription, section: MediaSection) -> Setup:
    """Return who begins DTLS, by the section, its BUNDLE group's first, or the session.

    RFC 4145 §4: active where nothing is said.
    """
    for other in _sections_of(description, section.mid or ""):
        found = description.inherited(other, SetupLine)
        if found:
            return found[0].setup
    found = description.inherited(section, SetupLine)
    return found[0].setup if found else Setup.ACTIVE


def agreed_role(local: SessionDescription, remote: SessionDescription, mid: str) -> DtlsRole | None:
    """Return our DTLS role by an offer and its answer; None where either lacks the section.

    Raises:
        SetupError: the two do not go together.

    """
    ours, theirs = local.section(mid), remote.section(mid)
    if ours is None or theirs is None:
        return None
    return negotiated_role(offered_setup(local, ours), offered_setup(remote, theirs))


def offered_extensions(
    description: SessionDescription, section: MediaSection
) -> tuple[ExtMap, ...]:
    """Return a section's header extensions with those of the session (RFC 8285 §7)."""
    return description.every(ExtMap) + section.every(ExtMap)

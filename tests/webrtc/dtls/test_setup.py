"""The setup attribute (RFC 8842 §5) and the first byte of a packet (RFC 7983, RFC 5761)."""

import pytest

from webrtc.dtls import (
    DtlsRole,
    MediaPacketKind,
    Setup,
    SetupError,
    answer_setup,
    media_packet_kind,
    negotiated_role,
)

CLIENT, SERVER = DtlsRole.CLIENT, DtlsRole.SERVER


@pytest.mark.parametrize(
    ("offered", "role", "answer"),
    [
        (Setup.ACTPASS, None, Setup.ACTIVE),
        (Setup.ACTPASS, CLIENT, Setup.ACTIVE),
        (Setup.ACTPASS, SERVER, Setup.PASSIVE),
        (Setup.ACTIVE, None, Setup.PASSIVE),
        (Setup.ACTIVE, SERVER, Setup.PASSIVE),
        (Setup.PASSIVE, None, Setup.ACTIVE),
        (Setup.PASSIVE, CLIENT, Setup.ACTIVE),
        (Setup.ACTIVE, CLIENT, None),
        (Setup.PASSIVE, SERVER, None),
        (Setup.HOLDCONN, None, None),
    ],
)
def test_offer_leaves_these_answers(
    offered: Setup, role: DtlsRole | None, answer: Setup | None
) -> None:
    if answer is None:
        with pytest.raises(SetupError):
            answer_setup(offered, role)
    else:
        assert answer_setup(offered, role) is answer


@pytest.mark.parametrize("local", list(Setup))
@pytest.mark.parametrize("remote", list(Setup))
def test_two_setups_make_one_client_and_one_server_or_none(local: Setup, remote: Setup) -> None:
    roles = {
        (Setup.ACTIVE, Setup.PASSIVE): CLIENT,
        (Setup.ACTIVE, Setup.ACTPASS): CLIENT,
        (Setup.ACTPASS, Setup.PASSIVE): CLIENT,
        (Setup.PASSIVE, Setup.ACTIVE): SERVER,
        (Setup.PASSIVE, Setup.ACTPASS): SERVER,
        (Setup.ACTPASS, Setup.ACTIVE): SERVER,
    }
    expected = roles.get((local, remote))
    if expected is None:
        with pytest.raises(SetupError):
            negotiated_role(local, remote)
    else:
        assert negotiated_role(local, remote) is expected


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"", MediaPacketKind.OTHER),
        (b"\x00\x01", MediaPacketKind.STUN),
        (b"\x03", MediaPacketKind.STUN),
        (b"\x04", MediaPacketKind.OTHER),
        (b"\x10", MediaPacketKind.OTHER),
        (b"\x14", MediaPacketKind.DTLS),
        (b"\x3f", MediaPacketKind.DTLS),
        (b"\x40", MediaPacketKind.OTHER),
        (b"\x80", MediaPacketKind.RTP),
        (b"\x80\x60", MediaPacketKind.RTP),
        (b"\x80\xbf", MediaPacketKind.RTP),
        (b"\x80\xc0", MediaPacketKind.RTCP),
        (b"\x81\xc9", MediaPacketKind.RTCP),
        (b"\xbf\xdf", MediaPacketKind.RTCP),
        (b"\xbf\xe0", MediaPacketKind.RTP),
        (b"\xc0\xc8", MediaPacketKind.OTHER),
    ],
)
def test_packet_is_told_by_its_first_bytes(data: bytes, kind: MediaPacketKind) -> None:
    assert media_packet_kind(data) is kind

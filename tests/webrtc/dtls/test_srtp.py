"""SRTP sessions: both directions, replays, forgeries by the hundred thousand."""

import os
import random
import struct
from pathlib import Path

import pytest

from tests.webrtc.dtls.link import connected_pair
from webrtc.dtls import DtlsRole, DtlsSettings, SrtpError, SrtpProfile, SrtpSession
from webrtc.dtls.srtp import MAX_PACKET_SIZE, MAX_RTCP_SIZE, MAX_STREAMS, REPLAY_WINDOW

RTCP_RECEIVER_REPORT = bytes.fromhex("80c90001000000aa")
BAD_PACKETS = 1_000_000
MAY_GROW = 2 << 20


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def rtp(number: int, ssrc: int = 0xAA, payload: bytes = b"payload") -> bytes:
    return struct.pack("!BBHII", 0x80, 96, number & 0xFFFF, number * 90, ssrc) + payload


def make_sessions(profile: SrtpProfile) -> tuple[SrtpSession, SrtpSession]:
    """A client's and a server's session, of keys that need no handshake."""
    material = random.Random(profile.name).randbytes(profile.keying_size)
    client = SrtpSession(profile.split(material, DtlsRole.CLIENT))
    return client, SrtpSession(profile.split(material, DtlsRole.SERVER))


@pytest.mark.parametrize("profile", list(SrtpProfile))
def test_every_profile_carries_rtp_and_rtcp_in_both_directions(profile: SrtpProfile) -> None:
    client, server = make_sessions(profile)
    for sender, receiver in ((client, server), (server, client)):
        protected = sender.protect_rtp(rtp(1))
        assert b"payload" not in protected
        assert receiver.unprotect_rtp(protected) == rtp(1)
        protected = sender.protect_rtcp(RTCP_RECEIVER_REPORT)
        assert receiver.unprotect_rtcp(protected) == RTCP_RECEIVER_REPORT
        assert sender.statistics.sent == receiver.statistics.received == 2


def test_tag_of_32_bits_is_that_short_for_rtp_and_80_bits_for_rtcp() -> None:
    sender, _ = make_sessions(SrtpProfile.AES128_CM_SHA1_32)
    assert len(sender.protect_rtp(rtp(1))) == len(rtp(1)) + 4
    # RFC 5764 §4.1.2: SRTCP's tag has 80 bits in this profile too; its index has 4 bytes.
    protected = sender.protect_rtcp(RTCP_RECEIVER_REPORT)
    assert len(protected) == len(RTCP_RECEIVER_REPORT) + 10 + 4


@pytest.mark.parametrize("profile", list(SrtpProfile))
def test_handshake_keys_both_ends_alike(profile: SrtpProfile) -> None:
    settings = DtlsSettings(offered_profiles=(profile,), accepted_profiles=(profile,))
    link = connected_pair(settings)
    sessions = []
    for end in link.ends:
        assert end.connected.srtp is not None
        assert end.connected.srtp.profile is profile
        sessions.append(SrtpSession(end.connected.srtp))
    client, server = sessions
    assert server.unprotect_rtp(client.protect_rtp(rtp(1))) == rtp(1)
    assert client.unprotect_rtp(server.protect_rtp(rtp(1))) == rtp(1)
    # What one end has sent does not come back to it as the other's.
    assert client.unprotect_rtp(client.protect_rtp(rtp(2))) is None
    assert client.statistics.unauthentic == 1


@pytest.mark.parametrize("profile", list(SrtpProfile))
def test_replayed_packets_are_counted(profile: SrtpProfile) -> None:
    sender, receiver = make_sessions(profile)
    protected = [sender.protect_rtp(rtp(number)) for number in range(100)]
    reports = [sender.protect_rtcp(RTCP_RECEIVER_REPORT) for _ in range(10)]
    for packet in protected:
        assert receiver.unprotect_rtp(packet) is not None
        assert receiver.unprotect_rtp(packet) is None
    for report in reports:
        assert receiver.unprotect_rtcp(report) is not None
        assert receiver.unprotect_rtcp(report) is None
    assert receiver.statistics.replayed == 110


def test_packets_reordered_within_the_window_are_taken_and_older_ones_not() -> None:
    sender, receiver = make_sessions(SrtpProfile.AEAD_AES_128_GCM)
    protected = [sender.protect_rtp(rtp(number)) for number in range(REPLAY_WINDOW + 10)]
    assert receiver.unprotect_rtp(protected[-1]) is not None
    assert receiver.unprotect_rtp(protected[20]) is not None
    assert receiver.unprotect_rtp(protected[0]) is None
    assert receiver.statistics.replayed == 1


def test_sequence_number_is_protected_once_only() -> None:
    sender, _ = make_sessions(SrtpProfile.AEAD_AES_128_GCM)
    sender.protect_rtp(rtp(1))
    with pytest.raises(SrtpError):
        sender.protect_rtp(rtp(1, payload=b"another"))
    sender.protect_rtp(rtp(1, ssrc=0xBB))


def test_sequence_numbers_may_wrap() -> None:
    sender, receiver = make_sessions(SrtpProfile.AEAD_AES_128_GCM)
    for number in range(65530, 65545):
        assert receiver.unprotect_rtp(sender.protect_rtp(rtp(number))) == rtp(number)


def test_what_cannot_be_protected_is_told() -> None:
    sender, _ = make_sessions(SrtpProfile.AEAD_AES_256_GCM)
    sender.protect_rtp(rtp(1, payload=bytes(MAX_PACKET_SIZE - 12)))
    sender.protect_rtcp(RTCP_RECEIVER_REPORT + bytes(MAX_RTCP_SIZE - 8))
    for packet in (b"", b"\x80", rtp(2, payload=bytes(MAX_PACKET_SIZE - 11))):
        with pytest.raises(SrtpError):
            sender.protect_rtp(packet)
    for packet in (b"", b"\x80\xc9", RTCP_RECEIVER_REPORT + bytes(MAX_RTCP_SIZE - 7)):
        with pytest.raises(SrtpError):
            sender.protect_rtcp(packet)


def test_peer_with_too_many_streams_gets_no_more() -> None:
    sender, receiver = make_sessions(SrtpProfile.AEAD_AES_128_GCM)
    packets = [sender.protect_rtp(rtp(1, ssrc)) for ssrc in range(MAX_STREAMS + 5)]
    assert sum(receiver.unprotect_rtp(packet) is not None for packet in packets) == MAX_STREAMS
    assert receiver.statistics.excess_streams == 5
    assert receiver.unprotect_rtp(sender.protect_rtp(rtp(2, 0))) is not None


def test_bad_packets_are_counted_one_by_one_and_nothing_grows() -> None:
    sender, receiver = make_sessions(SrtpProfile.AEAD_AES_128_GCM)
    dice = random.Random(1)
    good, unseen = sender.protect_rtp(rtp(1)), sender.protect_rtp(rtp(2))
    assert receiver.unprotect_rtp(good) is not None
    before = 0
    for number in range(BAD_PACKETS):
        if number == BAD_PACKETS // 10:
            before = resident_bytes()
        kind = number % 5
        if kind == 0:
            packet = rtp(dice.randrange(65536), dice.randrange(1 << 32), dice.randbytes(40))
        elif kind == 1:
            packet = unseen[:-1] + bytes((unseen[-1] ^ 1,))
        elif kind == 2:
            packet = good
        elif kind == 3:
            packet = dice.randbytes(dice.randrange(60))
        else:
            packet = b"\x80\xc9" + dice.randbytes(40)
        assert (receiver.unprotect_rtcp if kind == 4 else receiver.unprotect_rtp)(packet) is None
    assert resident_bytes() - before < MAY_GROW
    counts = receiver.statistics
    assert counts.unauthentic + counts.replayed + counts.malformed == BAD_PACKETS
    assert counts.replayed == BAD_PACKETS // 5
    assert counts.unauthentic >= BAD_PACKETS * 3 // 5
    assert counts.malformed > 0
    # A damaged copy does not use the number of the packet up.
    assert receiver.unprotect_rtp(unseen) == rtp(2)

"""Records of an established session, alone."""

import pytest

from webrtc.dtls import DtlsRole
from webrtc.dtls.records import ContentType, split_records
from webrtc.dtls.session import REPLAY_WINDOW, SUITES, Session, SessionSecrets, Suite

DATA = ContentType.APPLICATION_DATA
EVERY_SUITE = [pytest.param(suite, id=name) for name, suite in SUITES.items() if "ECDSA" in name]
AES_128 = SUITES["ECDHE-ECDSA-AES128-GCM-SHA256"]


def two_ends(suite: Suite = AES_128, first: int = 1) -> tuple[Session, Session]:
    secrets = SessionSecrets(suite, b"m" * 48, b"c" * 32, b"s" * 32)
    return Session(secrets, DtlsRole.CLIENT, first), Session(secrets, DtlsRole.SERVER, first)


@pytest.mark.parametrize("suite", EVERY_SUITE)
@pytest.mark.parametrize("content", [b"", b"x", bytes(range(256)) * 4])
def test_what_one_end_seals_the_other_alone_opens(suite: Suite, content: bytes) -> None:
    client, server = two_ends(suite)
    for sender, receiver in ((client, server), (server, client)):
        record = sender.seal(DATA, content)
        assert split_records(record) == ([record], 0)
        assert len(record) == len(content) + sender.overhead
        assert content not in record or len(content) < 2
        assert sender.open(record) is None
        assert receiver.open(record) == content


@pytest.mark.parametrize("suite", EVERY_SUITE)
def test_no_bit_of_a_record_may_change_but_those_of_its_length(suite: Suite) -> None:
    client, server = two_ends(suite)
    record = client.seal(DATA, b"content")
    for position in range(len(record)):
        if position in (11, 12):  # `split_records` has compared the length with the datagram's
            continue
        for bit in (1, 0x80):
            forged = bytearray(record)
            forged[position] ^= bit
            assert server.open(bytes(forged)) is None, position
    assert server.is_fresh(record)  # a forger uses no number up
    assert server.open(record) == b"content"


def test_record_too_short_for_a_tag_is_nothing() -> None:
    client, server = two_ends()
    record = client.seal(DATA, b"")
    for size in range(1, len(record) - 13):
        cut = record[:11] + size.to_bytes(2) + record[13 : 13 + size]
        assert server.open(cut) is None


def test_number_is_fresh_once_and_within_the_window() -> None:
    client, server = two_ends()
    records = [client.seal(DATA, b"x") for _ in range(2 * REPLAY_WINDOW)]
    last = records[REPLAY_WINDOW]
    assert server.open(last) is not None
    late = records[1 : REPLAY_WINDOW + 1]
    assert [server.is_fresh(record) for record in late] == [True] * (REPLAY_WINDOW - 1) + [False]
    assert not server.is_fresh(records[0])  # too old to know
    for record in reversed(late[:-1]):
        assert server.is_fresh(record)
        assert server.open(record) is not None
        assert not server.is_fresh(record)
    assert server.open(records[-1]) is not None
    assert not any(server.is_fresh(record) for record in records[: REPLAY_WINDOW + 1])
    assert server.is_fresh(records[-2])


def test_no_number_is_used_twice_and_those_of_the_handshake_not_at_all() -> None:
    client, _ = two_ends(first=3)
    records = [client.seal(DATA, b"x") for _ in range(5)]
    assert [int.from_bytes(record[5:11]) for record in records] == [3, 4, 5, 6, 7]
    assert len({record[13:21] for record in records}) == 5  # GCM's explicit nonces


def test_record_is_renewed_under_a_fresh_number() -> None:
    client, server = two_ends()
    record = client.seal(ContentType.HANDSHAKE, b"Finished")
    assert server.open(record) == b"Finished"
    renewed = client.renew(record)
    assert server.is_fresh(renewed)
    assert renewed[0] == ContentType.HANDSHAKE
    assert server.open(renewed) == b"Finished"

"""The messages that open channels, and what kinds of payload there are (RFC 8832, RFC 8831 §8)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from webrtc.sctp import Ppid, Priority, SctpDecodeError, SctpError
from webrtc.sctp.dcep import ACK, Open, decode_payload, encode_payload

OPENS = [
    # RFC 8832 §5.1: type 3, channel type, priority, reliability, two lengths, label, protocol.
    (Open(), "03 00 0100 00000000 0000 0000"),
    (
        Open(label="chat", protocol="p", priority=Priority.HIGH),
        "03 00 0400 00000000 0004 0001 63686174 70",
    ),
    (Open(ordered=False), "03 80 0100 00000000 0000 0000"),
    (Open(max_retransmits=3), "03 01 0100 00000003 0000 0000"),
    (Open(ordered=False, max_retransmits=0), "03 81 0100 00000000 0000 0000"),
    (Open(max_lifetime_ms=500), "03 02 0100 000001f4 0000 0000"),
    (Open(ordered=False, max_lifetime_ms=0), "03 82 0100 00000000 0000 0000"),
]


@pytest.mark.parametrize(("opening", "layout"), OPENS)
def test_open_is_laid_out_as_the_rfc_draws_it(opening: Open, layout: str) -> None:
    encoded = bytes.fromhex(layout.replace(" ", ""))
    assert opening.encode() == encoded
    assert Open.decode(encoded) == opening


@given(st.text(max_size=50), st.text(max_size=50), st.integers(0, 65535))
def test_open_survives_the_wire(label: str, protocol: str, priority: int) -> None:
    opening = Open(label=label, protocol=protocol, priority=priority)
    assert Open.decode(opening.encode()) == opening


@given(st.binary(max_size=40))
def test_bytes_that_are_no_open_raise_the_one_error(data: bytes) -> None:
    try:
        Open.decode(data)
    except SctpDecodeError:
        return
    assert data[0] == 3


@pytest.mark.parametrize(
    "data", ["", "03 00", "02 00 0100 00000000 0000 0000", "03 03" + "00" * 10]
)
def test_what_is_no_open_is_refused(data: str) -> None:
    with pytest.raises(SctpDecodeError):
        Open.decode(bytes.fromhex(data.replace(" ", "")))


def test_a_label_must_fit_its_length() -> None:
    with pytest.raises(SctpError):
        Open(label="x" * 65536).encode()


@pytest.mark.parametrize(
    ("data", "ppid", "payload"),
    [
        ("text", 51, b"text"),
        (b"bytes", 53, b"bytes"),
        ("", 56, b"\0"),
        (b"", 57, b"\0"),
    ],
)
def test_kinds_of_messages_have_their_ppids(data: str | bytes, ppid: int, payload: bytes) -> None:
    assert encode_payload(data) == (ppid, payload)
    assert decode_payload(ppid, payload) == data


def test_buffers_of_any_kind_are_taken_as_they_are_at_that_moment() -> None:
    buffer = bytearray(b"before")
    _, payload = encode_payload(memoryview(buffer))
    buffer[:] = b"after!"
    assert payload == b"before"
    assert decode_payload(Ppid.DCEP, ACK) is None
    assert decode_payload(51, b"\xff") == "�"


@pytest.mark.parametrize("data", [5, [1, 2], None, 1.5])
def test_what_is_neither_text_nor_bytes_is_refused(data: object) -> None:
    with pytest.raises(TypeError, match="str or bytes"):
        encode_payload(data)  # type: ignore[arg-type]

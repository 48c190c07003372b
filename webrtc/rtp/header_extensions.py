"""RTP header extensions (RFC 8285): the elements, and those of WebRTC as typed values.

A BUNDLE group negotiates one map of identifiers to URIs (`ExtensionMap`); with it a packet's
extension bytes become `HeaderExtensions` and back. What cannot be read is left out: a header
extension may always be ignored (RFC 8285 §4.1), so one bad element must not cost the packet.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import attrs
import msgspec

from webrtc.rtp.errors import RtpEncodeError
from webrtc.rtp.packet import ONE_BYTE_PROFILE, TWO_BYTE_PROFILE, RtpPacket

MID_URI = "urn:ietf:params:rtp-hdrext:sdes:mid"
"""RFC 8843 §14."""
RID_URI = "urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id"
"""RFC 8852 §4.3."""
REPAIRED_RID_URI = "urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id"
"""RFC 8852 §4.3."""
AUDIO_LEVEL_URI = "urn:ietf:params:rtp-hdrext:ssrc-audio-level"
"""RFC 6464."""
ABSOLUTE_SEND_TIME_URI = "http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time"
TRANSPORT_SEQUENCE_NUMBER_URI = (
    "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01"
)
PLAYOUT_DELAY_URI = "http://www.webrtc.org/experiments/rtp-hdrext/playout-delay"
VIDEO_ORIENTATION_URI = "urn:3gpp:video-orientation"

SUPPORTED_URIS = (
    MID_URI,
    RID_URI,
    REPAIRED_RID_URI,
    AUDIO_LEVEL_URI,
    ABSOLUTE_SEND_TIME_URI,
    TRANSPORT_SEQUENCE_NUMBER_URI,
    PLAYOUT_DELAY_URI,
    VIDEO_ORIENTATION_URI,
)
"""What `ExtensionMap` reads and writes."""

_TRANSIT_URIS = {ABSOLUTE_SEND_TIME_URI, TRANSPORT_SEQUENCE_NUMBER_URI}

ABSOLUTE_SEND_TIME_BITS = 24
PLAYOUT_DELAY_UNIT = 0.01
"""Seconds."""
MAX_REMEMBERED = 512
"""Written elements that are kept: audio levels make the most."""
_UNKNOWN = b"unknown"
_PADDING = 0
_STOP = 15
"""RFC 8285 §4.2: the one-byte form's identifier that ends the elements."""


class HeaderExtensions(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The extensions of one packet, None where absent.

    Attributes:
        mid: of the media description.
        rid: of the simulcast layer.
        repaired_rid: of the layer that this retransmission repairs.
        audio_level: in -dBov, 0 the loudest, 127 silence.
        voice_activity: comes with the audio level.
        absolute_send_time: 24 bits, 6.18 fixed-point seconds.
        transport_sequence_number: 16 bits, over all streams of the transport.
        playout_delay: the least and the most that a receiver should hold frames, in seconds.
        video_orientation: rotation clockwise in degrees: 0, 90, 180 or 270.

    """

    mid: str | None = None
    rid: str | None = None
    repaired_rid: str | None = None
    audio_level: int | None = None
    voice_activity: bool = False
    absolute_send_time: int | None = None
    transport_sequence_number: int | None = None
    playout_delay: tuple[float, float] | None = None
    video_orientation: int | None = None


NO_EXTENSIONS = HeaderExtensions()


def absolute_send_time(now: float) -> int:
    """Return a time in seconds as the 24-bit extension holds it: it wraps every 64 s."""
    return round(now * (1 << 18)) & 0xFFFFFF


def elements(profile: int | None, data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield identifier and value of each element that is whole (RFC 8285 §4.2, §4.3)."""
    for identifier, start, end in _places(profile, data):
        yield identifier, data[start:end]


def _places(profile: int | None, data: bytes) -> Iterator[tuple[int, int, int]]:
    """Yield identifier, and where the value begins and ends."""
    if profile == ONE_BYTE_PROFILE:
        yield from _one_byte_places(data)
    elif profile is not None and profile & 0xFFF0 == TWO_BYTE_PROFILE:
        yield from _two_byte_places(data)


def _one_byte_places(data: bytes) -> Iterator[tuple[int, int, int]]:
    offset, size = 0, len(data)
    while offset < size:
        first = data[offset]
        identifier = first >> 4
        offset += 1
        if identifier == _STOP:
            return
        if identifier == _PADDING:
            if first:  # §4.2: identifier 0 with a length ends the processing
                return
            continue
        end = offset + (first & 0x0F) + 1
        if end > size:
            return
        yield identifier, offset, end
        offset = end


def _two_byte_places(data: bytes) -> Iterator[tuple[int, int, int]]:
    offset, size = 0, len(data)
    while offset < size:
        identifier = data[offset]
        offset += 1
        if identifier == _PADDING:
            continue
        if offset == size:
            return
        end = offset + 1 + data[offset]
        if end > size:
            return
        yield identifier, offset + 1, end
        offset = end


def pack_elements(values: Mapping[int, bytes], *, pad: bool = True) -> tuple[int | None, bytes]:
    """Return profile and bytes of these elements, in the one-byte form where all fit.

    Without `pad` the bytes may not be whole words yet.

    Raises:
        RtpEncodeError: an identifier or a length that even the two-byte form cannot hold.

    """
    if not values:
        return None, b""
    data = bytearray()
    if all(0 < key < _STOP and 0 < len(value) <= 16 for key, value in values.items()):
        profile = ONE_BYTE_PROFILE
        for key, value in values.items():
            data.append(key << 4 | len(value) - 1)
            data += value
    else:
        profile = TWO_BYTE_PROFILE
        for key, value in values.items():
            if not 0 < key < 256 or len(value) > 255:
                raise RtpEncodeError(f"extension {key} of {len(value)} bytes")
            data += bytes((key, len(value))) + value
    if pad:
        data += bytes(-len(data) % 4)
    return profile, bytes(data)


def _identifier(value: bytes) -> str | None:
    # RFC 7941 §4.2: SDES items in extensions are UTF-8 without a terminator.
    try:
        return value.decode() or None
    except UnicodeDecodeError:
        return None


def _read_level(value: bytes) -> dict[str, object]:
    return {"audio_level": value[0] & 0x7F, "voice_activity": value[0] > 0x7F}


def _read_playout_delay(value: bytes) -> dict[str, object]:
    both = int.from_bytes(value[:3])
    return {
        "playout_delay": ((both >> 12) * PLAYOUT_DELAY_UNIT, (both & 0xFFF) * PLAYOUT_DELAY_UNIT)
    }


def _read_name(field: str) -> Callable[[bytes], dict[str, object]]:
    return lambda value: {field: _identifier(value)}


def _read_integer(field: str, size: int) -> Callable[[bytes], dict[str, object]]:
    return lambda value: {field: int.from_bytes(value[:size])}


_READERS: dict[str, tuple[int, Callable[[bytes], dict[str, object]]]] = {
    MID_URI: (1, _read_name("mid")),
    RID_URI: (1, _read_name("rid")),
    REPAIRED_RID_URI: (1, _read_name("repaired_rid")),
    AUDIO_LEVEL_URI: (1, _read_level),
    ABSOLUTE_SEND_TIME_URI: (3, _read_integer("absolute_send_time", 3)),
    TRANSPORT_SEQUENCE_NUMBER_URI: (2, _read_integer("transport_sequence_number", 2)),
    PLAYOUT_DELAY_URI: (3, _read_playout_delay),
    VIDEO_ORIENTATION_URI: (1, lambda value: {"video_orientation": (value[0] & 3) * 90}),
}
"""URI to the least size of a value and what reads it."""


def _written(values: HeaderExtensions) -> Iterator[tuple[str, bytes]]:
    """Yield URI and value of what is present."""
    if values.mid is not None:
        yield MID_URI, values.mid.encode()
    if values.rid is not None:
        yield RID_URI, values.rid.encode()
    if values.repaired_rid is not None:
        yield REPAIRED_RID_URI, values.repaired_rid.encode()
    if values.audio_level is not None:
        if not 0 <= values.audio_level <= 127:
            raise RtpEncodeError(f"audio level {values.audio_level}")
        yield AUDIO_LEVEL_URI, bytes((values.audio_level | values.voice_activity << 7,))
    if values.playout_delay is not None:
        least, most = (round(delay / PLAYOUT_DELAY_UNIT) for delay in values.playout_delay)
        if not 0 <= least <= most <= 0xFFF:
            raise RtpEncodeError(f"playout delay {values.playout_delay}")
        yield PLAYOUT_DELAY_URI, (least << 12 | most).to_bytes(3)
    if values.video_orientation is not None:
        yield VIDEO_ORIENTATION_URI, bytes((values.video_orientation // 90 & 3,))
    if values.absolute_send_time is not None:
        yield ABSOLUTE_SEND_TIME_URI, (values.absolute_send_time & 0xFFFFFF).to_bytes(3)
    if values.transport_sequence_number is not None:
        number = values.transport_sequence_number & 0xFFFF
        yield TRANSPORT_SEQUENCE_NUMBER_URI, number.to_bytes(2)


@attrs.frozen
class ExtensionMap:
    """Identifiers that `a=extmap` lines agreed on, for one transport (RFC 8285 §5).

    Attributes:
        uris: identifier (1-14, or to 255 in the two-byte form) to URI. Those that are not in
            `SUPPORTED_URIS` are kept and not read.

    """

    uris: Mapping[int, str] = attrs.field(factory=dict)
    _identifiers: dict[str, int] = attrs.field(init=False, repr=False, eq=False)
    _send_time: int = attrs.field(init=False, repr=False, eq=False)
    _sequence: int = attrs.field(init=False, repr=False, eq=False)
    _written: dict[tuple[object, ...], bytes | None] = attrs.field(
        init=False, repr=False, eq=False, factory=dict
    )

    @_identifiers.default
    def _invert(self) -> dict[str, int]:
        return {uri: identifier for identifier, uri in self.uris.items()}

    @_send_time.default
    def _find_send_time(self) -> int:
        return self._identifiers.get(ABSOLUTE_SEND_TIME_URI, 0)

    @_sequence.default
    def _find_sequence(self) -> int:
        return self._identifiers.get(TRANSPORT_SEQUENCE_NUMBER_URI, 0)

    def __contains__(self, uri: str) -> bool:
        return uri in self._identifiers

    def read(self, packet: RtpPacket) -> HeaderExtensions:
        """Return what the packet's extensions say. Runs per packet."""
        profile = packet.extension_profile
        if profile is None:
            return NO_EXTENSIONS
        data = packet.extension
        fields: dict[str, object] = {}
        if profile != ONE_BYTE_PROFILE:
            for identifier, start, end in _places(profile, data):
                self._read_element(fields, identifier, data[start:end])
            return HeaderExtensions(**fields)  # type: ignore[arg-type]
        # `_one_byte_places` again, with what every packet carries read in place: a generator and
        # a slice for each element would be a third of the work on a packet.
        send_time, sequence = self._send_time, self._sequence
        offset, size = 0, len(data)
        while offset < size:
            first = data[offset]
            offset += 1
            if not first:
                continue
            identifier = first >> 4
            if identifier in {_PADDING, _STOP}:
                break
            start = offset
            offset += (first & 0x0F) + 1
            if offset > size:
                break
            if identifier == sequence and first & 0x0F:
                fields["transport_sequence_number"] = data[start] << 8 | data[start + 1]
            elif identifier == send_time and first & 0x0F > 1:
                fields["absolute_send_time"] = int.from_bytes(data[start : start + 3])
            else:
                self._read_element(fields, identifier, data[start:offset])
        return HeaderExtensions(**fields)  # type: ignore[arg-type]

    def _read_element(self, fields: dict[str, object], identifier: int, value: bytes) -> None:
        entry = _READERS.get(self.uris.get(identifier, ""))
        if entry is not None and len(value) >= entry[0]:
            fields.update(entry[1](value))

    def write(
        self,
        values: HeaderExtensions,
        absolute_send_time: int | None = None,
        transport_sequence_number: int | None = None,
    ) -> tuple[int | None, bytes]:
        """Return profile and bytes for a packet; what was not negotiated is left out.

        Runs per packet: all but the two values that change every time is remembered.

        Args:
            values: of the packet.
            absolute_send_time: in place of that of `values`.
            transport_sequence_number: likewise.

        Raises:
            RtpEncodeError: a value is out of its range.

        """
        key = (
            values.mid,
            values.rid,
            values.repaired_rid,
            values.audio_level,
            values.voice_activity,
            values.playout_delay,
            values.video_orientation,
        )
        fixed = self._written.get(key, _UNKNOWN)
        if fixed is _UNKNOWN:
            fixed = self._write_fixed(key, values)
        time = values.absolute_send_time if absolute_send_time is None else absolute_send_time
        number = transport_sequence_number
        if number is None:
            number = values.transport_sequence_number
        if fixed is None:
            return self._pack(
                msgspec.structs.replace(
                    values, absolute_send_time=time, transport_sequence_number=number
                )
            )
        data = fixed
        if time is not None and self._send_time:
            data += (self._send_time << 28 | 2 << 24 | time & 0xFFFFFF).to_bytes(4)
        if number is not None and self._sequence:
            data += (self._sequence << 20 | 1 << 16 | number & 0xFFFF).to_bytes(3)
        if not data:
            return None, b""
        return ONE_BYTE_PROFILE, data + bytes(-len(data) % 4)

    def _write_fixed(self, key: tuple[object, ...], values: HeaderExtensions) -> bytes | None:
        """Return the elements but for the two that change; None if the two-byte form is needed."""
        fixed: bytes | None = None
        if self._send_time < _STOP and self._sequence < _STOP:
            rest = msgspec.structs.replace(
                values, absolute_send_time=None, transport_sequence_number=None
            )
            profile, fixed = self._pack(rest, pad=False)
            if profile not in {None, ONE_BYTE_PROFILE}:
                fixed = None
        if len(self._written) >= MAX_REMEMBERED:
            self._written.clear()
        self._written[key] = fixed
        return fixed

    def _pack(self, values: HeaderExtensions, *, pad: bool = True) -> tuple[int | None, bytes]:
        identifiers = self._identifiers
        return pack_elements(
            {identifiers[uri]: value for uri, value in _written(values) if uri in identifiers},
            pad=pad,
        )

    def without_transit(self, packet: RtpPacket) -> RtpPacket:
        """Return the packet with zeros for what changes whenever it is sent.

        Send time and transport-wide sequence number are not known when FEC is made, and differ in
        a retransmission: FEC protects zeros instead, as libwebrtc's does.
        """
        if packet.extension_profile is None:
            return packet
        data = bytearray(packet.extension)
        for identifier, start, end in _places(packet.extension_profile, packet.extension):
            if self.uris.get(identifier) in _TRANSIT_URIS:
                data[start:end] = bytes(end - start)
        return msgspec.structs.replace(packet, extension=bytes(data))

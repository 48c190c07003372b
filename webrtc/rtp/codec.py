"""What was negotiated for a payload type, and for the media it belongs to."""

from __future__ import annotations

import enum

import attrs

from webrtc.rtp.payload import PayloadFormat, find_format


class CodecRole(enum.Enum):
    """What packets of a payload type are for."""

    MEDIA = "media"
    RTX = "rtx"
    RED = "red"
    ULPFEC = "ulpfec"


_ROLES = {"rtx": CodecRole.RTX, "red": CodecRole.RED, "ulpfec": CodecRole.ULPFEC}


@attrs.frozen
class Codec:
    """A payload type of a media description.

    Attributes:
        payload_type: 7 bits.
        name: of `a=rtpmap`, in any case.
        clock_rate: of timestamps, in Hz.
        channels: of audio.
        apt: for RTX, the payload type that it repairs (RFC 4588 §8.6).
        nack: generic NACK was negotiated.
        pli: picture loss indication was.
        fir: full intra request was.
        remb: receiver-estimated bit rate was.
        transport_cc: transport-wide feedback was.

    """

    payload_type: int
    name: str
    clock_rate: int
    channels: int = 1
    apt: int | None = None
    nack: bool = False
    pli: bool = False
    fir: bool = False
    remb: bool = False
    transport_cc: bool = False

    @property
    def role(self) -> CodecRole:
        """What its packets are for."""
        return _ROLES.get(self.name.lower(), CodecRole.MEDIA)

    @property
    def format(self) -> PayloadFormat | None:
        """How its frames are cut; None if it is unknown here: only raw packets then."""
        return find_format(self.name)

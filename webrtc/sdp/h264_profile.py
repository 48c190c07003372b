"""H.264's ``profile-level-id`` (RFC 6184 §8.1): the profile it names, its level, their answers."""

from __future__ import annotations

import enum
import re

import attrs

DEFAULT = "42000a"
"""RFC 6184 §8.1: without the parameter Baseline, no constraints, level 1 is inferred."""

_HEX = re.compile(r"[0-9A-Fa-f]{6}", re.ASCII)


class Profile(enum.Enum):
    """The profiles of RFC 6184's table 5 that real-time video has."""

    CONSTRAINED_BASELINE = "constrained baseline"
    BASELINE = "baseline"
    MAIN = "main"
    EXTENDED = "extended"
    HIGH = "high"
    CONSTRAINED_HIGH = "constrained high"
    HIGH_10 = "high 10"
    HIGH_422 = "high 4:2:2"
    HIGH_444 = "high 4:4:4 predictive"


# RFC 6184 table 5: profile_idc, the bits of profile-iop that count, and what they must be.
_TABLE = (
    (0x42, 0b01001111, 0b01000000, Profile.CONSTRAINED_BASELINE),
    (0x4D, 0b10001111, 0b10000000, Profile.CONSTRAINED_BASELINE),
    (0x58, 0b11001111, 0b11000000, Profile.CONSTRAINED_BASELINE),
    (0x42, 0b01001111, 0b00000000, Profile.BASELINE),
    (0x58, 0b11001111, 0b10000000, Profile.BASELINE),
    (0x4D, 0b10101111, 0b00000000, Profile.MAIN),
    (0x58, 0b11001111, 0b00000000, Profile.EXTENDED),
    (0x64, 0b11111111, 0b00000000, Profile.HIGH),
    # H.264 A.2.4.2: progressive frames alone and no B slices; libwebrtc and x264 write it so.
    (0x64, 0b11111111, 0b00001100, Profile.CONSTRAINED_HIGH),
    (0x6E, 0b11111111, 0b00000000, Profile.HIGH_10),
    (0x7A, 0b11111111, 0b00000000, Profile.HIGH_422),
    (0xF4, 0b11111111, 0b00000000, Profile.HIGH_444),
)
_LEVEL_1B = 9
"""As the standard numbers it where there is no constraint_set3 to tell it from 1.1."""


@attrs.frozen
class ProfileLevel:
    """A profile-level-id, read.

    Attributes:
        profile: the profile.
        level: ten times the level's number, so that they compare; 1b is between 1 and 1.1.
        text: as it was written.

    """

    profile: Profile
    level: float
    text: str

    @classmethod
    def parse(cls, text: str | None) -> ProfileLevel | None:
        """Read six hexadecimal digits; None as the default. Return None where they are unknown."""
        text = DEFAULT if text is None else text
        if not _HEX.fullmatch(text):
            return None
        idc, iop, level = bytes.fromhex(text)
        for row_idc, mask, wanted, profile in _TABLE:
            # Level 1b sets constraint_set3 in these profiles: that bit is not the profile's.
            is_1b = level == 11 and iop & 0x10 and idc in (0x42, 0x4D, 0x58)
            if row_idc == idc and iop & mask == wanted:
                return cls(profile, 10.5 if is_1b or level == _LEVEL_1B else level, text)
        return None


def matches(ours: str | None, theirs: str | None) -> bool:
    """Tell whether two profile-level-ids are of one profile, whatever their levels."""
    one, other = ProfileLevel.parse(ours), ProfileLevel.parse(theirs)
    return one is not None and other is not None and one.profile is other.profile


def answered(ours: str | None, theirs: str | None, *, is_asymmetric: bool) -> str | None:
    """Return the profile-level-id of an answer to `theirs` (RFC 6184 §8.2.2).

    Args:
        ours: what we would offer.
        theirs: what was offered, of a profile that matches.
        is_asymmetric: whether both have ``level-asymmetry-allowed=1``; otherwise the lower
            of both levels holds both ways.

    """
    if is_asymmetric:
        return ours
    one, other = ProfileLevel.parse(ours), ProfileLevel.parse(theirs)
    if one is None or other is None:
        return theirs
    # The offer's text has its profile's own spelling, which the offerer surely knows: of ours
    # only the level is put there.
    return other.text if other.level <= one.level else other.text[:4] + one.text[4:]

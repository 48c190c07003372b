"""Preparing user names, realms and passwords (RFC 8489 §14.3, §14.9; RFC 5389 §14.3).

RFC 8489 asks for OpaqueString (RFC 8265 §4.2), RFC 5389 for SASLprep (RFC 4013). They
agree on printable ASCII, which is most of what there is, so that is not looked at twice.
"""

from __future__ import annotations

import stringprep
import unicodedata

import precis_i18n

from stun.errors import StunError

_PROFILE = precis_i18n.get_profile("OpaqueString")


class PreparationError(StunError):
    """A string that the profile forbids: empty, control characters, unassigned code points."""


def opaque_string(text: str) -> str:
    """Prepare a string with the OpaqueString profile (RFC 8265 §4.2).

    Raises:
        PreparationError: the profile forbids it.

    """
    if text.isascii() and text.isprintable() and text:
        return text
    try:
        return str(_PROFILE.enforce(text))
    except UnicodeEncodeError as error:
        raise PreparationError(f"not an OpaqueString: {error.reason}") from error


def saslprep(text: str) -> str:
    """Prepare a string with SASLprep (RFC 4013), as stored strings: unassigned is forbidden.

    Raises:
        PreparationError: the profile forbids it.

    """
    if text.isascii() and text.isprintable():
        return text
    mapped = "".join(
        " " if stringprep.in_table_c12(character) else character
        for character in text
        if not stringprep.in_table_b1(character)
    )
    prepared = unicodedata.ucd_3_2_0.normalize("NFKC", mapped)
    for character in prepared:
        if any(forbidden(character) for forbidden in _FORBIDDEN):
            raise PreparationError(f"SASLprep forbids U+{ord(character):04X}")
    _check_bidi(prepared)
    return prepared


_FORBIDDEN = (
    stringprep.in_table_a1,
    stringprep.in_table_c12,
    stringprep.in_table_c21_c22,
    stringprep.in_table_c3,
    stringprep.in_table_c4,
    stringprep.in_table_c5,
    stringprep.in_table_c6,
    stringprep.in_table_c7,
    stringprep.in_table_c8,
    stringprep.in_table_c9,
)


def _check_bidi(text: str) -> None:
    """Apply RFC 3454 §6: right-to-left text starts and ends so, and mixes with nothing."""
    if not any(stringprep.in_table_d1(character) for character in text):
        return
    if any(stringprep.in_table_d2(character) for character in text):
        raise PreparationError("SASLprep forbids mixing left-to-right and right-to-left")
    if not (stringprep.in_table_d1(text[0]) and stringprep.in_table_d1(text[-1])):
        raise PreparationError("SASLprep wants right-to-left text at both ends")

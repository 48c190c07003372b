"""Sessions for tests: seeded, with a made-up certificate, and what they tell each other as text."""

from __future__ import annotations

import random
from typing import Any

from webrtc.dtls.fingerprint import Fingerprint
from webrtc.sdp import (
    DescriptionType,
    Event,
    JsepSession,
    JsepSettings,
    SessionDescription,
    parse_description,
)

FINGERPRINT = Fingerprint("sha-256", bytes(range(32)))


def session(seed: int = 1, **settings: Any) -> JsepSession:
    return JsepSession(
        JsepSettings(fingerprints=(FINGERPRINT,), **settings),
        random_bytes=random.Random(seed).randbytes,
    )


def told(description: SessionDescription | None) -> SessionDescription:
    """What the peer reads of it."""
    return parse_description(str(description))


def offer(one: JsepSession, other: JsepSession) -> list[Event]:
    """One offers; return what the other makes of it."""
    one.set_local_description()
    return other.set_remote_description(DescriptionType.OFFER, told(one.local_description))


def answer(other: JsepSession, one: JsepSession) -> tuple[list[Event], list[Event]]:
    """The other answers; return its events and then the offerer's."""
    mine = other.set_local_description()
    return mine, one.set_remote_description(DescriptionType.ANSWER, told(other.local_description))


def exchange(one: JsepSession, other: JsepSession) -> tuple[list[Event], list[Event]]:
    """A whole exchange; return the answerer's events, and then the offerer's."""
    theirs = offer(one, other)
    mine, ours = answer(other, one)
    return theirs + mine, ours

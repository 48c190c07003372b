"""What calls with foreign peers need."""

from __future__ import annotations

from tests.webrtc.foreign.conftest import certificates, commands, link, turnd

__all__ = ["certificates", "commands", "link", "turnd"]

"""A link to another host, with a browser on it that a file's tests share, and turnd on this one."""

from __future__ import annotations

from tests.ice_client.browsers.conftest import browser, certificates, link, turnd

__all__ = ["browser", "certificates", "link", "turnd"]

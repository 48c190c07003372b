"""What a check found: the key to change and why."""

from __future__ import annotations

import attrs

from turnd.config.schema import Path


@attrs.frozen(slots=True)
class Problem:
    """One contradiction.

    Attributes:
        path: the key at fault.
        message: what is wrong and what would be right.

    """

    path: Path
    message: str

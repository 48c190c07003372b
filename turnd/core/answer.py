"""What a request handler returns: the success response's attributes, and what else happened."""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from stun import RawAttribute
from turnd.core.outputs import Output


@attrs.frozen(slots=True)
class Answer:
    """A request succeeded.

    Attributes:
        attributes: of the success response.
        events: what happened besides.
        remember: keep the response for retransmissions of the request.

    """

    attributes: Sequence[RawAttribute] = ()
    events: Sequence[Output] = ()
    remember: bool = False

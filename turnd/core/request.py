"""A request that has passed authentication, and the two ways to answer it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import attrs

from stun import (
    Address,
    Error,
    ErrorCode,
    Family,
    IntegrityAlgorithm,
    Message,
    MessageClass,
    RawAttribute,
)
from stun import attributes as a
from stun.errors import UnknownFamilyError
from turnd.core.credentials import Credential
from turnd.core.five_tuple import FiveTuple

Signature = Sequence[tuple[IntegrityAlgorithm, bytes]]


class RejectionError(Exception):
    """A request is to be answered with an error response.

    Attributes:
        code: the STUN error code.
        attributes: what the response carries besides ERROR-CODE.
        detail: for the log; never sent.

    """

    def __init__(
        self, code: ErrorCode, detail: str = "", attributes: Iterable[RawAttribute] = ()
    ) -> None:
        super().__init__(f"{code.value} {code.reason}: {detail}")
        self.code = code
        self.detail = detail
        self.attributes = tuple(attributes)


@attrs.frozen(slots=True)
class Request:
    """A request, who made it, and how its answer is to be signed.

    Attributes:
        message: the decoded request.
        data: its bytes, by which a retransmission is known.
        five_tuple: where it came from.
        now: monotonic seconds.
        realm: the realm it was authenticated in; empty before authentication.
        credential: of whom, or None where no authentication was asked for.
        signature: integrity of the answer.
        software: SOFTWARE for the answer; empty for none.

    """

    message: Message
    data: bytes
    five_tuple: FiveTuple
    now: float
    realm: str = ""
    credential: Credential | None = None
    signature: Signature = ()
    software: str = ""

    def require_peer(self) -> Address:
        """Return XOR-PEER-ADDRESS, or reject with 400."""
        peer = self.message.get(a.XOR_PEER_ADDRESS)
        if peer is None:
            raise RejectionError(ErrorCode.BAD_REQUEST, "XOR-PEER-ADDRESS is missing")
        return peer

    def requested_family(self, unknown: ErrorCode) -> Family | None:
        """Return REQUESTED-ADDRESS-FAMILY; reject with `unknown` one that is not of this world."""
        try:
            return self.message.get(a.REQUESTED_ADDRESS_FAMILY)
        except UnknownFamilyError as error:
            raise RejectionError(unknown, str(error)) from error

    def success(self, attributes: Iterable[RawAttribute] = ()) -> bytes:
        """Encode the success response."""
        return self._respond(MessageClass.SUCCESS_RESPONSE, attributes)

    def error(self, rejection: RejectionError) -> bytes:
        """Encode the error response."""
        code = a.ERROR_CODE.of(Error(rejection.code, rejection.code.reason))
        return self._respond(MessageClass.ERROR_RESPONSE, (code, *rejection.attributes))

    def _respond(self, message_class: MessageClass, attributes: Iterable[RawAttribute]) -> bytes:
        listed = [*attributes]
        if self.software and self.signature:
            listed.append(a.SOFTWARE.of(self.software))
        response = Message.build(
            self.message.method, message_class, self.message.transaction_id, listed
        )
        # RFC 8489 §7.2 leaves FINGERPRINT to usage; who sends it wants it back.
        return response.encode(sign=self.signature, fingerprint=self.message.has(a.FINGERPRINT))


def family_of(packed: bytes) -> Family:
    """Return the family of a packed IP address."""
    return Family.IPV4 if len(packed) == 4 else Family.IPV6

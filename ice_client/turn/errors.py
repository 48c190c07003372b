"""What can go wrong between a client and its STUN or TURN server.

`ResponseError` is what the server said, with its code; the others are what the client found:
nobody answers, the link broke, an answer that cannot be believed.
"""

from __future__ import annotations

from collections.abc import Iterable

from ice_client.errors import IceError, printable
from stun import Address, ErrorCode, Message
from stun.values import Error


class TurnClientError(IceError):
    """Root of the errors of `ice_client.turn`."""


class ResolutionError(TurnClientError):
    """No address was found for a server's name (RFC 5928)."""


class LinkError(TurnClientError):
    """The link to the server could not be made, or broke."""


class TlsError(LinkError):
    """The TLS or DTLS handshake failed."""


class CertificateError(TlsError):
    """The server's certificate does not prove the name it was asked for."""


class CredentialsError(TurnClientError):
    """A user name or password that cannot be sent: empty, too long, control characters."""


class DatagramTooLargeError(TurnClientError):
    """More data than one message to the server can carry."""


class RelayClosedError(TurnClientError):
    """The relay was closed by this side."""


class TooManyPeersError(TurnClientError):
    """More peers than a relay keeps permissions or channels for."""


class TransactionTimeoutError(TurnClientError):
    """Nobody answered a request (RFC 8489 §6.2.1).

    Attributes:
        method: of the request.

    """

    def __init__(self, method: int) -> None:
        super().__init__(f"no answer to {method_name(method)}")
        self.method = method


class IntegrityViolationError(TurnClientError):
    """Answers came, but none with a MESSAGE-INTEGRITY that verifies (RFC 8489 §9.2.5).

    Attributes:
        method: of the request.
        discarded: what the last of them said, if it was an error: a hint, as anybody could have
            sent it.

    """

    def __init__(self, method: int, discarded: Error | None) -> None:
        said = f": it said {discarded.code} {printable(discarded.reason)}" if discarded else ""
        super().__init__(f"the answer to {method_name(method)} is not authentic{said}")
        self.method = method
        self.discarded = discarded


class MalformedResponseError(TurnClientError):
    """The server's answer lacks what it must have, or it does not decode."""


class BidDownError(TurnClientError):
    """A challenge was changed on its way: its nonce tells of what it has not (RFC 8489 §9.2.1)."""


class ResponseError(TurnClientError):
    """The server answered with an error.

    Attributes:
        code: 300 to 699.
        reason: the server's words, as they came; the message has them fit for a terminal.
        response: the whole answer; None where an attribute inside a success told of the error.

    """

    def __init__(self, code: int, reason: str, response: Message | None = None) -> None:
        super().__init__(f"{code} {printable(reason)}".rstrip())
        self.code = code
        self.reason = reason
        self.response = response


class AuthenticationError(ResponseError):
    """401: the credentials are wrong or missing."""


class StaleNonceError(ResponseError):
    """438, again and again: every nonce is stale when it comes back."""


class WrongCredentialsError(ResponseError):
    """441: the allocation is another user's."""


class ForbiddenError(ResponseError):
    """403: the server's policy forbids it; for a permission, that peer."""


class MobilityForbiddenError(ResponseError):
    """405: the server does not do mobility (RFC 8016)."""


class AllocationMismatchError(ResponseError):
    """437: there is an allocation already where there should be none, or none where one should."""


class FamilyNotSupportedError(ResponseError):
    """440: the server does not relay from addresses of that family."""


class TransportNotSupportedError(ResponseError):
    """442: the server does not relay over that transport protocol."""


class ConnectionExistsError(ResponseError):
    """446: there is a connection to that peer already (RFC 6062)."""


class ConnectionFailedError(ResponseError):
    """447: the server could not connect to the peer (RFC 6062)."""


class QuotaReachedError(ResponseError):
    """486: the user has too many allocations."""


class InsufficientCapacityError(ResponseError):
    """508: the server has no more ports, bandwidth or room."""


class RedirectError(ResponseError):
    """300 that cannot be followed: no address of the family, a loop, or too many hops."""


class RedirectedError(ResponseError):
    """300: ask another server (RFC 8489 §10). `open_relay` follows it.

    Attributes:
        addresses: ALTERNATE-SERVER, in the server's order.
        domain: ALTERNATE-DOMAIN, whose certificate the other server has; None if not given.

    """

    def __init__(
        self,
        code: int,
        reason: str,
        response: Message | None = None,
        addresses: Iterable[Address] = (),
        domain: str | None = None,
    ) -> None:
        super().__init__(code, reason, response)
        self.addresses = tuple(addresses)
        self.domain = domain


def method_name(method: int) -> str:
    """Return a method's name as the RFCs write it: ``"CreatePermission"``."""
    name = getattr(method, "name", None)
    return name.title().replace("_", "") if name else f"method 0x{method:03x}"


_BY_CODE: dict[int, type[ResponseError]] = {
    ErrorCode.UNAUTHENTICATED: AuthenticationError,
    ErrorCode.FORBIDDEN: ForbiddenError,
    ErrorCode.MOBILITY_FORBIDDEN: MobilityForbiddenError,
    ErrorCode.ALLOCATION_MISMATCH: AllocationMismatchError,
    ErrorCode.STALE_NONCE: StaleNonceError,
    ErrorCode.ADDRESS_FAMILY_NOT_SUPPORTED: FamilyNotSupportedError,
    ErrorCode.WRONG_CREDENTIALS: WrongCredentialsError,
    ErrorCode.UNSUPPORTED_TRANSPORT_PROTOCOL: TransportNotSupportedError,
    ErrorCode.CONNECTION_ALREADY_EXISTS: ConnectionExistsError,
    ErrorCode.CONNECTION_TIMEOUT_OR_FAILURE: ConnectionFailedError,
    ErrorCode.ALLOCATION_QUOTA_REACHED: QuotaReachedError,
    ErrorCode.INSUFFICIENT_CAPACITY: InsufficientCapacityError,
}


def response_error(error: Error, response: Message | None = None) -> ResponseError:
    """Return the error of the class that its code has."""
    return _BY_CODE.get(error.code, ResponseError)(error.code, error.reason, response)

"""A TURN and STUN client: a sans-IO core, and a datagram socket on trio that relays.

server = TurnServer("192.0.2.1", 3478, Transport.UDP, LongTermCredentials("user", "pass"))
async with open_relay(server) as relay:
    await relay.permit(peer)
    await relay.send_to(b"hello", peer)
    data, source = await relay.receive_from()
"""

from ice_client.turn.binding import BindingResult, binding
from ice_client.turn.credentials import Credentials, LongTermCredentials, OAuthCredentials
from ice_client.turn.errors import (
    AllocationMismatchError,
    AuthenticationError,
    BidDownError,
    CertificateError,
    ConnectionExistsError,
    ConnectionFailedError,
    CredentialsError,
    DatagramTooLargeError,
    FamilyNotSupportedError,
    ForbiddenError,
    InsufficientCapacityError,
    IntegrityViolationError,
    LinkError,
    MalformedResponseError,
    MobilityForbiddenError,
    QuotaReachedError,
    RedirectedError,
    RedirectError,
    RelayClosedError,
    ResolutionError,
    ResponseError,
    StaleNonceError,
    TlsError,
    TooManyPeersError,
    TransactionTimeoutError,
    TransportNotSupportedError,
    TurnClientError,
    WrongCredentialsError,
)
from ice_client.turn.options import AllocateOptions
from ice_client.turn.outputs import (
    Allocation,
    ConnectionAttempted,
    Exchange,
    IcmpReceived,
    PermissionLost,
)
from ice_client.turn.relay import Relay, open_relay
from ice_client.turn.resolve import ResolvedServer, resolve_host, resolve_uri
from ice_client.turn.server import TlsOptions, Transport, TurnServer
from ice_client.turn.tcp_relay import PeerStream, TcpRelay, open_tcp_relay
from ice_client.turn.trace import Observer, Stage, StageEnded, TlsDetails, TraceEvent

__all__ = [
    "AllocateOptions",
    "Allocation",
    "AllocationMismatchError",
    "AuthenticationError",
    "BidDownError",
    "BindingResult",
    "CertificateError",
    "ConnectionAttempted",
    "ConnectionExistsError",
    "ConnectionFailedError",
    "Credentials",
    "CredentialsError",
    "DatagramTooLargeError",
    "Exchange",
    "FamilyNotSupportedError",
    "ForbiddenError",
    "IcmpReceived",
    "InsufficientCapacityError",
    "IntegrityViolationError",
    "LinkError",
    "LongTermCredentials",
    "MalformedResponseError",
    "MobilityForbiddenError",
    "OAuthCredentials",
    "Observer",
    "PeerStream",
    "PermissionLost",
    "QuotaReachedError",
    "RedirectError",
    "RedirectedError",
    "Relay",
    "RelayClosedError",
    "ResolutionError",
    "ResolvedServer",
    "ResponseError",
    "Stage",
    "StageEnded",
    "StaleNonceError",
    "TcpRelay",
    "TlsDetails",
    "TlsError",
    "TlsOptions",
    "TooManyPeersError",
    "TraceEvent",
    "TransactionTimeoutError",
    "Transport",
    "TransportNotSupportedError",
    "TurnClientError",
    "TurnServer",
    "WrongCredentialsError",
    "binding",
    "open_relay",
    "open_tcp_relay",
    "resolve_host",
    "resolve_uri",
]

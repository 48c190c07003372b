"""An ICE agent and a TURN client for trio.

servers = [IceServer("turn:turn.example.org", LongTermCredentials("user", "secret"))]
async with open_ice_agent(servers, controlling=True) as agent:
    # Tell the peer `agent.local_credentials`, and as they are found:
    async for candidate in agent.local_candidates():
        await signalling.send(format_candidate(candidate))
    # Take what the peer tells:
    agent.set_remote_credentials(Credentials(username_fragment, password))
    await agent.add_remote_candidate("candidate:1 1 udp …")
    await agent.connected()
    await agent.send(b"hello")
    data = await agent.receive()

The protocol without sockets is `ice_client.core`; the TURN client alone is `ice_client.turn`.
"""

from ice_client.agent import Agent, open_ice_agent
from ice_client.agent_views import AgentStats, PairStats
from ice_client.core import (
    AgentState,
    Candidate,
    CandidateType,
    Credentials,
    Role,
    SelectedPair,
    Settings,
    Transport,
    format_candidate,
    parse_candidate,
)
from ice_client.errors import (
    AgentClosedError,
    CandidateError,
    ConnectError,
    IceError,
    NotConnectedError,
    PacketTooLongError,
)
from ice_client.gathering import ServerFailure
from ice_client.interfaces import InterfaceFilter, LocalAddress, local_addresses
from ice_client.mdns import Mdns, open_mdns
from ice_client.options import AgentOptions, Policy
from ice_client.server import IceServer, ServerError
from ice_client.turn import LongTermCredentials, OAuthCredentials, TlsOptions

__all__ = [
    "Agent",
    "AgentClosedError",
    "AgentOptions",
    "AgentState",
    "AgentStats",
    "Candidate",
    "CandidateError",
    "CandidateType",
    "ConnectError",
    "Credentials",
    "IceError",
    "IceServer",
    "InterfaceFilter",
    "LocalAddress",
    "LongTermCredentials",
    "Mdns",
    "NotConnectedError",
    "OAuthCredentials",
    "PacketTooLongError",
    "PairStats",
    "Policy",
    "Role",
    "SelectedPair",
    "ServerError",
    "ServerFailure",
    "Settings",
    "TlsOptions",
    "Transport",
    "format_candidate",
    "local_addresses",
    "open_ice_agent",
    "open_mdns",
    "parse_candidate",
]

"""The sans-IO ICE agent (RFC 8445): values in, values out; see `agent`."""

from ice_client.core.agent import IceAgent
from ice_client.core.candidate import (
    Base,
    Candidate,
    CandidateType,
    Foundations,
    Transport,
    local_candidate,
    local_preferences,
)
from ice_client.core.candidate_attribute import format_candidate, parse_candidate
from ice_client.core.credentials import Credentials
from ice_client.core.events import (
    AgentState,
    ComponentStateChanged,
    ConsentLost,
    Event,
    Output,
    PairSelected,
    PairValidated,
    PeerReflexiveDiscovered,
    Role,
    RoleChanged,
    SelectedPair,
    StateChanged,
    Transmit,
)
from ice_client.core.settings import Settings
from ice_client.core.statistics import AgentCounters, PairState, PairStatistics

__all__ = [
    "AgentCounters",
    "AgentState",
    "Base",
    "Candidate",
    "CandidateType",
    "ComponentStateChanged",
    "ConsentLost",
    "Credentials",
    "Event",
    "Foundations",
    "IceAgent",
    "Output",
    "PairSelected",
    "PairState",
    "PairStatistics",
    "PairValidated",
    "PeerReflexiveDiscovered",
    "Role",
    "RoleChanged",
    "SelectedPair",
    "Settings",
    "StateChanged",
    "Transmit",
    "Transport",
    "format_candidate",
    "local_candidate",
    "local_preferences",
    "parse_candidate",
]

"""Networks with NATs, in network namespaces of Linux. See README.md."""

from tests.natlab.behaviour import (
    ADDRESS_RESTRICTED,
    FULL_CONE,
    PORT_RESTRICTED,
    SYMMETRIC,
    SYMMETRIC_PRESERVING,
    Behaviour,
    Dependence,
    PortAssignment,
    with_hairpinning,
)
from tests.natlab.impairment import Impairment
from tests.natlab.inhabit import inhabiting
from tests.natlab.lab import Lab, LabHost, lab
from tests.natlab.namespace import LabError, Namespace
from tests.natlab.nftables import MASQUERADE, MASQUERADE_RANDOM, ONLY_TCP_443, UDP_BLOCKED
from tests.natlab.topology import CARRIER_NETWORK, PUBLIC, Host, KernelRouter, Nat, Topology

__all__ = [
    "ADDRESS_RESTRICTED",
    "CARRIER_NETWORK",
    "FULL_CONE",
    "MASQUERADE",
    "MASQUERADE_RANDOM",
    "ONLY_TCP_443",
    "PORT_RESTRICTED",
    "PUBLIC",
    "SYMMETRIC",
    "SYMMETRIC_PRESERVING",
    "UDP_BLOCKED",
    "Behaviour",
    "Dependence",
    "Host",
    "Impairment",
    "KernelRouter",
    "Lab",
    "LabError",
    "LabHost",
    "Namespace",
    "Nat",
    "PortAssignment",
    "Topology",
    "inhabiting",
    "lab",
    "with_hairpinning",
]

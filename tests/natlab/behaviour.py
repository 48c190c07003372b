"""How NATs behave, in the words of RFC 4787, and the kinds that RFC 3489 gave names to."""

from __future__ import annotations

import enum
from collections.abc import Hashable

import attrs

from tests.natlab.packet import Endpoint


class Dependence(enum.Enum):
    """On what of the remote endpoint something depends (RFC 4787 §4.1 and §5)."""

    ENDPOINT_INDEPENDENT = "Endpoint Independent"
    ADDRESS_DEPENDENT = "Address Dependent"
    ADDRESS_AND_PORT_DEPENDENT = "Address and Port Dependent"

    def key(self, remote: Endpoint) -> Hashable:
        """Return what of a remote endpoint counts: equal keys are treated alike."""
        match self:
            case Dependence.ENDPOINT_INDEPENDENT:
                return None
            case Dependence.ADDRESS_DEPENDENT:
                return remote[0]
            case Dependence.ADDRESS_AND_PORT_DEPENDENT:
                return remote


class PortAssignment(enum.Enum):
    """How a mapping gets its port (RFC 4787 §4.2.1)."""

    PRESERVING = "preserving"
    """The port of the inside endpoint if it is free, else the next free one above."""
    RANDOM = "random"


@attrs.frozen(slots=True)
class Behaviour:
    """What a NAT does.

    Attributes:
        mapping: which packets from one inside endpoint share an outside port.
        filtering: who may send to that port.
        ports: how the port is chosen.
        hairpinning: whether hosts behind it reach one another by their outside addresses
            (RFC 4787 §6), seen to come from the outside address of the sender.
        lifetime: seconds until an unused mapping goes, for all protocols. Only packets from
            inside keep it alive: the cautious reading of RFC 4787 §4.3.

    """

    mapping: Dependence
    filtering: Dependence
    ports: PortAssignment = PortAssignment.PRESERVING
    hairpinning: bool = False
    lifetime: float = 300.0


_EI = Dependence.ENDPOINT_INDEPENDENT
_AD = Dependence.ADDRESS_DEPENDENT
_APD = Dependence.ADDRESS_AND_PORT_DEPENDENT

FULL_CONE = Behaviour(_EI, _EI)
ADDRESS_RESTRICTED = Behaviour(_EI, _AD)
PORT_RESTRICTED = Behaviour(_EI, _APD)
SYMMETRIC = Behaviour(_APD, _APD, PortAssignment.RANDOM)
SYMMETRIC_PRESERVING = Behaviour(_APD, _APD, PortAssignment.PRESERVING)
"""The first remote endpoint sees the inside port, every other one the next that is free."""


def with_hairpinning(behaviour: Behaviour) -> Behaviour:
    """Return the same behaviour, hairpinning."""
    return attrs.evolve(behaviour, hairpinning=True)

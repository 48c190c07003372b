"""A peer made by hand of STUN messages, and an agent to try it on: no simulation, no clock."""

from __future__ import annotations

import itertools

import attrs

from ice_client.core import (
    AgentState,
    Base,
    Candidate,
    CandidateType,
    Credentials,
    Event,
    Foundations,
    IceAgent,
    Role,
    Settings,
    Transmit,
    Transport,
    local_candidate,
)
from ice_client.core.check_client import NOMINATION
from stun import (
    Address,
    Error,
    IntegrityAlgorithm,
    Message,
    MessageClass,
    Method,
    RawAttribute,
    attributes,
)

OURS = Credentials("ours", "ours" * 6)
THEIRS = Credentials("them", "them" * 6)
HOST = Address.parse("10.0.0.1", 5000)
PEER = Address.parse("192.0.2.9", 6000)
OTHER_PEER = Address.parse("192.0.2.9", 6001)
TIE_BREAKER = 1000
PRIORITY = 1862270975

_numbers = itertools.count()


def counting_bytes(length: int) -> bytes:
    """Stand in for randomness: never twice the same, and in the middle of its range."""
    return b"\x80" + next(_numbers).to_bytes(length - 1, "big")


def host(
    address: Address = HOST,
    *,
    component: int = 1,
    transport: Transport = Transport.UDP,
    preference: int = 65535,
    foundation: str = "1",
) -> Candidate:
    """Make a host candidate."""
    candidate = local_candidate(
        CandidateType.HOST,
        address,
        Foundations(),
        component=component,
        transport=transport,
        local_preference=preference,
    )
    return attrs.evolve(candidate, foundation=foundation)


def agent(
    role: Role = Role.CONTROLLING, settings: Settings | None = None, *, started: bool = True
) -> IceAgent:
    """Make an agent with one host candidate, that knows the peer's credentials."""
    made = IceAgent(role, OURS, counting_bytes, settings or Settings(), tie_breaker=TIE_BREAKER)
    made.add_local_candidate(host(), 0.0)
    if started:
        made.set_remote_credentials(THEIRS, 0.0)
    made.take_outputs()
    return made


def state(one: IceAgent) -> AgentState:
    """Return where an agent is (a call, which a type checker does not take for constant)."""
    return one.state


def sent(one: IceAgent) -> list[Transmit]:
    """Take what an agent has put out to send."""
    return [output for output in one.take_outputs() if isinstance(output, Transmit)]


def events(one: IceAgent) -> list[Event]:
    """Take what has happened to an agent."""
    return [output for output in one.take_outputs() if not isinstance(output, Transmit)]


def request(
    *,
    username: str = "ours:them",
    password: str = OURS.password,
    use_candidate: bool = False,
    nomination: int | None = None,
    role: RawAttribute | None = None,
    priority: int | None = PRIORITY,
    extra: tuple[RawAttribute, ...] = (),
    fingerprint: bool = True,
) -> bytes:
    """Make a check of the peer's."""
    listed = [attributes.USERNAME.of(username), *extra]
    if role is not None:
        listed.append(role)
    if priority is not None:
        listed.append(attributes.PRIORITY.of(priority))
    if use_candidate:
        listed.append(attributes.USE_CANDIDATE.of(True))
    if nomination is not None:
        listed.append(NOMINATION.of(nomination))
    message = Message.build(Method.BINDING, MessageClass.REQUEST, counting_bytes(12), listed)
    return message.encode(
        sign=[(IntegrityAlgorithm.SHA1, password.encode())], fingerprint=fingerprint
    )


def answer(
    check: Transmit,
    *,
    mapped: Address | None = None,
    error: int | None = None,
    password: str = THEIRS.password,
) -> bytes:
    """Make the peer's answer to a check of ours."""
    message = Message.decode(check.data)
    tid = message.transaction_id
    kind = MessageClass.SUCCESS_RESPONSE if error is None else MessageClass.ERROR_RESPONSE
    listed = (
        [attributes.XOR_MAPPED_ADDRESS.of(mapped or check.base.address, tid)]
        if error is None
        else [attributes.ERROR_CODE.of(Error(error, ""))]
    )
    made = Message.build(Method.BINDING, kind, tid, listed)
    return made.encode(sign=[(IntegrityAlgorithm.SHA1, password.encode())], fingerprint=True)


def run(one: IceAgent, until: float) -> list[tuple[float, Transmit]]:
    """Call an agent at each of its deadlines up to a time; return what it sent when."""
    done = []
    now = 0.0
    while (deadline := one.next_deadline()) is not None and deadline <= until:
        now = max(now, deadline)
        one.on_deadline(now)
        done += [(now, transmit) for transmit in sent(one)]
    return done


def is_request(transmit: Transmit) -> bool:
    """Whether that is a request."""
    return Message.decode(transmit.data).message_class is MessageClass.REQUEST


def nominates(transmit: Transmit) -> bool:
    """Whether that carries USE-CANDIDATE."""
    return Message.decode(transmit.data).has(attributes.USE_CANDIDATE)


def connect(one: IceAgent, now: float, peer: Address = PEER) -> None:
    """Bring an agent that knows the peer's candidate to a selected pair, at one time."""
    if one.role is Role.CONTROLLING:
        one.on_deadline(now)
        (check,) = sent(one)
        one.receive(answer(check), check.base, peer, now)
        one.on_deadline(now + 0.01)
        (check,) = [each for each in sent(one) if nominates(each)]
        one.receive(answer(check), check.base, peer, now + 0.01)
    else:
        one.receive(request(use_candidate=True), Base(HOST), peer, now)
        one.on_deadline(now)
        _, check = sent(one)
        one.receive(answer(check), check.base, peer, now)
    assert one.selected_pair() is not None

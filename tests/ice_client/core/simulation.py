"""Two agents on a simulated network, by seed: `python -m tests.ice_client.core.simulation`.

A seed decides everything: NATs, relays, loss, delay, signalling, roles, what happens in mid-call.
What must hold is asserted; `--seed N` replays one, `--seeds N` runs 0 to N - 1.
"""

from __future__ import annotations

import argparse
import collections
import enum
import multiprocessing
import os
import random
import sys
import time
from collections.abc import Callable

import attrs

from ice_client.core import AgentState, Candidate, Credentials, Role, Settings
from tests.ice_client.core.network import Link, NatKind, Network, direct_path_exists
from tests.ice_client.core.peers import Peer, Received

CONNECT_WITHIN = 100.0
FAIL_WITHIN = 250.0
CONSENT_LASTS = 30.0
CHECK_LASTS = 39.5
_NOT_TWICE_AT_ONE_TIME = 1000


class Incident(enum.Enum):
    """What happens in mid-call."""

    NONE = "none"
    RESTART = "restart"
    REBIND = "rebind"
    CUT = "cut"


@attrs.frozen(kw_only=True)
class Scenario:
    """What a seed stands for."""

    nats: tuple[NatKind, NatKind]
    relays: tuple[bool, bool]
    hosts: tuple[int, int]
    roles: tuple[Role, Role]
    components: tuple[int, ...]
    lite: bool
    renomination: bool
    link: Link
    gathering: float
    signalling: float
    early: bool
    incident: Incident

    @classmethod
    def draw(cls, rng: random.Random) -> Scenario:
        """Draw one."""
        lite = rng.random() < 0.1
        kinds = list(NatKind)
        conflict = rng.random()
        same = Role.CONTROLLING if conflict < 0.1 else Role.CONTROLLED
        roles = (same, same) if conflict < 0.2 else (Role.CONTROLLING, Role.CONTROLLED)
        lossy = rng.random() < 0.4
        return cls(
            nats=(rng.choice(kinds), NatKind.NONE if lite else rng.choice(kinds)),
            relays=(rng.random() < 0.4, rng.random() < 0.4),
            hosts=(rng.randint(1, 3), 1 if lite else rng.randint(1, 3)),
            roles=roles,
            components=rng.choice([(1,), (1,), (1,), (2,), (1, 1), (2, 1)]),
            lite=lite,
            renomination=rng.random() < 0.2,
            link=Link(
                loss=rng.random() * 0.15 if lossy else 0.0,
                delay=0.001 + rng.random() ** 2 * 0.2,
                jitter=rng.choice([0.0, 0.005, 0.1]),
                duplication=rng.choice([0.0, 0.0, 0.1]),
            ),
            gathering=rng.choice([0.0, 0.1, 2.0]),
            signalling=rng.choice([0.0, 0.05, 0.8]),
            early=rng.random() < 0.3,
            incident=rng.choice(list(Incident)),
        )

    @property
    def path_exists(self) -> bool:
        """Whether theory has a way for the two to meet."""
        has_relay = self.relays[0] or (self.relays[1] and not self.lite)
        return has_relay or direct_path_exists(*self.nats)


class Call:
    """One simulated call.

    Args:
        seed: of it all.

    """

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.scenario = scenario = Scenario.draw(self.rng)
        self.network = Network(self.rng, scenario.link)
        self.peers = tuple(
            Peer(
                self.network,
                self.rng,
                index + 1,
                scenario.nats[index],
                scenario.roles[index],
                Settings(
                    components=scenario.components,
                    lite=scenario.lite and index == 1,
                    renomination=scenario.renomination,
                ),
                has_relay=scenario.relays[index],
                hosts=scenario.hosts[index],
            )
            for index in range(2)
        )
        self.watch: Callable[[], None] = lambda: None
        self._channel_free_at = [0.0, 0.0]
        self._at_once = 0

    # Signalling

    def signal(self, sender: int, action: Callable[[], None], *, in_order: bool = True) -> None:
        """Do `action` at the other end, later."""
        at = self.network.now + self.rng.random() * self.scenario.signalling
        if in_order:
            at = self._channel_free_at[sender] = max(at, self._channel_free_at[sender])
        self.network.call_later(at - self.network.now, action)

    def offer(self) -> None:
        """Let the first peer offer its current credentials, and both gather."""
        first, second = self.peers
        offered = first.agent.local_credentials

        def answered(credentials: Credentials) -> None:
            first.agent.set_remote_credentials(
                credentials,
                self.network.now,
                lite=self.scenario.lite,
                renomination=second.is_renomination,
            )

        def arrived() -> None:
            answer = second.agent.local_credentials
            self.signal(1, lambda: answered(answer), in_order=not self.scenario.early)
            second.agent.set_remote_credentials(
                offered, self.network.now, renomination=first.is_renomination
            )
            second.gather(self._teller(1), self.scenario.gathering)

        self.signal(0, arrived)
        first.gather(self._teller(0), self.scenario.gathering)

    def restart(self) -> None:
        """Let the first peer restart ICE, and the second follow."""
        first, second = self.peers
        first.agent.restart(first.new_credentials(), self.network.now)
        second_credentials = second.new_credentials()
        self.signal(0, lambda: second.agent.restart(second_credentials, self.network.now))
        self.offer()

    def _teller(self, sender: int) -> Callable[[int, Candidate | None], None]:
        receiver = self.peers[1 - sender]

        def tell(stream: int, candidate: Candidate | None) -> None:
            def arrived() -> None:
                if candidate is None:
                    receiver.agent.end_of_remote_candidates(self.network.now)
                else:
                    receiver.add_remote_candidate(candidate, stream)

            self.signal(sender, arrived)

        return tell

    # Time

    def step(self) -> bool:
        """Go on to the next thing that happens; return False if nothing ever will."""
        for peer in self.peers:
            peer.flush()
        deadlines = [peer.agent.next_deadline() for peer in self.peers]
        upcoming = [one for one in (self.network.next_event(), *deadlines) if one is not None]
        if not upcoming:
            return False
        at = max(min(upcoming), self.network.now)
        self._at_once = self._at_once + 1 if at == self.network.now else 0
        assert self._at_once < _NOT_TWICE_AT_ONE_TIME, "an agent does not let time go on"
        event = self.network.next_event()
        if event is not None and event <= at:
            self.network.run_next()
        else:
            self.network.now = at
            for peer, deadline in zip(self.peers, deadlines, strict=True):
                if deadline is not None and deadline <= at:
                    peer.agent.on_deadline(at)
        for peer in self.peers:
            peer.flush()
        self.watch()
        return True

    def run_until(self, condition: Callable[[], bool], within: float) -> bool:
        """Go on until `condition`; return whether it came true within so many seconds."""
        limit = self.network.now + within
        while not condition():
            if self.network.now > limit or not self.step():
                return False
        return True

    def run_for(self, seconds: float) -> None:
        """Go on for so long."""
        limit = self.network.now + seconds
        self.network.call_later(seconds, lambda: None)
        while self.network.now < limit and self.step():
            pass

    # What must hold

    def both_connected(self) -> bool:
        """Whether both say so, in the same generation."""
        return all(peer.is_connected for peer in self.peers)

    def both_failed(self) -> bool:
        """Whether both have given up, on every component."""
        return all(
            peer.agent.component_state(component, stream) is AgentState.FAILED
            for peer in self.peers
            for stream, component in self._components()
        )

    def settled(self) -> bool:
        """Whether both are connected, by the current generation, over the same pairs."""
        return (
            self.both_connected()
            and all(self._same_pair(component, stream) for stream, component in self._components())
            and all(
                sum(pair.is_selected and pair.is_nominated for pair in peer.agent.pair_statistics())
                == len(self._components())
                for peer in self.peers
            )
        )

    def _components(self) -> list[tuple[int, int]]:
        return [
            (stream, component)
            for stream, count in enumerate(self.scenario.components)
            for component in range(1, count + 1)
        ]

    def _same_pair(self, component: int, stream: int) -> bool:
        """Whether each is selecting what the other sees: ours is their remote, both ways."""
        one, two = (peer.agent.selected_pair(component, stream) for peer in self.peers)
        return (
            one is not None
            and two is not None
            and one.local.address == two.destination
            and two.local.address == one.destination
        )

    def check_selected_are_valid(self) -> None:
        """Assert that what is selected has been checked and nominated."""
        for peer in self.peers:
            selected = [pair for pair in peer.agent.pair_statistics() if pair.is_selected]
            assert len(selected) == len(self._components())
            for pair in selected:
                assert pair.is_valid
                assert pair.is_nominated
                assert pair.responses_received or self.scenario.lite

    def check_data_flows(self) -> None:
        """Assert that data sent on the selected pair comes in on the other's, both ways."""
        loss, self.network.link.loss = self.network.link.loss, 0.0
        for stream, component in self._components():
            for sender, receiver in (self.peers, self.peers[::-1]):
                self._check_data_flow(sender, receiver, component, stream)
        self.network.link.loss = loss

    def _check_data_flow(self, sender: Peer, receiver: Peer, component: int, stream: int) -> None:
        text = b"hello %d" % self.network.sent
        sender.send_data(text, component, stream)

        def came() -> list[Received]:
            return [one for one in receiver.received if one.data.endswith(text)]

        assert self.run_until(lambda: bool(came()), 5.0), "data got lost"
        selected = receiver.agent.selected_pair(component, stream)
        assert selected is not None
        # With renomination it may have been another one when the data was sent.
        pairs = receiver.selections() if self.scenario.renomination else [selected]
        way = came()[0].base, came()[0].source
        assert way in [(pair.base, pair.destination) for pair in pairs]

    def run(self) -> str:
        """Run it all; return a word for how it went."""
        start = self.network.now
        self.offer()
        if not self.scenario.path_exists:
            assert self.run_until(self.both_failed, FAIL_WITHIN), "no end, though there is no path"
            assert not any(peer.selections() for peer in self.peers)
            self.check_silence()
            return "failed"
        assert self.run_until(self.settled, CONNECT_WITHIN), f"not connected: {self.describe()}"
        self.connected_after = self.network.now - start
        self.run_for(3.0)
        assert self.run_until(self.settled, CONNECT_WITHIN), f"came apart: {self.describe()}"
        assert self.peers[0].agent.role is not self.peers[1].agent.role
        self.check_selected_are_valid()
        self.check_data_flows()
        getattr(self, f"_{self.scenario.incident.value}")()
        return self.scenario.incident.value

    connected_after = 0.0

    def check_silence(self) -> None:
        """Assert that agents which have failed neither send nor want to be called."""
        for peer in self.peers:
            assert peer.agent.send_pair() is None
        self.run_for(100.0)
        assert all(peer.agent.next_deadline() is None for peer in self.peers)
        assert all(peer.sent_at < self.network.now - 90.0 for peer in self.peers)

    def _none(self) -> None:
        """Nothing happens for two minutes, and consent lasts."""
        self._run_quietly(120.0)
        self._settle_again()
        self.check_data_flows()

    def _restart(self) -> None:
        old = [peer.agent.local_credentials for peer in self.peers]
        self.run_for(self.rng.random() * 10.0)

        def still_carried() -> None:
            for peer in self.peers:
                assert peer.agent.selected_pair() is not None, "nothing to send on in a restart"

        if not self.network.link.loss:
            self.watch = still_carried
        self.restart()
        self.run_for(5.0 + 3 * self.scenario.signalling + self.scenario.gathering)

        assert self.run_until(self.settled, CONNECT_WITHIN), f"not again: {self.describe()}"
        assert [peer.agent.local_credentials for peer in self.peers] != old
        self._run_quietly(60.0)
        self.watch = lambda: None
        self._settle_again()
        self.check_selected_are_valid()
        self.check_data_flows()

    def _rebind(self) -> None:
        """A NAT forgets: either checks find a way, or both notice, and a restart does."""
        self.run_for(self.rng.random() * 10.0)
        self.rng.choice(self.peers).rebind()
        self.run_for(2 * CONSENT_LASTS + 15.0)
        lasted = self.run_until(lambda: self.settled() or self._all_failed(), CONNECT_WITHIN)
        assert lasted, f"neither connected nor failed: {self.describe()}"
        if not self.settled():
            self._restart_from_failure()
        self.check_data_flows()

    def _cut(self) -> None:
        """The network goes: both notice in time and fall silent; a restart brings them back."""
        self.run_for(self.rng.random() * 10.0)
        self.network.is_cut = True

        def silent() -> None:
            for peer in self.peers:
                limit = peer.heard_at + CONSENT_LASTS + 0.1
                assert self.network.now <= limit or peer.agent.send_pair() is None
                # With renomination checks of other pairs go on; no data goes there.
                if not self.scenario.renomination:
                    assert peer.sent_at <= limit, "sent without consent"

        self.watch = silent
        more = 5 * CHECK_LASTS if self.scenario.renomination else 1.0
        assert self.run_until(self.both_failed, CONSENT_LASTS + more), self.describe()
        assert all(peer.lost_consent() for peer in self.peers)
        self.check_silence()
        self.watch = lambda: None
        self.network.is_cut = False
        self._restart_from_failure()

    def _run_quietly(self, seconds: float) -> None:
        """Let time pass; assert that nothing is sent but consent checks and their answers."""
        before = self.network.sent
        self.run_for(seconds)
        # RFC 7675 §5.1: at least 4 s apart; either agent's, each with an answer.
        most = 2 * 2 * len(self._components()) * (seconds / 4.0 + 1)
        if not self.scenario.renomination:  # with it other pairs are still checked
            assert self.network.sent - before <= most, "not quiet"

    def _settle_again(self) -> None:
        """Assert that they are, or that consent was lost in bad luck, and a restart helps."""
        either = self.run_until(lambda: self.settled() or self._any_failed(), CONNECT_WITHIN)
        assert either, f"neither connected nor failed: {self.describe()}"
        lost = any(peer.lost_consent() for peer in self.peers)
        assert not lost or self.network.link.loss, "consent did not last"
        if not self.settled():
            self._restart_from_failure()

    def _any_failed(self) -> bool:
        return any(peer.agent.state is AgentState.FAILED for peer in self.peers)

    def _all_failed(self) -> bool:
        return all(peer.agent.state is AgentState.FAILED for peer in self.peers)

    def _restart_from_failure(self) -> None:
        def both_alike() -> bool:
            # By renomination the controlling agent may find another pair after the peer gave up.
            return self._all_failed() or (self.scenario.renomination and self.settled())

        both = self.run_until(both_alike, 2 * CONSENT_LASTS + CHECK_LASTS)
        assert both, f"one has failed alone: {self.describe()}"
        if self._all_failed():
            self.restart()
            self.run_for(3 * self.scenario.signalling + self.scenario.gathering)
        assert self.run_until(self.settled, CONNECT_WITHIN), f"not back: {self.describe()}"
        self.check_data_flows()

    def describe(self) -> str:
        """Return where both are, for a failure's message."""
        lines = [repr(self.scenario), f"at {self.network.now - 1000.0:.3f}"]
        for peer in self.peers:
            agent = peer.agent
            lines.append(f"{agent.role.value} {agent.state.value}")
            lines += [
                f"  {pair.stream}/{pair.component} {pair.local.type.value} {pair.local.base} "
                f"-> {pair.remote.type.value} {pair.remote.address} {pair.state.value}"
                f"{' valid' * pair.is_valid}{' nominated' * pair.is_nominated}"
                f"{' selected' * pair.is_selected} sent {pair.requests_sent} "
                f"answered {pair.responses_received} got {pair.requests_received} "
                f"priority {pair.priority:x}"
                for pair in agent.pair_statistics()
            ]
        return "\n".join(lines)


@attrs.frozen
class Ended:
    """How a seed's run ended; `broken` says what did not hold, if anything."""

    seed: int
    outcome: str
    settled_after: float
    broken: str = ""


def run_seed(seed: int) -> Ended:
    """Run one seed; whatever breaks is told with it."""
    call = Call(seed)
    try:
        return Ended(seed, call.run(), call.connected_after)
    except Exception as error:
        return Ended(seed, "broken", 0.0, f"{type(error).__name__}: {error}")


def main() -> int:
    """Run the seeds that the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=1000, help="run seeds 0 to N - 1")
    parser.add_argument("--seed", type=int, help="run this one alone")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="processes")
    options = parser.parse_args()
    alone = options.seed is not None
    seeds = [options.seed] if alone else range(options.seeds)
    started = time.monotonic()
    ends = []
    with multiprocessing.Pool(1 if alone else options.jobs) as pool:
        for end in pool.imap(run_seed, seeds, chunksize=1 if alone else 50):
            ends.append(end)
            if end.broken:
                text = end.broken if alone else end.broken.partition("\n")[0][:200]
                print(f"seed {end.seed}: {text}", file=sys.stderr)  # noqa: T201
    outcomes = collections.Counter(end.outcome for end in ends)
    times = sorted(end.settled_after for end in ends if end.settled_after)
    print(  # noqa: T201
        f"{len(ends)} seeds in {time.monotonic() - started:.0f} s: {dict(outcomes)}; "
        f"{outcomes['broken']} broken; settled after (virtual s) "
        + (f"median {times[len(times) // 2]:.3f}, most {times[-1]:.3f}" if times else "-")
    )
    return 1 if outcomes["broken"] else 0


if __name__ == "__main__":
    sys.exit(main())

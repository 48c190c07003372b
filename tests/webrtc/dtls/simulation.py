"""Handshakes on bad links, by seed: `python -m tests.webrtc.dtls.simulation --seeds 10000`.

A seed decides the link, the MTUs and what is lost. `--seed N` replays one. What must hold is
asserted: both ends connect with each other's keys, no datagram is above the MTU, and no end
repeats its flights more often than the doubling of its timeout allows.
"""

from __future__ import annotations

import argparse
import random
import sys

from tests.webrtc.dtls.link import LinkConditions, SimulatedLink, make_pair, start
from webrtc.dtls import DtlsSettings, DtlsState

MTUS = (256, 300, 576, 1200, 1452)
MOST_RESENT = 24
"""Of one end within 30 s: 0.1 s doubled to 2 s is 18 times, and a few answers to repetitions."""


def run(seed: int, worst_loss: float = 0.3) -> SimulatedLink:
    """Run one handshake to its end, and check it."""
    dice = random.Random(seed)
    mtus = dice.choice(MTUS), dice.choice(MTUS)
    conditions = LinkConditions(
        loss=dice.uniform(0, worst_loss),
        duplication=dice.uniform(0, 0.3),
        delay=dice.uniform(0.001, 0.2),
        jitter=dice.uniform(0, 0.2),
    )
    settings = [DtlsSettings(mtu=mtu) for mtu in mtus]
    link = make_pair(*settings, seed=seed, conditions=conditions)
    start(link)
    link.run()
    assert link.states == (DtlsState.CONNECTED, DtlsState.CONNECTED), (seed, link.states)
    keys = [end.connected.srtp for end in link.ends]
    assert keys[0] is not None
    assert keys[1] is not None
    assert keys[0].sending == keys[1].receiving, seed
    assert keys[0].receiving == keys[1].sending, seed
    for end, mtu in zip(link.ends, mtus, strict=True):
        assert max(map(len, end.sent)) <= mtu, seed
        assert end.endpoint.statistics.flights_resent <= MOST_RESENT, seed
        assert end.endpoint.statistics.attempts == 1, seed
    return link


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int)
    parser.add_argument("--seeds", type=int, default=1000)
    arguments = parser.parse_args()
    only = arguments.seed
    took = [run(n).now for n in (range(arguments.seeds) if only is None else [only])]
    took.sort()
    sys.stdout.write(f"{len(took)} connected; median {took[len(took) // 2]:.2f} s, ")
    sys.stdout.write(f"longest {took[-1]:.2f} s of virtual time\n")

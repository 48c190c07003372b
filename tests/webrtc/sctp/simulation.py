"""Data channels of every kind on bad networks, by seed: `python -m tests.webrtc.sctp.simulation`.

A seed decides everything. Reliable channels must deliver all, once and in order (or unordered,
once); partially reliable ones nothing twice and nothing changed; and at the end no end holds
anything any more.
"""

from __future__ import annotations

import argparse
import random
import time

import attrs

from tests.webrtc.sctp.network import Link, channel_pair, start_both
from webrtc.sctp import (
    ChannelOpened,
    ChannelOptions,
    ChannelState,
    DataChannel,
    DataChannels,
    Settings,
)


@attrs.frozen
class Kind:
    """What a channel promises."""

    ordered: bool
    max_retransmits: int | None
    max_lifetime: float | None

    @property
    def reliable(self) -> bool:
        return self.max_retransmits is None and self.max_lifetime is None


@attrs.define(eq=False)
class Flow:
    """Messages one way over one channel."""

    kind: Kind
    sender: DataChannel
    messages: list[bytes]
    receiver: DataChannel | None = None
    sent: int = 0
    received: list[bytes] = attrs.Factory(list)


def draw_kind(rng: random.Random) -> Kind:
    limit = rng.choice([None, None, "count", "time"])
    return Kind(
        ordered=rng.random() < 0.6,
        max_retransmits=rng.choice([0, 0, 1, 3]) if limit == "count" else None,
        max_lifetime=rng.choice([0.0, 0.05, 0.5]) if limit == "time" else None,
    )


class Run:
    """One simulated call."""

    def __init__(self, seed: int) -> None:
        rng = self.rng = random.Random(seed)
        lossy = rng.random() < 0.7
        mtu = rng.choice([600, 1200, 1200, 1400])
        link = Link(
            loss=rng.random() ** 2 * 0.3 if lossy else 0.0,
            delay=rng.choice([0.0005, 0.02, 0.15]),
            jitter=rng.choice([0.0, 0.005, 0.05]),
            duplication=rng.choice([0.0, 0.0, 0.1]),
            corruption=rng.choice([0.0, 0.0, 0.02]),
            max_size=mtu,
            bytes_per_second=rng.choice([None, None, 200_000.0]),
            queue_bytes=rng.choice([20_000, 200_000]),
        )
        small_buffer = rng.random() < 0.3
        settings = [
            Settings(
                path_mtu=mtu,
                interleaving=rng.random() < 0.5,
                zero_checksum=rng.random() < 0.3 and not link.corruption,
                max_message_size=70_000,
                receive_buffer=70_000 if small_buffer else 2 << 20,
                max_retransmits=30,
                max_init_retransmits=30,
            )
            for _ in range(2)
        ]
        self.network, *self.ends = channel_pair(seed, link, *settings)
        start_both(self.network)
        self.flows = [self._open(rng.randrange(2)) for _ in range(rng.randint(1, 5))]

    def _open(self, side: int) -> Flow:
        rng = self.rng
        kind = draw_kind(rng)
        sizes = rng.choice([(1, 200), (1, 3000), (1000, 60_000)])
        count = rng.randint(1, 8 if sizes[1] > 3000 else 120)
        channel = self.ends[side].open(
            ChannelOptions(label=str(rng.random()), **attrs.asdict(kind))
        )
        messages = [
            index.to_bytes(4, "big") + rng.randbytes(rng.randint(*sizes)) for index in range(count)
        ]
        return Flow(kind, channel, messages)

    def run(self) -> None:
        self.network.run(self._is_done, within=900.0)
        for flow in self.flows:
            check(flow)
        self._close()

    def _is_done(self) -> bool:
        for events in self.network.events:
            for event in events:
                if isinstance(event, ChannelOpened) and event.by_peer:
                    self._accept(event.channel)
            events.clear()
        done = True
        for flow in self.flows:
            if flow.sender.state is ChannelState.OPEN:
                while flow.sent < len(flow.messages) and flow.sender.buffered_amount < 100_000:
                    flow.sender.send(flow.messages[flow.sent], self.network.now)
                    flow.sent += 1
            if flow.receiver is not None:
                while (message := flow.receiver.take_message()) is not None:
                    assert isinstance(message, bytes)
                    flow.received.append(message)
            sent = flow.sent == len(flow.messages) and not flow.sender.buffered_amount
            if flow.kind.reliable:
                sent = sent and len(flow.received) >= len(flow.messages)
            done = done and sent
        return done and all(is_quiet(end) for end in self.ends)

    def _accept(self, channel: DataChannel) -> None:
        flow = next(each for each in self.flows if each.sender.label == channel.label)
        options = flow.sender.options
        assert flow.receiver is None, "opened twice"
        assert attrs.evolve(options, id=channel.id) == channel.options
        flow.receiver = channel

    def _close(self) -> None:
        for flow in self.flows:
            self.rng.choice([flow.sender, flow.receiver or flow.sender]).close()
        self.network.run(
            lambda: (
                all(not end.channels for end in self.ends)
                and all(is_quiet(end) for end in self.ends)
            ),
            within=600.0,
        )
        for end in self.ends:
            tcb = end.association._control.tcb
            assert tcb is not None
            assert tcb.inbound.held == 0
            assert not tcb.inbound.reassembly._next
            assert not end.association.queue._streams
            assert not end.association.queue.buffered


def is_quiet(end: DataChannels) -> bool:
    tcb = end.association._control.tcb
    return tcb is not None and tcb.outbound.outstanding.is_empty


def check(flow: Flow) -> None:
    if flow.kind.reliable:
        received = flow.received if flow.kind.ordered else sorted(flow.received)
        assert received == flow.messages
        return
    numbers = [int.from_bytes(message[:4], "big") for message in flow.received]
    assert len(set(numbers)) == len(numbers), "delivered twice"
    if flow.kind.ordered:
        assert numbers == sorted(numbers), "out of order"
    for number, message in zip(numbers, flow.received, strict=True):
        assert message == flow.messages[number]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int)
    parser.add_argument("--seeds", type=int, default=100)
    arguments = parser.parse_args()
    seeds = range(arguments.seeds) if arguments.seed is None else [arguments.seed]
    began = time.monotonic()
    for seed in seeds:
        try:
            Run(seed).run()
        except BaseException:
            print(f"seed {seed} failed")  # noqa: T201
            raise
    print(f"{len(seeds)} seeds in {time.monotonic() - began:.1f} s")  # noqa: T201


if __name__ == "__main__":
    main()

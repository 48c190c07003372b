"""Two peers that negotiate perfectly while both change whatever they like, by seed.

``python -m tests.webrtc.peer.any_order --seeds 500`` runs longer. A seed gives the same changes;
what crosses what depends on the machine too.
"""

from __future__ import annotations

import argparse
import random

import trio

from tests.webrtc.peer.media import tone
from tests.webrtc.peer.peers import negotiating_peers
from webrtc import DataChannel, Direction, PeerConnection, SignalingState

TIMEOUT = 60.0
"""Seconds; only failures take as long."""
MOST_CHANGES = 25
CHANGES = (
    "track",
    "transceiver",
    "stop",
    "direction",
    "codecs",
    "open",
    "close",
    "restart",
    "wait",
)


class Changes:
    """What one seed does to two peers.

    Args:
        seed: of everything that is drawn.
        peers: two that negotiate by themselves.

    """

    def __init__(self, seed: int, peers: tuple[PeerConnection, PeerConnection]) -> None:
        self._random = random.Random(seed)
        self._peers = peers
        self._made: list[tuple[PeerConnection, DataChannel]] = []
        self._incoming: dict[tuple[PeerConnection, str], DataChannel] = {}

    async def take_channels(self, peer: PeerConnection) -> None:
        """Note the channels that a peer is opened."""
        async for channel in peer.data_channels():
            self._incoming[peer, channel.label] = channel

    async def run(self) -> None:
        """Change this and that."""
        for number in range(self._random.randrange(5, MOST_CHANGES)):
            await self._change(self._random.choice(self._peers), number)

    async def _change(self, peer: PeerConnection, number: int) -> None:
        draw = self._random
        change = draw.choice(CHANGES)
        live = [each for each in peer.transceivers if not each.is_stopped]
        transceiver = draw.choice(live) if live else None
        if change == "track":
            peer.add_track("audio", tone(440.0), [f"stream{draw.randrange(2)}"])
        elif change == "transceiver":
            direction = draw.choice(list(Direction))
            peer.add_transceiver(draw.choice(("audio", "video")), direction=direction)
        elif change == "stop" and transceiver is not None:
            transceiver.stop()
        elif change == "direction" and transceiver is not None:
            transceiver.direction = draw.choice(list(Direction))
        elif change == "codecs" and transceiver is not None:
            few = [each for each in transceiver.codecs if each.name in ("opus", "VP9", "rtx")]
            transceiver.set_codec_preferences(draw.choice([few, []]))
        elif change == "open":
            self._made.append((peer, peer.create_data_channel(str(number))))
        elif change == "close" and self._made:
            self._made.pop(draw.randrange(len(self._made)))[1].close()
        elif change == "restart":
            peer.restart_ice()
        elif change == "wait":
            await trio.sleep(draw.random() * 0.2)

    async def settle(self) -> None:
        """Return once nothing is left to be negotiated, and both ends are of one mind."""
        one, two = self._peers
        await self._pass_a_message(one, one.create_data_channel("last"))
        while not self._is_settled():
            await trio.sleep(0.01)
        for channel in self._made:
            await self._pass_a_message(*channel)
        await one.connected()
        await two.connected()
        for peer in self._peers:
            peer.get_stats()
            assert all(not each.counters.faults for each in peer._transports.values())

    def _is_settled(self) -> bool:
        for peer in self._peers:
            if (
                peer.signaling_state is not SignalingState.STABLE
                or peer._jsep.is_negotiation_needed
            ):
                return False
        # What is on its way between them is in neither.
        one, two = ({each.mid: each for each in peer.transceivers} for peer in self._peers)
        if one.keys() != two.keys():
            return False
        ours = {mid: each.current_direction for mid, each in one.items()}
        theirs = {mid: each.current_direction for mid, each in two.items()}
        return all(
            direction is not None
            and (other := theirs[mid]) is not None
            and direction is other.reversed
            for mid, direction in ours.items()
        )

    async def _pass_a_message(self, peer: PeerConnection, channel: DataChannel) -> None:
        one, two = self._peers
        key = (two if peer is one else one), channel.label
        await channel.send("hello")
        while key not in self._incoming:
            await trio.sleep(0.01)
        assert await self._incoming[key].receive() == "hello"


async def run_seed(seed: int) -> None:
    """Run one seed; raise what goes wrong."""
    with trio.fail_after(TIMEOUT):
        async with negotiating_peers() as peers, trio.open_nursery() as nursery:
            changes = Changes(seed, peers)
            for peer in peers:
                nursery.start_soon(changes.take_channels, peer)
            await changes.run()
            await changes.settle()
            nursery.cancel_scope.cancel()


def main() -> None:
    """Run many seeds from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=100)
    parser.add_argument("--first", type=int, default=0)
    options = parser.parse_args()
    for seed in range(options.first, options.first + options.seeds):
        try:
            trio.run(run_seed, seed)
        except BaseException:
            print(f"seed {seed}")  # noqa: T201 - a command
            raise
    print(f"{options.seeds} seeds")  # noqa: T201 - a command


if __name__ == "__main__":
    main()

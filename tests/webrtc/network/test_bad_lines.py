"""Calls of ours over lines that lose, delay, jitter and reorder.

`--log-cli-level=INFO` shows the frames per second and the freezes.
"""

from __future__ import annotations

import logging

import trio

from tests.natlab import Impairment
from tests.webrtc.network.calls import LEFT, RIGHT, call, two_hosts, two_peers
from tests.webrtc.network.viewing import Viewer
from tests.webrtc.peer.media import FRAME_RATE, pictures
from webrtc import ConnectionState, DataChannel

_log = logging.getLogger(__name__)
SECONDS = 6.0
"""Of video that is looked at, at least."""
PATIENCE = 60.0
"""Seconds; it takes ten, and longer only where the machine has no time for it."""
MESSAGES = 400
MESSAGE_SIZE = 400
MAX_FREEZES = 6
MAX_FREEZE = 1.0
"""Seconds. A packet sent again comes 200 ms later at best, or 500 ms, if it is lost once more."""


def bad_line(seed: int) -> Impairment:
    return Impairment(
        delay=0.1, jitter=0.03, loss=0.05, reordering=0.03, reordering_delay=0.02, seed=seed
    )


def message(number: int) -> bytes:
    return number.to_bytes(4) * (MESSAGE_SIZE // 4)


async def send_all(channel: DataChannel) -> None:
    for number in range(MESSAGES):
        await channel.send(message(number))


async def test_a_call_over_a_line_with_everything_wrong_goes_on() -> None:
    viewer = Viewer()
    with two_hosts() as net:
        for seed, host in enumerate((LEFT, RIGHT)):
            net.impair(host, up=bad_line(seed), down=None)
        async with two_peers() as peers, trio.open_nursery() as nursery:
            peers.left.add_transceiver("video", direction="recvonly")
            peers.right.add_track("video", pictures())
            channel = peers.left.create_data_channel("numbers")
            await call(net, peers)
            with trio.fail_after(PATIENCE):
                track = await anext(peers.left.tracks())
                nursery.start_soon(viewer.watch, track.receiver)
                far = await anext(peers.right.data_channels())
                nursery.start_soon(send_all, channel)
                received = [await far.receive() for _ in range(MESSAGES)]
                while not viewer.times or trio.current_time() < viewer.times[0] + SECONDS:
                    await trio.sleep(0.1)
            states = peers.left.connection_state, peers.right.connection_state
            report = next(iter(track.receiver.statistics().values()))
            nursery.cancel_scope.cancel()
    assert received == [message(number) for number in range(MESSAGES)]
    assert states == (ConnectionState.CONNECTED,) * 2
    # The line did what it should, and repair undid most of it.
    assert report.nack_count > 0
    assert report.key_frames_received > 0
    _log.info("loss, delay, jitter, reordering: %s; %s", viewer, report)
    assert viewer.counters == sorted(set(viewer.counters))
    assert viewer.frames_per_second >= 0.8 * FRAME_RATE
    assert len(viewer.freezes) <= MAX_FREEZES
    assert max(viewer.freezes, default=0.0) < MAX_FREEZE

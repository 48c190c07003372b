"""An SCTP association under packets whose tags and checksums are right and the rest is not."""

from __future__ import annotations

import random

from tests.fuzz.mutate import mutate
from tests.webrtc.sctp.network import Link, connected
from webrtc.sctp import ChannelOptions, Settings
from webrtc.sctp.packet import COMMON_HEADER_SIZE, PacketWriter

_PACKETS = 40


def sctp(generator: random.Random) -> None:
    """Let two ends talk, then hand one of them mutations of what was said."""
    settings = Settings(
        zero_checksum=generator.random() < 0.5, interleaving=generator.random() < 0.5
    )
    network, first, second = connected(generator.getrandbits(32), Link(loss=0.05), settings)
    for ordered in (True, False):
        channel = first.open(
            ChannelOptions(ordered=ordered, max_retransmits=generator.choice([None, 0]))
        )
        for _ in range(5):
            channel.send(generator.randbytes(generator.randrange(4000)), network.now)
        if ordered:
            channel.close()
    network.run_for(generator.random())
    seeds = [packet[COMMON_HEADER_SIZE:] for _, packet in network.sent]
    victim = second.association
    writer = PacketWriter(settings.remote_port, settings.local_port, victim._control.opening.tag)
    for _ in range(_PACKETS):
        second.receive(writer.write(mutate(generator, seeds)), network.now)
        network.now += generator.choice([0.0, 0.001, 0.3])
        second.on_deadline(network.now)
        assert sum(map(len, second.take_datagrams(network.now))) < 1 << 20
        second.take_events()
        tcb = victim._control.tcb
        assert tcb is None or tcb.inbound.held <= 2 * settings.receive_buffer + settings.path_mtu

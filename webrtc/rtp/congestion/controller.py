"""The sender's controller: transport-wide feedback in, target bit rate out (GCC §3)."""

from __future__ import annotations

from collections import OrderedDict

import msgspec

from webrtc.rtp.congestion.inter_arrival import InterArrival
from webrtc.rtp.congestion.loss_control import LossControl
from webrtc.rtp.congestion.probe_schedule import ProbeSchedule
from webrtc.rtp.congestion.probing import ProbeCluster, ProbeEstimator
from webrtc.rtp.congestion.rate_control import RateControl
from webrtc.rtp.congestion.throughput import ThroughputEstimator
from webrtc.rtp.congestion.trendline import BandwidthUsage, TrendlineEstimator
from webrtc.rtp.rtcp import TransportFeedback
from webrtc.rtp.rtcp.transport_feedback import REFERENCE_TICKS, TICK
from webrtc.rtp.sequence import Unwrapper

START_BPS = 300_000
MIN_BPS = 30_000
MAX_BPS = 20_000_000
MAX_IN_FLIGHT = 8192
"""Sent packets that wait for feedback."""
FEEDBACK_TIMEOUT = 1.5
"""Seconds without feedback while packets are in flight, then the rate falls."""
UNUSED_FACTOR = 3.0
"""Times what is sent: who says nothing of what there is a use for has enough with so much."""
MAX_JITTER = 0.1
"""Seconds: more is a clock that was set, or a path that stood still."""
CALM_LOSS = 0.1
"""Share lost above which no probe asks for more (GCC §6 lowers the rate there)."""


class _Sent(msgspec.Struct, gc=False):
    sent_at: float
    size_bytes: int
    cluster: int | None


class CongestionController:
    """Of one transport.

    Attributes:
        target_bps: what all streams together may send.
        round_trip_time: smoothed, in seconds; from feedback, so it holds the feedback's delay.
        loss: the fraction lost, 0 to 1.
        usage: what the delay says.

    """

    def __init__(
        self, start_bps: float = START_BPS, min_bps: float = MIN_BPS, max_bps: float = MAX_BPS
    ) -> None:
        self.target_bps = start_bps
        self.round_trip_time = 0.2
        self._min_bps = min_bps
        self._max_bps = max_bps
        self._remote_limit_bps: float | None = None
        self._rate = RateControl(start_bps, min_bps, max_bps)
        self._loss = LossControl(start_bps, min_bps, max_bps)
        self._throughput = ThroughputEstimator()
        self._inter_arrival = InterArrival()
        self._trend = TrendlineEstimator()
        self._probes = ProbeEstimator()
        self._schedule = ProbeSchedule(start_bps, max_bps)
        self._transit: float | None = None
        self._sent: OrderedDict[int, _Sent] = OrderedDict()
        self._unwrapper = Unwrapper()
        self._reference = Unwrapper(24)
        self._next_number = 0
        self._missing: list[int] = []
        self._reported_end = 0
        self._sent_at = 0.0
        self._feedback_at: float | None = None

    @property
    def loss(self) -> float:
        """The fraction lost."""
        return self._loss.loss

    @property
    def usage(self) -> BandwidthUsage:
        """What the delay says of the path."""
        return self._trend.usage

    @property
    def throughput_bps(self) -> float | None:
        """What arrives, as the far end acknowledges it."""
        return self._throughput.bitrate_bps

    def send(self, size_bytes: int, now: float, cluster: int | None = None) -> int:
        """Note a packet that leaves now. Runs per packet.

        Args:
            size_bytes: on the wire.
            now: monotonic seconds.
            cluster: the probe that it belongs to.

        Returns:
            Its transport-wide sequence number.

        """
        number = self._next_number
        self._next_number = number + 1
        self._unwrapper.highest = number
        if number == self._reported_end and self._feedback_at is not None:
            self._feedback_at = now  # nothing was in flight: the wait for feedback begins
        self._sent_at = now
        self._sent[number] = _Sent(now, size_bytes, cluster)
        if len(self._sent) > MAX_IN_FLIGHT:
            self._sent.popitem(last=False)
        return number & 0xFFFF

    def receive_feedback(self, feedback: TransportFeedback, now: float) -> float:
        """Take feedback; return the target bit rate.

        What it reports of packets that were never sent, or were reported before, is left out.
        """
        base = self._unwrapper.peek(feedback.base_sequence_number)
        # 24 signed bits that wrap after 12 days, and messages that may be reordered.
        reference = self._reference.unwrap(feedback.reference_time & 0xFFFFFF)
        offset = (reference - feedback.reference_time) * REFERENCE_TICKS
        arrivals = []
        for place, ticks in feedback.arrivals():
            sent = self._sent.pop(base + place, None)
            if sent is not None:
                arrivals.append(((ticks + offset) * TICK, sent))
        # Missing in one message may be late, and in the next: only what was missing before and
        # still is counts as lost.
        lost = sum(self._sent.pop(number, None) is not None for number in self._missing)
        end = min(base + feedback.packet_count, self._next_number)
        first = max(base, next(iter(self._sent), end))
        self._missing = [number for number in range(first, end) if number in self._sent]
        self._reported_end = max(self._reported_end, end)
        if not arrivals and not lost:
            return self.target_bps
        self._feedback_at = now
        arrivals.sort(key=lambda entry: entry[0])
        if arrivals:
            self._learn(arrivals, now)
        before = self._loss.bitrate_bps
        self._loss.receive(
            lost,
            len(arrivals) + lost,
            self._rate.bitrate_bps,
            self.round_trip_time,
            now,
            self._throughput.bitrate_bps,
        )
        if self._loss.bitrate_bps < before:
            self._schedule.fall(before, self._loss.bitrate_bps, now)
        self._retarget()
        self._look_for_more(now)
        return self.target_bps

    def _learn(self, arrivals: list[tuple[float, _Sent]], now: float) -> None:
        sample = now - max(sent.sent_at for _, sent in arrivals)
        self.round_trip_time += 0.125 * (sample - self.round_trip_time)
        self._rate.round_trip_time = self.round_trip_time
        overused = False
        probed = None
        for arrival, sent in arrivals:
            self._note_jitter(arrival - sent.sent_at)
            self._throughput.add(arrival, sent.size_bytes)
            if sent.cluster is not None:
                found = self._probes.add(sent.cluster, sent.sent_at, arrival, sent.size_bytes)
                probed = found if found is not None else probed
            deltas = self._inter_arrival.add(sent.sent_at, arrival)
            if deltas is not None:
                usage = self._trend.add(*deltas, arrival)
                overused = overused or usage is BandwidthUsage.OVERUSING
        throughput = self._throughput.bitrate_bps
        if overused:
            if self._rate.may_decrease(now, throughput):
                before = self._rate.bitrate_bps
                self._rate.update(BandwidthUsage.OVERUSING, throughput, now)
                self._schedule.fall(before, self._rate.bitrate_bps, now)
            return
        if probed is not None:
            self._take_probe(probed, now)
        else:
            self._rate.update(self._trend.usage, throughput, now)

    def _note_jitter(self, transit: float) -> None:
        """Take a packet's way, from any origin (RFC 3550 §6.4.1). Runs per packet."""
        before, self._transit = self._transit, transit
        if before is not None:
            change = abs(transit - before)
            schedule = self._schedule
            schedule.jitter += (min(change, MAX_JITTER) - schedule.jitter) / 16

    def _take_probe(self, probed_bps: float, now: float) -> None:
        # What loss by chance held back is free as well: the probe has arrived.
        self._schedule.find(probed_bps, min(self._rate.bitrate_bps, self._loss.bitrate_bps), now)
        if probed_bps > self._rate.bitrate_bps:
            self._rate.set_bitrate(probed_bps, now)
        if self.loss <= CALM_LOSS:
            self._loss.raise_to(min(probed_bps, self._rate.bitrate_bps))

    def want(self, bitrate_bps: float | None) -> None:
        """Say what there is a use for: nothing above is probed for; None if that is not known."""
        self._schedule.wanted_bps = bitrate_bps

    def take_probes(self) -> list[ProbeCluster]:
        """Return bursts to send."""
        clusters = self._schedule.take()
        for cluster in clusters:
            self._probes.begin(cluster)
        return clusters

    def _look_for_more(self, now: float) -> None:
        limit, throughput = self._remote_limit_bps, self._throughput.bitrate_bps
        if self._trend.usage is not BandwidthUsage.NORMAL or self.loss > CALM_LOSS:
            return
        if limit is not None and limit <= self.target_bps:
            return
        if self._schedule.wanted_bps is None and throughput is not None:
            limit = UNUSED_FACTOR * throughput
        if limit is None or limit > self.target_bps:
            self._schedule.look(self.target_bps, now)

    def receive_loss(self, fraction_lost: float, packets: int, now: float) -> float:
        """Take a receiver report's loss, where the peer sends no transport-wide feedback."""
        self._loss.receive(
            round(fraction_lost * packets), packets, self._max_bps, self.round_trip_time, now
        )
        self._rate.set_bitrate(self._max_bps, now)
        return self._retarget()

    def receive_remb(self, bitrate_bps: float) -> float:
        """Take the receiver's own estimate as a limit."""
        self._remote_limit_bps = bitrate_bps
        return self._retarget()

    def next_deadline(self) -> float | None:
        """Return when missing feedback is to be acted on.

        Not before the first: a peer that never sends any has its reports taken instead.
        """
        if self._feedback_at is None or self._next_number == self._reported_end:
            return None
        if self._sent_at < self._feedback_at:
            return None  # the last packets were lost, and nothing was sent since
        return self._feedback_at + FEEDBACK_TIMEOUT

    def on_deadline(self, now: float) -> float:
        """Lower the rate if packets are in flight and no feedback came; return the target."""
        deadline = self.next_deadline()
        if deadline is not None and now >= deadline:
            self._feedback_at = now
            before = self._rate.bitrate_bps
            self._rate.set_bitrate(before / 2, now)
            self._schedule.fall(before, self._rate.bitrate_bps, now)
            self._loss.bitrate_bps = min(self._loss.bitrate_bps, self._rate.bitrate_bps)
        return self._retarget()

    def _retarget(self) -> float:
        target = min(self._rate.bitrate_bps, self._loss.bitrate_bps)
        if self._remote_limit_bps is not None:
            target = min(target, self._remote_limit_bps)
        self.target_bps = min(max(target, self._min_bps), self._max_bps)
        return self.target_bps

"""Handshakes over bad links, by seed, in virtual time."""

import pytest

from tests.webrtc.dtls.link import LinkConditions, make_pair, start
from tests.webrtc.dtls.simulation import MOST_RESENT, run
from webrtc.dtls import DtlsState

CONNECTED = (DtlsState.CONNECTED, DtlsState.CONNECTED)


@pytest.mark.parametrize("seed", range(100))
def test_every_seed_connects_over_a_lossy_reordering_duplicating_link(seed: int) -> None:
    run(seed)


@pytest.mark.parametrize("lost", range(4))
def test_loss_of_any_one_datagram_costs_less_than_half_a_second(lost: int) -> None:
    link = make_pair(conditions=LinkConditions(lost=frozenset({lost})))
    start(link)
    link.run(until=0.5)
    assert link.states == CONNECTED


def test_flight_is_repeated_after_twice_the_time_each_time_to_a_limit() -> None:
    link = make_pair(conditions=LinkConditions(loss=1.0))
    client = link.ends[0].endpoint
    start(link)
    deadlines: list[float] = []
    while client.state is DtlsState.CONNECTING and len(deadlines) < 100:
        before = client.statistics.flights_resent
        now = client.next_deadline()
        assert now is not None
        client.on_deadline(now)
        if client.statistics.flights_resent > before:
            deadlines.append(now)
    assert deadlines[:6] == pytest.approx([0.1, 0.3, 0.7, 1.5, 3.1, 5.1])
    assert len(deadlines) <= MOST_RESENT
    assert client.state is DtlsState.FAILED


def test_nothing_is_repeated_on_a_quick_clean_link() -> None:
    link = make_pair()
    start(link)
    link.run()
    assert link.states == CONNECTED
    assert link.now < 0.1
    assert [end.endpoint.statistics.flights_resent for end in link.ends] == [0, 0]
    assert [end.endpoint.next_deadline() for end in link.ends] == [None, None]

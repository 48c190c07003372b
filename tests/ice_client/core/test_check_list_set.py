from collections import Counter

import pytest

from ice_client.core import Candidate, CandidateType, PairState, Role, Transport
from ice_client.core.check_list_set import CheckListSet
from ice_client.core.pair import CandidatePair, pair_priority
from ice_client.core.pairing import can_pair
from stun import Address

FROZEN, WAITING = PairState.FROZEN, PairState.WAITING


def candidate(
    text: str = "192.0.2.1",
    *,
    port: int = 5000,
    foundation: str = "1",
    component: int = 1,
    priority: int = 100,
    transport: Transport = Transport.UDP,
    base: str | None = None,
) -> Candidate:
    address = Address.parse(text, port)
    return Candidate(
        foundation=foundation,
        component=component,
        transport=transport,
        priority=priority,
        address=address,
        type=CandidateType.SERVER_REFLEXIVE if base else CandidateType.HOST,
        base_address=Address.parse(base, port) if base else address,
    )


def add(lists: CheckListSet, local: Candidate, remote: Candidate, stream: int = 0) -> CandidatePair:
    pair = lists.add(stream, local, remote, Role.CONTROLLING)
    assert pair is not None
    return pair


@pytest.mark.parametrize(
    ("controlling", "controlled", "value"),
    [
        # RFC 8445 §6.1.2.3: 2^32 * MIN(G,D) + 2 * MAX(G,D) + (G > D ? 1 : 0)
        (1, 1, (1 << 32) + 2),
        (2, 1, (1 << 32) + 4 + 1),
        (1, 2, (1 << 32) + 4),
        (2130706431, 1694498815, 1694498815 * 2**32 + 2 * 2130706431 + 1),
        (1694498815, 2130706431, 1694498815 * 2**32 + 2 * 2130706431),
    ],
)
def test_pair_priority_is_as_rfc_8445_6_1_2_3_computes_it(
    controlling: int, controlled: int, value: int
) -> None:
    assert pair_priority(controlling, controlled) == value


def test_both_agents_order_pairs_alike() -> None:
    ours = [candidate(priority=5), candidate(priority=9)]
    theirs = [candidate(priority=9), candidate(priority=7), candidate(priority=5)]
    for one in ours:
        for other in theirs:
            at_us = CandidatePair(stream=0, component=1, local=one, remote=other)
            at_us.compute_priority(Role.CONTROLLING)
            at_them = CandidatePair(stream=0, component=1, local=other, remote=one)
            at_them.compute_priority(Role.CONTROLLED)
            assert at_us.priority == at_them.priority


@pytest.mark.parametrize(
    ("local", "remote", "pairs"),
    [
        (candidate(), candidate("198.51.100.1"), True),
        (candidate(), candidate("2001:db8::1"), False),
        (candidate("2001:db8::2"), candidate("2001:db8::1"), True),
        (candidate("fe80::2"), candidate("fe80::1"), True),
        (candidate("fe80::2"), candidate("2001:db8::1"), False),
        (candidate("2001:db8::2"), candidate("fe80::1"), False),
        (candidate(component=2), candidate("198.51.100.1"), False),
        (candidate(), candidate("198.51.100.1", port=0), False),
        (candidate(), candidate("0.0.0.0"), False),
        (candidate(), candidate("224.0.0.1"), False),
        (candidate("2001:db8::2"), candidate("ff02::1"), False),
        *(
            (candidate(transport=ours), candidate("198.51.100.1", transport=theirs), pairs)
            for ours, theirs, pairs in [
                (Transport.TCP_ACTIVE, Transport.TCP_PASSIVE, True),
                (Transport.TCP_PASSIVE, Transport.TCP_ACTIVE, False),
                (Transport.TCP_SO, Transport.TCP_SO, True),
                (Transport.TCP_ACTIVE, Transport.TCP_ACTIVE, False),
                (Transport.TCP_ACTIVE, Transport.UDP, False),
                (Transport.UDP, Transport.TCP_PASSIVE, False),
            ]
        ),
    ],
)
def test_only_what_may_work_is_paired(local: Candidate, remote: Candidate, pairs: bool) -> None:
    assert can_pair(local, remote) is pairs


@pytest.mark.parametrize("host_first", [True, False])
def test_of_two_pairs_of_one_base_the_better_stays(host_first: bool) -> None:
    lists = CheckListSet(1, 100)
    local = [
        candidate("10.0.0.1", priority=126),
        candidate("203.0.113.1", priority=100, base="10.0.0.1"),
    ]
    for one in local if host_first else local[::-1]:
        lists.add(0, one, candidate("198.51.100.1"), Role.CONTROLLING)
    assert [pair.local for pair in lists] == [local[0]]


def test_limit_takes_the_lowest_priorities_from_the_longest_list() -> None:
    lists = CheckListSet(2, 6)
    for stream, count in enumerate((8, 2)):
        for number in range(count):
            lists.add(
                stream,
                candidate(f"10.0.{stream}.1"),
                candidate(port=7000 + number, priority=number + 1),
                Role.CONTROLLING,
            )
    assert Counter(pair.stream for pair in lists) == {0: 4, 1: 2}
    assert [pair.remote.priority for pair in lists.lists[0].pairs] == [8, 7, 6, 5]
    assert lists.add(0, candidate("10.0.0.1"), candidate(port=9), Role.CONTROLLING) is not None
    assert (
        lists.add(
            0, candidate("10.0.0.1", priority=1), candidate(port=8, priority=1), Role.CONTROLLING
        )
        is None
    )


def test_limit_spares_what_is_valid_or_under_way() -> None:
    lists = CheckListSet(1, 2)
    low = add(lists, candidate("10.0.0.1"), candidate(port=1, priority=1))
    low.valid_local = low.local
    under_way = add(lists, candidate("10.0.0.1"), candidate(port=2, priority=2))
    under_way.state = PairState.IN_PROGRESS
    assert lists.add(0, candidate("10.0.0.1"), candidate(port=3), Role.CONTROLLING) is None
    assert list(lists) == [under_way, low]


def test_one_pair_of_each_foundation_starts_waiting() -> None:
    # RFC 8445 §6.1.2.6: lowest component, then highest priority, of the first list.
    lists = CheckListSet(2, 100)
    second_component = add(
        lists, candidate("10.0.0.1", component=2), candidate(component=2, priority=900)
    )
    low = add(lists, candidate("10.0.0.2"), candidate(priority=50))
    high = add(lists, candidate("10.0.0.3"), candidate(priority=60))
    other_foundation = add(lists, candidate("10.0.0.4", foundation="2"), candidate())
    second_stream = add(lists, candidate("10.0.0.5"), candidate(priority=999), stream=1)
    lists.unfreeze_new()
    assert high.state is WAITING
    assert other_foundation.state is WAITING
    assert {low.state, second_component.state, second_stream.state} == {FROZEN}


def test_a_trickled_pair_that_is_first_of_its_foundation_waits_for_no_other() -> None:
    # RFC 8838 §12, rule 1
    lists = CheckListSet(1, 100)
    add(lists, candidate("10.0.0.1", component=2), candidate(component=2))
    lists.unfreeze_new()
    first = add(lists, candidate("10.0.0.2"), candidate())
    later = add(lists, candidate("10.0.0.3", component=2), candidate(component=2, port=9))
    lists.unfreeze_new()
    assert first.state is WAITING
    assert later.state is FROZEN


def test_a_trickled_pair_of_a_foundation_that_succeeded_is_waiting() -> None:
    # RFC 8838 §12, rule 2
    lists = CheckListSet(1, 100)
    add(lists, candidate("10.0.0.1"), candidate()).state = PairState.SUCCEEDED
    later = add(lists, candidate("10.0.0.2"), candidate())
    lists.unfreeze_new()
    assert later.state is WAITING


def test_success_unfreezes_the_foundation_in_every_list() -> None:
    # RFC 8445 §7.2.5.3.3
    lists = CheckListSet(2, 100)
    add(lists, candidate("10.0.0.1"), candidate())
    same = add(lists, candidate("10.0.0.5"), candidate(), stream=1)
    other = add(lists, candidate("10.0.0.6", foundation="2"), candidate(), stream=1)
    lists.unfreeze_foundation(same.foundation)
    assert (same.state, other.state) == (WAITING, FROZEN)


def test_checks_go_by_priority_and_lists_take_turns() -> None:
    # RFC 8445 §6.1.4.2
    lists = CheckListSet(2, 100)
    expected = []
    for stream in range(2):
        for number in range(2):
            pair = add(
                lists,
                candidate(f"10.0.{stream}.{number}", foundation=f"{stream}{number}"),
                candidate(priority=number + 1),
                stream,
            )
            expected.append(pair)
    lists.unfreeze_new()
    order = []
    for _ in range(4):
        assert lists.has_ordinary
        chosen = lists.next_ordinary()
        assert chosen is not None
        chosen.state = PairState.IN_PROGRESS
        order.append(chosen)
    assert order == [expected[1], expected[3], expected[0], expected[2]]
    assert not lists.has_ordinary
    assert lists.next_ordinary() is None


@pytest.mark.parametrize(
    ("state", "requests", "goes_on"),
    [
        (PairState.IN_PROGRESS, 1, False),
        (PairState.IN_PROGRESS, 4, True),
        (PairState.FAILED, 7, True),
    ],
)
def test_a_frozen_pair_waits_while_a_check_of_its_foundation_may_succeed(
    state: PairState, requests: int, goes_on: bool
) -> None:
    # RFC 8445 §6.1.4.2 step 2
    lists = CheckListSet(1, 100)
    first = add(lists, candidate("10.0.0.1"), candidate())
    second = add(lists, candidate("10.0.0.2"), candidate(priority=1))
    lists.unfreeze_new()
    first.state, first.requests_sent = state, requests
    assert lists.has_ordinary is goes_on
    assert lists.next_ordinary() is (second if goes_on else None)


def test_triggered_queue_is_first_in_first_out_and_holds_a_pair_once() -> None:
    lists = CheckListSet(1, 100)
    one = add(lists, candidate("10.0.0.1"), candidate())
    two = add(lists, candidate("10.0.0.2"), candidate(priority=900))
    three = add(lists, candidate("10.0.0.3"), candidate(priority=901))
    for pair in (one, two, one, three):
        lists.trigger(pair)
    lists.remove(three)
    assert [lists.next_triggered() for _ in range(3)] == [one, two, None]


def test_role_change_reorders_the_list() -> None:
    lists = CheckListSet(1, 100)
    add(lists, candidate("10.0.0.1", priority=10), candidate(priority=20, port=1))
    add(lists, candidate("10.0.0.2", priority=20), candidate(priority=10, port=2))
    before = [pair.remote.address.port for pair in lists]
    lists.compute_priorities(Role.CONTROLLED)
    assert [pair.remote.address.port for pair in lists] == before[::-1]

"""Deadlines, ports, the reply cache, nonces, rate limit: the core's small data structures."""

import itertools
import random
from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from stun import Address
from stun.credentials import SecurityFeature
from tests.turnd.core.kit import CLIENT, SERVER
from turnd.core.deadlines import Deadlines
from turnd.core.five_tuple import FiveTuple, Transport
from turnd.core.nonce import NonceMaker
from turnd.core.port_pool import PortPool
from turnd.core.rate_limit import PrefixRateLimit
from turnd.core.reply_cache import ReplyCache

FIVE_TUPLE = FiveTuple(Transport.UDP, CLIENT, SERVER)
keys = st.integers(0, 5)
times = st.floats(0, 100)
steps = st.lists(
    st.tuples(st.just("set"), keys, times)
    | st.tuples(st.just("discard"), keys, st.just(0.0))
    | st.tuples(st.just("pop"), st.just(0), times),
    max_size=60,
)


@given(steps)
def test_deadlines_agree_with_a_plain_dictionary(
    operations: list[tuple[str, int, float]],
) -> None:
    deadlines = Deadlines[int]()
    model: dict[int, float] = {}
    now = 0.0
    for operation, key, time in operations:
        if operation == "set":
            deadlines.set(key, time)
            model[key] = time
        elif operation == "discard":
            deadlines.discard(key)
            model.pop(key, None)
        else:
            now = max(now, time)
            due = deadlines.pop_due(now)
            expected = [k for k, when in model.items() if when <= now]
            assert sorted(due) == sorted(expected)
            assert [model[k] for k in due] == sorted(model[k] for k in due)
            for each in due:
                del model[each]
        earliest = deadlines.next()
        assert len(deadlines) == len(model)
        if model:
            assert earliest is not None
            assert earliest <= min(model.values())


def test_refreshing_a_deadline_does_not_grow_the_heap() -> None:
    deadlines = Deadlines[str]()
    for second in range(10_000):
        deadlines.set("key", 600.0 + second)
    assert len(deadlines._heap) == 1
    for number in range(10_000):
        deadlines.set(str(number), 700.0)
        deadlines.discard(str(number))
    assert len(deadlines._heap) < 200


@given(
    st.integers(0, 2**32), st.lists(st.sampled_from(["take", "even", "pair", "back"]), max_size=80)
)
def test_port_pool_never_gives_a_port_twice(seed: int, operations: list[str]) -> None:
    generator = random.Random(seed)
    pool = PortPool(50001, 50020, generator.randrange)
    taken: set[int] = set()
    for operation in operations:
        if operation == "back" and taken:
            port = generator.choice(sorted(taken))
            taken.discard(port)
            pool.give_back(port)
            pool.give_back(port)  # twice does no harm
        elif operation == "take":
            single = pool.take()
            assert (single is None) == (len(taken) == 20)
            if single is not None:
                assert single not in taken
                taken.add(single)
        elif operation in {"even", "pair"}:
            with_next = operation == "pair"
            even = pool.take_even(with_next=with_next)
            ports = {even, even + 1} if even and with_next else {even} if even else set()
            assert not ports & taken
            if even is None:
                candidates = [p for p in range(50002, 50021, 2) if p not in taken]
                assert not any(
                    not with_next or (p + 1 not in taken and p < 50020) for p in candidates
                )
            else:
                assert even % 2 == 0
            taken |= ports
        assert len(pool) == 20 - len(taken)
        assert all(50001 <= port <= 50020 for port in taken)


def test_ports_are_taken_in_no_order() -> None:
    pool = PortPool(50000, 50999, random.Random(3).randrange)
    ports = [pool.take() for _ in range(1000)]
    assert sorted(port for port in ports if port) == list(range(50000, 51000))
    pairs = itertools.pairwise(ports)
    assert sum(b - a == 1 for a, b in pairs if a and b) < 20


def test_this_port_can_be_taken_once() -> None:
    pool = PortPool(50000, 50009, random.Random(3).randrange)
    assert pool.take_this(50003)
    assert not pool.take_this(50003)
    assert not pool.take_this(49999)
    pool.give_back(49999)
    assert len(pool) == 9


def test_reply_is_remembered_for_forty_seconds() -> None:
    cache = ReplyCache()
    cache.add(FIVE_TUPLE, b"request", b"reply", 0)
    assert cache.find(FIVE_TUPLE, b"request", 39.9) == b"reply"
    assert cache.find(FIVE_TUPLE, b"another", 39.9) is None
    other = FiveTuple(Transport.UDP, CLIENT.with_port(1), SERVER)
    assert cache.find(other, b"request", 39.9) is None
    assert cache.find(FIVE_TUPLE, b"request", 40) is None
    assert len(cache) == 0


def test_reply_cache_is_bounded() -> None:
    cache = ReplyCache()
    for number in range(20_000):
        cache.add(FIVE_TUPLE, str(number).encode(), b"reply", 0)
    assert len(cache) == 8192
    assert cache.find(FIVE_TUPLE, b"19999", 0) == b"reply"


def test_nonce_is_good_for_its_client_its_key_and_its_lifetime() -> None:
    features = SecurityFeature.PASSWORD_ALGORITHMS
    maker = NonceMaker(b"k" * 32, 600, features)
    nonce = maker.make(FIVE_TUPLE, 1000.5)
    assert maker.is_valid(nonce, FIVE_TUPLE, 1000.5)
    assert maker.is_valid(nonce, FIVE_TUPLE, 1600)
    assert not maker.is_valid(nonce, FIVE_TUPLE, 1601)
    assert not maker.is_valid(nonce, FIVE_TUPLE, 998)
    other = FiveTuple(Transport.UDP, CLIENT.with_port(1), SERVER)
    assert not maker.is_valid(nonce, other, 1000.5)
    assert not NonceMaker(b"x" * 32, 600, features).is_valid(nonce, FIVE_TUPLE, 1000.5)
    same_cluster = NonceMaker(b"k" * 32, 600, features)
    assert same_cluster.is_valid(nonce, FIVE_TUPLE, 1000.5)


@given(st.integers(0, 40), st.integers(0, 255))
def test_changed_nonce_is_not_valid(index: int, byte: int) -> None:
    maker = NonceMaker(b"k" * 32, 600, SecurityFeature.PASSWORD_ALGORITHMS)
    nonce = maker.make(FIVE_TUPLE, 1000)
    changed = bytearray(nonce)
    changed[index % len(nonce)] = byte
    if bytes(changed) != nonce:
        # Base64's last character has bits that do not count.
        same = maker.is_valid(bytes(changed), FIVE_TUPLE, 1000)
        assert not same or index % len(nonce) >= len(nonce) - 3


def test_rate_limit_spreads_prefixes_and_counts_by_prefix() -> None:
    limit = PrefixRateLimit(1, 1, b"key", 0)
    allowed = Counter(
        limit.allows(Address.parse(f"{a}.{b}.3.4").packed, 0)
        for a in range(1, 21)
        for b in range(10)
    )
    assert allowed[True] > 180
    assert not limit.allows(Address.parse("1.0.3.99").packed, 0)
    assert limit.allows(Address.parse("2001:db8:1:2::1").packed, 0)
    assert not limit.allows(Address.parse("2001:db8:1:3::1").packed, 0)

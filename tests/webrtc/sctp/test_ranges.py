"""TSNs and ranges of them, against sets."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from webrtc.sctp.outstanding import _subtract
from webrtc.sctp.received_tsns import ReceivedTsns


@given(st.lists(st.integers(1, 40), max_size=60), st.lists(st.integers(0, 45), max_size=3))
def test_received_tsns_are_a_set(order: list[int], advances: list[int]) -> None:
    tsns, model = ReceivedTsns(0), set[int]()
    for tsn in order:
        assert tsns.add(tsn) == (tsn not in model)
        model.add(tsn)
    for tsn in advances:
        tsns.advance(tsn)
        model |= set(range(1, tsn + 1))
    cumulative = next(tsn - 1 for tsn in range(1, 100) if tsn not in model)
    assert tsns.cumulative == cumulative
    assert tsns.highest == max(model, default=0)
    gaps = {cumulative + offset for a, b in tsns.gaps(99) for offset in range(a, b + 1)}
    assert gaps == {tsn for tsn in model if tsn > cumulative}


ranges = st.lists(st.integers(0, 60), max_size=12, unique=True).map(
    lambda points: [
        (start, end - 1)
        for start, end in zip(sorted(points)[::2], sorted(points)[1::2], strict=False)
    ]
)


@given(ranges, ranges)
def test_ranges_subtract_as_sets_do(
    minuend: list[tuple[int, int]], subtrahend: list[tuple[int, int]]
) -> None:
    def members(blocks: list[tuple[int, int]]) -> set[int]:
        return {each for start, end in blocks for each in range(start, end + 1)}

    assert members(_subtract(minuend, subtrahend)) == members(minuend) - members(subtrahend)

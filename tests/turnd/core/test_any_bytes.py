"""A slice of the fuzz target that every test run can afford."""

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fuzz.target_core import run


def bytes_of_attribute(pair: tuple[int, bytes]) -> bytes:
    return bytes([pair[0], len(pair[1])]) + pair[1]


ways = st.integers(0, 14).map(lambda way: bytes([way]))
changes = st.binary(min_size=1, max_size=64)
attributes = st.lists(
    st.tuples(st.integers(0, 255), st.binary(max_size=40)).map(bytes_of_attribute),
    max_size=5,
).map(b"".join)


@settings(max_examples=600, deadline=None)
@given(ways, changes | st.builds(bytes.__add__, st.binary(min_size=1, max_size=1), attributes))
def test_server_answers_any_bytes_at_most_once_and_lets_go_of_everything(
    way: bytes, data: bytes
) -> None:
    run(way + data)

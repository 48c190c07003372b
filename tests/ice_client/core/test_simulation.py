import pytest

from tests.ice_client.core.simulation import Call

SEEDS = 200
PER_TEST = 25


@pytest.mark.parametrize("first", range(0, SEEDS, PER_TEST))
def test_two_agents_connect_where_theory_has_a_path_and_notice_what_befalls_it(first: int) -> None:
    for seed in range(first, first + PER_TEST):
        try:
            Call(seed).run()
        except AssertionError as error:
            raise AssertionError(f"--seed {seed}: {error}") from error


def test_a_seed_replays_exactly() -> None:
    runs = []
    for _ in range(2):
        call = Call(7)
        outcome = call.run()
        runs.append((outcome, call.network.now, call.network.sent, call.describe()))
    assert runs[0] == runs[1]

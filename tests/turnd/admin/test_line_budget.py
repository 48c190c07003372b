"""One client's failures do not fill the log."""

from turnd.admin.line_budget import LINES, MOST_KEYS, WINDOW, LineBudget


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_what_is_too_much_is_counted_and_told_with_the_next_line() -> None:
    clock = Clock()
    budget = LineBudget(clock)
    assert [budget.take("one") for _ in range(LINES)] == [0] * LINES
    assert [budget.take("one") for _ in range(7)] == [None] * 7
    assert budget.take("other") == 0
    clock.now = WINDOW
    assert budget.take("one") == 7
    assert budget.take("one") == 0


def test_only_so_many_are_remembered_and_the_longest_silent_is_forgotten() -> None:
    clock = Clock()
    budget = LineBudget(clock)
    for key in range(MOST_KEYS + 1):
        for _ in range(LINES):
            assert budget.take(key) == 0
    assert len(budget._spent) == MOST_KEYS
    assert budget.take(1) is None
    assert budget.take(0) == 0  # forgotten

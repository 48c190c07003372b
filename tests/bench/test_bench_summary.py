"""Medians, ratios and the table are what a reader takes them for."""

import math
from pathlib import Path

import pytest

from bench.cells import GROUPS, Cell, Row, cells, per_cpu_second, per_second
from bench.load import Report
from bench.results import Measured, load, save
from bench.runner import Sample, disturbance, order
from bench.servers import Coturn
from bench.summary import Figure, figure, figures, markdown, ratio

RATE = Row("things/s", +1)
DELAY = Row("delay, µs", -1, 1)
REPORT = Report(seconds=2.0, load_cpu=1.0, server_cpu=0.5, delivered=1000)
CELL = Cell(
    key="things",
    mode="traffic",
    options=(),
    rows=(RATE, DELAY),
    figures=lambda _report, _direct: (0.0, 0.0),
)


def sample(server: str, number: int, *values: float, disturbance: float = 0.0) -> Sample:
    return Sample("things", server, number, values, REPORT, disturbance)


def test_a_figure_is_the_median_and_the_range_of_the_rounds() -> None:
    assert figure([5.0, 1.0, 3.0]) == Figure(median=3.0, low=1.0, high=5.0)


def test_a_round_without_a_number_does_not_count() -> None:
    assert figure([None, 4.0, 2.0]) == Figure(median=3.0, low=2.0, high=4.0)
    assert math.isnan(figure([None]).median)


@pytest.mark.parametrize(
    ("value", "baseline", "row", "expected"),
    [
        (300.0, 100.0, RATE, 3.0),
        (50.0, 100.0, RATE, 0.5),
        (50.0, 100.0, DELAY, 2.0),
        (400.0, 100.0, DELAY, 0.25),
    ],
)
def test_a_ratio_above_one_is_better_whichever_way_the_row_counts(
    value: float, baseline: float, row: Row, expected: float
) -> None:
    assert ratio(Figure(value, value, value), Figure(baseline, baseline, baseline), row) == expected


@pytest.mark.parametrize(("value", "baseline"), [(0.0, 1.0), (1.0, 0.0), (math.nan, 1.0)])
def test_no_ratio_is_made_of_nothing(value: float, baseline: float) -> None:
    assert math.isnan(
        ratio(Figure(value, value, value), Figure(baseline, baseline, baseline), RATE)
    )


def test_a_disturbed_figure_has_a_ratio_only_where_disturbances_do_not_decide_it() -> None:
    quiet, loud = Figure(2.0, 2.0, 2.0), Figure(4.0, 4.0, 4.0, disturbed=True)
    assert math.isnan(ratio(loud, quiet, RATE))
    assert math.isnan(ratio(quiet, loud, RATE))
    assert ratio(loud, quiet, Row("things per CPU second", +1, steady=True)) == 2.0


def test_figures_are_taken_from_one_server_only() -> None:
    samples = [sample("coturn", 0, 1.0, 10.0), sample("other", 0, 2.0, 20.0)]
    assert [f.median for f in figures(samples, CELL, "other")] == [2.0, 20.0]


def test_disturbed_rounds_count_only_where_no_round_was_quiet() -> None:
    quiet, loud = sample("x", 0, 9.0, 1.0), sample("x", 1, 5.0, 3.0, disturbance=0.4)
    assert figures([quiet, loud], CELL, "x")[0] == Figure(9.0, 9.0, 9.0, disturbed=False)
    assert figures([loud], CELL, "x")[0] == Figure(5.0, 5.0, 5.0, disturbed=True)
    assert "| 5 * |" in markdown([loud], [CELL], ["x"])


def test_the_table_shows_medians_ranges_and_ratios_to_coturn() -> None:
    samples = [
        sample("coturn", 0, 1000.0, 8.0),
        sample("other", 0, 2000.0, 16.0),
        sample("coturn", 1, 3000.0, 8.0),
        sample("other", 1, 6000.0, 16.0),
    ]
    assert markdown(samples, [CELL], ["coturn", "other"]).splitlines() == [
        "|  | coturn | other | other : coturn |",
        "| --- | ---: | ---: | ---: |",
        "| things/s | 2,000 (1,000 to 3,000) | 4,000 (2,000 to 6,000) | 2.00 |",
        "| delay, µs | 8.0 | 16.0 | 0.50 |",
    ]


def test_ratios_are_to_the_server_that_was_asked_for() -> None:
    samples = [sample("bare", 0, 4.0, 1.0), sample("other", 0, 3.0, 4.0)]
    assert markdown(samples, [CELL], ["bare", "other"], "bare").splitlines()[2:] == [
        "| things/s | 4 | 3 | 0.75 |",
        "| delay, µs | 1.0 | 4.0 | 0.25 |",
    ]


def test_a_server_that_does_not_take_a_cell_has_a_dash() -> None:
    lines = markdown([sample("coturn", 0, 1.0, 2.0)], [CELL], ["coturn", "bare"]).splitlines()
    assert lines[2] == "| things/s | 1 | - | - |"


def test_every_cell_is_in_one_group_and_has_a_key_of_its_own() -> None:
    keys = [cell.key for group in GROUPS.values() for cell in group]
    assert len(keys) == len(set(keys)) == len(cells())
    assert list(cells("basic")) == [cell.key for cell in GROUPS["basic"]]


def test_without_coturn_there_are_no_ratios() -> None:
    assert markdown([sample("other", 0, 1.0, 2.0)], [CELL], ["other"]).splitlines() == [
        "|  | other |",
        "| --- | ---: |",
        "| things/s | 1 |",
        "| delay, µs | 2.0 |",
    ]


def test_rates_are_by_wall_clock_and_by_the_servers_cpu_time() -> None:
    assert per_second(1000, REPORT) == 500.0
    assert per_cpu_second(1000, REPORT) == 2000.0
    assert per_cpu_second(1000, Report(seconds=1.0, load_cpu=1.0)) is None


def test_latency_is_what_the_server_adds_to_the_direct_path() -> None:
    through = Report(
        seconds=1.0,
        load_cpu=1.0,
        server_cpu=0.5,
        sent=1000,
        delivered=990,
        p50_us=30.0,
        p99_us=50.0,
        p999_us=90.0,
    )
    direct = Report(
        seconds=1.0, load_cpu=1.0, sent=1, delivered=1, p50_us=4.0, p99_us=5.0, p999_us=6.0
    )
    values = cells()["latency-5k"].figures(through, direct)
    assert values == pytest.approx((26.0, 45.0, 84.0, 1980.0, 1.0))


def test_every_cell_gives_a_figure_for_each_of_its_rows() -> None:
    for cell in cells().values():
        assert cell.mode == "idle" or len(cell.figures(REPORT, REPORT)) == len(cell.rows), cell.key


def test_another_server_is_first_in_each_round() -> None:
    first, second = Coturn("first"), Coturn("second")
    assert [order([first, second], number) for number in range(3)] == [
        [first, second],
        [second, first],
        [first, second],
    ]


def test_a_disturbance_is_a_share_of_the_time_and_never_below_none() -> None:
    assert disturbance(0.5, 2.0) == 0.25
    assert disturbance(-0.01, 2.0) == 0.0


def test_samples_come_back_from_their_file_as_they_went(tmp_path: Path) -> None:
    measured = Measured("about", [Sample("things", "x", 0, (1.5, None), REPORT, 0.25)])
    save(tmp_path / "new" / "samples.json", measured)
    assert load(tmp_path / "new" / "samples.json") == measured

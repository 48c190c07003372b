"""Medians over the rounds, their ratios to coturn, and the Markdown table of both.

Rounds in which other processes took much of a core count only where no quiet one is left; the
table marks such figures with an asterisk.
"""

import math
import statistics
from collections.abc import Sequence

import attrs

from bench.cells import Cell, Row
from bench.runner import QUIET, Sample

BASELINE = "coturn"


@attrs.frozen
class Figure:
    """A row's figure for one server over the rounds that count.

    Attributes:
        disturbed: no round was quiet, so that disturbed ones had to count.
    """

    median: float
    low: float
    high: float
    disturbed: bool = False


def figure(values: Sequence[float | None]) -> Figure:
    """Return the median and range of those values that are known; NaN if none is."""
    known = [value for value in values if value is not None]
    if not known:
        return Figure(math.nan, math.nan, math.nan)
    return Figure(statistics.median(known), min(known), max(known))


def figures(samples: Sequence[Sample], cell: Cell, server: str) -> tuple[Figure, ...]:
    """Return a figure for each row of the cell."""
    rounds = [s for s in samples if s.cell == cell.key and s.server == server]
    quiet = [sample for sample in rounds if sample.disturbance <= QUIET]
    return tuple(
        attrs.evolve(
            figure([sample.figures[index] for sample in quiet or rounds]), disturbed=not quiet
        )
        for index in range(len(cell.rows))
    )


def ratio(value: Figure, baseline: Figure, row: Row) -> float:
    """Return how many times better than the baseline a median is: above 1 is better.

    NaN where a ratio says nothing: a median that is not a number, or is 0 or below, or one that
    was disturbed where disturbances decide it.
    """
    if (value.disturbed or baseline.disturbed) and not row.steady:
        return math.nan
    if not (value.median > 0 and baseline.median > 0):
        return math.nan
    more = value.median / baseline.median
    return more if row.better > 0 else 1 / more


def _number(value: float, digits: int) -> str:
    return "-" if math.isnan(value) else f"{value:,.{digits}f}"


def _shown(value: Figure, row: Row) -> str:
    shown = _number(value.median, row.digits)
    if value.low < value.high:
        low, high = _number(value.low, row.digits), _number(value.high, row.digits)
        shown = f"{shown} ({low} to {high})"
    return f"{shown} *" if value.disturbed and not math.isnan(value.median) else shown


def markdown(
    samples: Sequence[Sample],
    cells: Sequence[Cell],
    servers: Sequence[str],
    baseline: str = BASELINE,
) -> str:
    """Return the table: a line for each row, a column for each server and each ratio to one."""
    compared = [name for name in servers if name != baseline and baseline in servers]
    head = ["", *servers, *(f"{name} : {baseline}" for name in compared)]
    lines = [_table_line(head), _table_line(["---", *["---:"] * (len(head) - 1)])]
    for cell in cells:
        by_server = {name: figures(samples, cell, name) for name in servers}
        for index, row in enumerate(cell.rows):
            shown = [_shown(by_server[name][index], row) for name in servers]
            ratios = [
                _number(ratio(by_server[name][index], by_server[baseline][index], row), 2)
                for name in compared
            ]
            lines.append(_table_line([row.title, *shown, *ratios]))
    return "\n".join(lines) + "\n"


def _table_line(fields: Sequence[str]) -> str:
    return f"| {' | '.join(fields)} |"


def disturbed(samples: Sequence[Sample]) -> Figure:
    """Return the disturbance over all samples."""
    return figure([sample.disturbance for sample in samples])

"""The cells of the table: which load each runs, and which figures it gives.

A cell is one kind of load; it yields one or more rows. Every figure is per server and round.
"""

from collections.abc import Callable, Iterator, Mapping
from itertools import product

import attrs

from bench.load import Report

# The latency of a few flows; `paced-100` is that of many.
_LATENCY_FLOWS = 4

# The mode whose figure is not in the generator's report: the runner reads the server's memory while
# the generator holds the allocations.
IDLE = "idle"


# One for each row of a cell; None where there is nothing to tell.
Figures = tuple[float | None, ...]


@attrs.frozen
class Row:
    """A row of the table.

    Attributes:
        title: what is measured, with its unit.
        better: +1 if more is better, -1 if less is.
        digits: decimals the table shows.
        steady: the figure holds while other processes take part of the cores, so that its ratio
            is worth showing even then.
    """

    title: str
    better: int
    digits: int = 0
    steady: bool = False


@attrs.frozen
class Cell:
    """A load and what is read from it.

    Attributes:
        key: its name on the command line.
        mode: the load generator's mode.
        options: the generator's options, but for the times.
        rows: the rows it fills.
        figures: makes the rows' figures, in their order, of the report and of the direct path's
            (the same load with no server, only if `direct`).
        direct: whether the direct path is measured beside it.
    """

    key: str
    mode: str
    options: tuple[str, ...]
    rows: tuple[Row, ...]
    figures: Callable[[Report, Report | None], Figures]
    direct: bool = False


def per_second(count: int, report: Report) -> float:
    """Return the count by wall-clock seconds."""
    return count / report.seconds if report.seconds > 0 else 0.0


def per_cpu_second(count: int, report: Report) -> float | None:
    """Return the count by the server's CPU seconds; None if it took none that shows."""
    return count / report.server_cpu if report.server_cpu > 0 else None


def _packets(report: Report, _direct: Report | None) -> Figures:
    return per_second(report.delivered, report), per_cpu_second(report.delivered, report)


def _requests(report: Report, _direct: Report | None) -> Figures:
    return per_second(report.done, report), per_cpu_second(report.done, report)


def _latency(report: Report, direct: Report | None) -> Figures:
    lost = 100.0 * (1 - report.delivered / report.sent) if report.sent else None
    return (
        _above(report.p50_us, direct.p50_us if direct else None),
        _above(report.p99_us, direct.p99_us if direct else None),
        _above(report.p999_us, direct.p999_us if direct else None),
        per_cpu_second(report.delivered, report),
        lost,
    )


def _above(through: float | None, direct: float | None) -> float | None:
    if through is None or direct is None:
        return None
    return through - direct


def _flood(key: str, title: str, *options: str) -> Cell:
    rows = (
        Row(f"{title}: delivered packets/s", +1),
        Row(f"{title}: packets per CPU second", +1, steady=True),
    )
    return Cell(key=key, mode="traffic", options=options, rows=rows, figures=_packets)


def _paced(key: str, rate: int, flows: int) -> Cell:
    title = f"ChannelData to the peer, 160 B at {rate:,}/s over {flows} allocations"
    rows = (
        Row(f"{title}: p50 above the direct path, µs", -1, 1),
        Row(f"{title}: p99 above the direct path, µs", -1, 1),
        Row(f"{title}: p99.9 above the direct path, µs", -1, 1),
        Row(f"{title}: packets per CPU second", +1, steady=True),
        Row(f"{title}: lost, %", -1, 3),
    )
    options = ("--rate", str(rate), "--allocations", str(flows))
    return Cell(key=key, mode="traffic", options=options, rows=rows, figures=_latency, direct=True)


def _asked(key: str, mode: str, title: str, *options: str) -> Cell:
    rows = (Row(f"{title}/s", +1), Row(f"{title} per CPU second", +1, steady=True))
    return Cell(key=key, mode=mode, options=options, rows=rows, figures=_requests)


def _idle(key: str, count: int) -> Cell:
    return Cell(
        key=key,
        mode=IDLE,
        options=("--allocations", str(count)),
        rows=(Row(f"RSS per idle allocation of {count:,}, bytes", -1, steady=True),),
        figures=lambda _report, _direct: (),
    )


def _basic() -> tuple[Cell, ...]:
    """Return the cells that say most in little time; floods over sixteen allocations."""
    small, large = ("--payload", "160"), ("--payload", "1200")
    up, down, both = (("--direction", way) for way in ("up", "down", "both"))
    indication = ("--framing", "indication")
    return (
        _flood("channel-up-160", "ChannelData to the peer, 160 B", *small, *up),
        _flood("channel-up-1200", "ChannelData to the peer, 1200 B", *large, *up),
        _flood("channel-down-160", "ChannelData to the client, 160 B", *small, *down),
        _flood("channel-down-1200", "ChannelData to the client, 1200 B", *large, *down),
        _flood("channel-both-160", "ChannelData both ways, 160 B", *small, *both),
        _flood("channel-both-1200", "ChannelData both ways, 1200 B", *large, *both),
        _flood("send-up-160", "Send indications, 160 B", *small, *up, *indication),
        _flood("data-down-160", "Data indications, 160 B", *small, *down, *indication),
        _paced("latency-5k", 5_000, _LATENCY_FLOWS),
        _paced("latency-20k", 20_000, _LATENCY_FLOWS),
        _asked("allocate", "allocate", "401 + Allocate + Refresh(0) cycles"),
        _asked("binding", "binding", "Binding requests"),
        _idle("idle", 5_000),
    )


def _scaling() -> Iterator[Cell]:
    """Yield every direction, size and framing over one allocation to ten thousand."""
    ways = {"up": "to the peer", "down": "to the client", "both": "both ways"}
    for (way, told), size, count in product(ways.items(), (160, 1200), (1, 100, 1_000, 10_000)):
        yield _flood(
            f"flows-{way}-{size}-{count}",
            f"ChannelData {told}, {size} B, {count:,} allocations",
            *("--direction", way, "--payload", str(size), "--allocations", str(count)),
        )
    for count in (1, 100, 1_000, 10_000):
        yield _flood(
            f"send-up-160-{count}",
            f"Send indications, 160 B, {count:,} allocations",
            *("--framing", "indication", "--allocations", str(count)),
        )
    for count in (1, 100):
        # What arrives merged, as from a network card with GRO, may leave so.
        yield _flood(
            f"merged-up-1200-{count}",
            f"ChannelData to the peer, 1200 B, {count} allocations, sent in runs of 16",
            *("--payload", "1200", "--allocations", str(count), "--burst", "16", "--segment"),
        )
    yield _paced("paced-100", 20_000, 100)
    yield _idle("idle-15000", 15_000)


# The groups of cells by the name that --group takes.
GROUPS: Mapping[str, tuple[Cell, ...]] = {"basic": _basic(), "scaling": tuple(_scaling())}


def cells(group: str | None = None) -> Mapping[str, Cell]:
    """Return the cells of a group, or all, by key, in the order of the table."""
    groups = GROUPS.values() if group is None else (GROUPS[group],)
    return {cell.key: cell for listed in groups for cell in listed}

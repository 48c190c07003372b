"""The reports that people read: the coloured table and findings, and Markdown to paste."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.console import Console, Group, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from ice_client.check.network_results import LocalCandidate, NatResult, QualityResult
from ice_client.check.results import (
    Finding,
    Outcome,
    Report,
    Row,
    Stage,
    StageName,
)

_COLOURS = {"error": "bold red", "warning": "yellow", "info": "cyan"}
_MARKS = {"error": "✗", "warning": "!", "info": "i"}


def milliseconds(seconds: float | None) -> str:
    """Write a duration as people say it: `0.42 ms`, `12 ms`, `1.2 s`."""
    if seconds is None:
        return "–"
    if seconds >= 1:
        return f"{seconds:.1f} s"
    value = seconds * 1000
    digits = 2 if value < 1 else 1 if value < 10 else 0
    return f"{value:.{digits}f} ms"


def rate(bps: float | None) -> str:
    """Write a rate in bits per second: `850 kbit/s`, `12.5 Mbit/s`."""
    if bps is None:
        return "–"
    return f"{bps / 1e6:.1f} Mbit/s" if bps >= 1e6 else f"{bps / 1e3:.0f} kbit/s"


def stage_text(stage: Stage | None) -> str:
    """Write a stage into a cell: its time, or why it failed."""
    if stage is None:
        return ""
    if stage.outcome is Outcome.OK:
        return milliseconds(stage.seconds)
    if stage.outcome is Outcome.SKIPPED:
        return "–"
    if stage.code is not None:
        return str(stage.code)
    return stage.cause.value if stage.cause is not None else "failed"


def shown_stages(rows: Iterable[Row]) -> list[StageName]:
    """Return the stages that any row has, in order."""
    present = {stage.name for row in rows for stage in row.stages}
    return [name for name in StageName if name in present]


def matrix(rows: Sequence[Row], width: int) -> RenderableType:
    """Return the table of ways to the server, each stage timed.

    Args:
        rows: the ways.
        width: columns of the terminal; where a line a way does not fit, each way is a column.

    """
    columns = _WAY_WIDTH + _ADDRESS_WIDTH * 2 + len(shown_stages(rows)) * _STAGE_WIDTH
    if width >= columns:
        return _a_line_a_way(rows)
    at_once = max((width - _STAGE_WIDTH) // _ADDRESS_WIDTH, 1)
    slices = [rows[start : start + at_once] for start in range(0, len(rows), at_once)]
    return Group(*(_a_column_a_way(some) for some in slices))


_WAY_WIDTH, _ADDRESS_WIDTH, _STAGE_WIDTH = 12, 18, 13


def _a_column_a_way(rows: Sequence[Row]) -> Table:
    table = Table(title="Ways to the server", title_justify="left", header_style="bold")
    table.add_column("", no_wrap=True)
    for row in rows:
        table.add_column(_way(row), justify="right", overflow="fold")
    table.add_row("address", *(_address(row) for row in rows))
    for name in shown_stages(rows):
        table.add_row(name.value, *(_stage_cell(row.stage(name)) for row in rows))
    table.add_row("relayed", *(Text(row.relayed_address or "") for row in rows))
    return table


def _way(row: Row) -> Text:
    return Text(f"{row.transport.value} {row.family}", style="" if row.expected else "dim")


def _address(row: Row) -> Text:
    host = f"[{row.address}]" if row.family == "ipv6" else row.address
    return Text(f"{host}:{row.port}")


def _a_line_a_way(rows: Sequence[Row]) -> Table:
    table = Table(title="Ways to the server", title_justify="left", header_style="bold")
    table.add_column("way", no_wrap=True)
    table.add_column("address", overflow="fold")
    names = shown_stages(rows)
    for name in names:
        table.add_column(name.value, justify="right", no_wrap=True)
    table.add_column("relayed address", overflow="fold")
    for row in rows:
        cells = [_stage_cell(row.stage(name)) for name in names]
        table.add_row(_way(row), _address(row), *cells, Text(row.relayed_address or ""))
    return table


def _stage_cell(stage: Stage | None) -> Text:
    if stage is None:
        return Text("")
    style = {Outcome.OK: "green", Outcome.FAILED: "bold red", Outcome.SKIPPED: "dim"}
    mark = {Outcome.OK: "✓ ", Outcome.FAILED: "✗ ", Outcome.SKIPPED: ""}
    return Text(mark[stage.outcome] + stage_text(stage), style=style[stage.outcome])


def print_report(report: Report, console: Console) -> None:
    """Print all of a report."""
    console.print(f"[bold]{escape(report.tool)}[/] · {escape(report.target)} · {report.started}")
    for renderable in _parts(report, console.width):
        console.print(renderable)
    console.print(_summary(report))


def _parts(report: Report, width: int) -> Iterable[RenderableType]:
    if report.lookups:
        yield _lines("DNS", _dns_lines(report))
    if report.rows:
        yield matrix(report.rows, width)
    if report.tls:
        yield _lines("TLS", _tls_lines(report))
    if report.nat:
        yield _lines("NAT", nat_lines(report.nat))
    if report.candidates:
        yield _lines("Local candidates", candidate_lines(report.candidates))
    yield from quality_tables(report.quality)
    if report.peers:
        yield _lines("Peers", _peer_lines(report))
    for finding in report.findings:
        yield _finding(finding)


def _lines(title: str, lines: Iterable[str]) -> RenderableType:
    return Group(Text(title, style="italic"), *(Text(f"  {line}") for line in lines))


def _dns_lines(report: Report) -> Iterable[str]:
    for each in report.lookups:
        answer = ", ".join(each.values) or each.error or "none"
        yield f"{each.kind:5} {each.name}: {answer} ({milliseconds(each.seconds)})"


def _tls_lines(report: Report) -> Iterable[str]:
    for each in report.tls:
        trust = "trusted" if each.trusted else each.trust_error
        days = each.seconds_left / 86400
        yield f"{each.address} {each.version} {each.cipher} ALPN {each.alpn or 'none'}: {trust}"
        if each.chain:
            leaf = each.chain[0]
            names = ", ".join(leaf.names) or leaf.subject
            issuer = leaf.issuer or "an issuer without a name"
            yield f"  for {names} by {issuer}, {leaf.key}, {days:.0f} days left"


def nat_lines(results: Iterable[NatResult]) -> Iterable[str]:
    """Say what each server has shown of the NAT, a line each."""
    for each in results:
        parts = [f"{each.local_address} → {each.mapped_address or 'no answer'} at {each.server}"]
        if each.mapping is not None:
            parts.append(f"mapping {each.mapping.value}")
        if each.filtering is not None:
            parts.append(f"filtering {each.filtering.value}")
        if not each.offered:
            parts.append("no behaviour discovery offered (RFC 5780)")
        if each.hairpin is not None:
            parts.append("hairpins" if each.hairpin else "does not hairpin")
        if each.port_preserved is not None:
            parts.append("port kept" if each.port_preserved else "port changed")
        if each.lifetime_end is not None:
            parts.append(f"mapping gone after {each.lifetime_end:.0f} s")
        elif each.lifetime is not None:
            parts.append(f"mapping lasts {each.lifetime:.0f} s at least")
        if each.detail:
            parts.append(each.detail)
        yield "; ".join(parts)


def candidate_lines(candidates: Iterable[LocalCandidate]) -> Iterable[str]:
    """Show candidates, a line each."""
    for each in candidates:
        where = f" on {each.interface}" if each.interface else ""
        base = f" from {each.base}" if each.base and each.base != each.address else ""
        yield f"{each.type:5} {each.transport} {each.address}{base}{where}"


def _peer_lines(report: Report) -> Iterable[str]:
    for each in report.peers:
        answer = {True: "permitted", False: "refused", None: "not told"}[each.permitted]
        yield f"{each.kind:9} {each.peer}: {answer} {each.detail}".rstrip()


def quality_tables(results: Iterable[QualityResult]) -> Iterable[Table]:
    """Return a table for each way whose quality was measured."""
    for each in results:
        table = Table(title=f"Quality, {each.row}", title_justify="left", header_style="bold")
        table.add_column("", no_wrap=True)
        for path in ("relay", "direct"):
            table.add_column(path, justify="right")
        paths = (each.relay, each.direct)
        for name, seconds in (
            ("round trip, p50", [trips.p50 for trips in paths]),
            ("p95", [trips.p95 for trips in paths]),
            ("p99", [trips.p99 for trips in paths]),
            ("jitter", [trips.jitter for trips in paths]),
        ):
            table.add_row(name, *map(milliseconds, seconds))
        table.add_row("lost", *(f"{trips.loss:.1%}" for trips in paths))
        table.add_row("reordered", *(str(trips.reordered) for trips in paths))
        table.add_row("throughput", rate(each.throughput_bps), "")
        table.add_row("path MTU", str(each.path_mtu or "–"), "")
        yield table


def _finding(finding: Finding) -> RenderableType:
    colour = _COLOURS[finding.severity]
    head = Text.assemble(
        (f"{_MARKS[finding.severity]} {finding.id} ", colour),
        (finding.title, "bold"),
        f" ({finding.where})" if finding.where else "",
    )
    lines: list[RenderableType] = [head]
    if finding.detail:
        lines.append(Text(f"    {finding.detail}", style="dim"))
    if finding.severity != "info":
        lines.append(Text(f"    Fix: {finding.fix}"))
    return Group(*lines)


def _summary(report: Report) -> Text:
    good = sum(row.works for row in report.rows)
    errors = sum(each.severity == "error" for each in report.findings)
    warnings = sum(each.severity == "warning" for each in report.findings)
    word, style = "does not work", "bold red"
    if report.works:
        word, style = "works", "bold green"
    elif good:
        word, style = "works in part", "bold yellow"
    ways = f"{good} of {len(report.rows)} ways work"
    return Text.assemble(
        (f"It {word}", style),
        f": {ways}, {errors} errors, {warnings} warnings, {report.seconds:.1f} s",
    )


def to_markdown(report: Report) -> str:
    """Return Markdown for a bug report; give it a report that `redact` has gone over."""
    names = shown_stages(report.rows)
    lines = [
        f"### {report.tool}: {report.target} {'works' if report.works else 'does not work'}",
        "",
    ]
    for finding in report.findings:
        where = f" ({finding.where})" if finding.where else ""
        detail = f": {finding.detail}" if finding.detail else ""
        lines.append(_plain(f"- **{finding.id}** {finding.title}{where}{detail}"))
    if report.rows:
        columns = ["way", "address", *(name.value for name in names), "relayed"]
        lines += ["", *_markdown_table(columns, (_markdown_row(row, names) for row in report.rows))]
    sections = (
        ("DNS", _dns_lines(report)),
        ("TLS", _tls_lines(report)),
        ("NAT", nat_lines(report.nat)),
        ("Local candidates", candidate_lines(report.candidates)),
        ("Peers", _peer_lines(report)),
    )
    for title, content in sections:
        items = [f"- {_plain(line.strip())}" for line in content]
        if items:
            lines += ["", f"**{title}**", "", *items]
    for quality in report.quality:
        relay = quality.relay
        lines += [
            "",
            f"**Quality** {quality.row}: p50 {milliseconds(relay.p50)}, "
            f"p95 {milliseconds(relay.p95)}, p99 {milliseconds(relay.p99)}, "
            f"jitter {milliseconds(relay.jitter)}, loss {relay.loss:.1%}, "
            f"{rate(quality.throughput_bps)}, MTU {quality.path_mtu or '–'}",
        ]
    lines += ["", f"{report.started}, {report.seconds:.1f} s; addresses and secrets hidden"]
    return "\n".join(lines) + "\n"


def _markdown_row(row: Row, names: Sequence[StageName]) -> list[str]:
    cells = []
    for name in names:
        stage = row.stage(name)
        failed = stage is not None and stage.outcome is Outcome.FAILED
        cells.append(f"**{stage_text(stage)}**" if failed else stage_text(stage))
    way = f"{row.transport.value} {row.family}"
    return [way, f"{row.address} port {row.port}", *cells, row.relayed_address or ""]


def _markdown_table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterable[str]:
    yield f"| {' | '.join(columns)} |"
    yield f"|{'---|' * len(columns)}"
    for row in rows:
        yield f"| {' | '.join(_plain(cell) for cell in row)} |"


def _plain(text: str) -> str:
    # What a server says must not become markup of the page it is pasted into.
    return text.replace("|", "\\|").replace("<", "&lt;").replace("\n", " ")

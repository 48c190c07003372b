"""One HTML page with everything in it: no script, no font, no image from elsewhere."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

from ice_client.check.network_results import QualityResult
from ice_client.check.report_text import milliseconds, rate, shown_stages, stage_text
from ice_client.check.results import Outcome, Report, Row, StageName

_STYLE = """
:root { color-scheme: light dark; --ok: #15803d; --bad: #b91c1c; --warn: #a16207; --dim: #6b7280 }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 72rem; margin: 2rem auto; padding: 0 1rem }
table { border-collapse: collapse; margin: .5rem 0 }
th, td { padding: .25rem .6rem; text-align: left; border-bottom: 1px solid #9994 }
td.ok { color: var(--ok) } td.failed { color: var(--bad); font-weight: 600 }
td.skipped, .dim { color: var(--dim) }
.finding { border-left: 4px solid var(--dim); padding: .1rem 1rem; margin: .8rem 0 }
.finding.error { border-color: var(--bad) } .finding.warning { border-color: var(--warn) }
svg { max-width: 100%; height: auto }
svg text { font: 11px system-ui, sans-serif; fill: currentColor }
.scroll { overflow-x: auto }
"""

_STAGE_COLOURS = {
    StageName.CONNECT: "#64748b",
    StageName.TLS: "#8b5cf6",
    StageName.BINDING: "#0ea5e9",
    StageName.ALLOCATE: "#f59e0b",
    StageName.PERMISSION: "#84cc16",
    StageName.ECHO: "#10b981",
    StageName.DIRECT: "#06b6d4",
    StageName.REFRESH: "#ec4899",
}
_WIDTH, _HEIGHT, _LEFT, _BOTTOM = 720, 200, 60, 24


def to_html(report: Report) -> str:
    """Return the page."""
    title = f"ice-check: {report.target}"
    state = "works" if report.works else "does not work"
    body = [
        f"<h1>{escape(title)} <small>{state}</small></h1>",
        f"<p class=dim>{escape(report.tool)}, {escape(report.started)}, {report.seconds:.1f} s</p>",
        *_findings(report),
        *_rows(report.rows),
        *_lookups(report),
        *_tls(report),
        *_nat(report),
        *(part for quality in report.quality for part in _quality(quality)),
    ]
    return "\n".join(
        [
            "<!DOCTYPE html>",
            '<html lang="en"><head><meta charset="utf-8">',
            # Nothing may be fetched, whatever a server put into its reason phrase.
            '<meta http-equiv="Content-Security-Policy" '
            "content=\"default-src 'none'; style-src 'unsafe-inline'\">",
            '<meta name="viewport" content="width=device-width">',
            f"<title>{escape(title)}</title><style>{_STYLE}</style></head><body>",
            *body,
            "</body></html>\n",
        ]
    )


def _findings(report: Report) -> Iterable[str]:
    yield "<h2>Findings</h2>"
    if not report.findings:
        yield "<p>Nothing to complain of.</p>"
    for each in report.findings:
        yield (
            f'<div class="finding {each.severity}"><p><b>{each.id}</b> {escape(each.title)} '
            f"<span class=dim>{escape(each.where)}</span></p>"
            f"<p>{escape(each.detail)}</p><p class=dim>{escape(each.explanation)}</p>"
            f"<p><b>Fix:</b> {escape(each.fix)}</p></div>"
        )


def _table(head: Sequence[str], rows: Iterable[str]) -> str:
    cells = "".join(f"<th>{escape(each)}</th>" for each in head)
    return f"<div class=scroll><table><tr>{cells}</tr>{''.join(rows)}</table></div>"


def _cells(values: Iterable[str]) -> str:
    return "<tr>" + "".join(f"<td>{escape(each)}</td>" for each in values) + "</tr>"


def _rows(rows: Sequence[Row]) -> Iterable[str]:
    if not rows:
        return
    names = shown_stages(rows)
    yield "<h2>Ways to the server</h2>"
    yield _table(
        ["way", *(name.value for name in names), "relayed address", "mapped address", "software"],
        (_row(row, names) for row in rows),
    )
    yield _stage_plot(rows)


def _row(row: Row, names: Sequence[StageName]) -> str:
    cells = [f"<td>{escape(row.label)}</td>"]
    for name in names:
        stage = row.stage(name)
        kind = stage.outcome.value if stage is not None else "skipped"
        hint = escape(stage.detail, quote=True) if stage is not None else ""
        cells.append(f'<td class="{kind}" title="{hint}">{escape(stage_text(stage))}</td>')
    rest = (row.relayed_address, row.mapped_address, row.software)
    cells += [f"<td>{escape(each or '')}</td>" for each in rest]
    return f"<tr>{''.join(cells)}</tr>"


def _stage_plot(rows: Sequence[Row]) -> str:
    """Draw a bar for each row, its stages side by side as long as they took."""
    longest = max((_row_seconds(row) for row in rows), default=0.0) or 1.0
    line, left = 22, 250
    scale = (_WIDTH - left) / longest
    parts = []
    for number, row in enumerate(rows):
        y, x = number * line, float(left)
        parts.append(
            f'<text x="{left - 8}" y="{y + 15}" text-anchor="end">{escape(row.label)}</text>'
        )
        for stage in row.stages:
            if stage.seconds is None or stage.outcome is Outcome.SKIPPED:
                continue
            width = stage.seconds * scale
            colour = _STAGE_COLOURS[stage.name]
            note = escape(f"{stage.name.value} {milliseconds(stage.seconds)}")
            parts.append(
                f'<rect x="{x:.1f}" y="{y + 3}" width="{max(width, 0.5):.1f}" height="{line - 6}" '
                f'fill="{colour}"><title>{note}</title></rect>'
            )
            x += width
    height = len(rows) * line
    legend = "".join(
        f'<rect x="{left + 80 * i}" y="{height + 6}" width="10" height="10" fill="{colour}"/>'
        f'<text x="{left + 80 * i + 14}" y="{height + 15}">{name.value}</text>'
        for i, (name, colour) in enumerate(
            (name, _STAGE_COLOURS[name]) for name in shown_stages(rows)
        )
    )
    return _svg(f"0 0 {left + 80 * len(_STAGE_COLOURS)} {height + 20}", "".join(parts) + legend)


def _row_seconds(row: Row) -> float:
    return sum(stage.seconds or 0.0 for stage in row.stages if stage.outcome is not Outcome.SKIPPED)


def _svg(view_box: str, content: str) -> str:
    return f'<svg viewBox="{view_box}" width="{_WIDTH}" role="img">{content}</svg>'


def _lookups(report: Report) -> Iterable[str]:
    if report.lookups:
        yield "<h2>DNS</h2>"
        yield _table(
            ["type", "name", "answer", "time"],
            (
                _cells(
                    (
                        each.kind,
                        each.name,
                        ", ".join(each.values) or each.error or "none",
                        milliseconds(each.seconds),
                    )
                )
                for each in report.lookups
            ),
        )


def _tls(report: Report) -> Iterable[str]:
    for each in report.tls:
        yield f"<h2>TLS at {escape(each.address)}</h2>"
        trust = "trusted" if each.trusted else each.trust_error
        native = each.native_root or "not in libwebrtc's list"
        yield (
            f"<p>{escape(each.version)}, {escape(each.cipher)}, "
            f"ALPN {escape(each.alpn or 'none')}, {escape(trust)}, root: {escape(native)}</p>"
        )
        yield _table(
            ["subject", "issuer", "from", "until", "names", "key"],
            (
                _cells((c.subject, c.issuer, c.not_before, c.not_after, ", ".join(c.names), c.key))
                for c in each.chain
            ),
        )


def _nat(report: Report) -> Iterable[str]:
    if not report.nat:
        return
    yield "<h2>NAT behaviour</h2>"
    answers = {True: "yes", False: "no", None: "not told"}
    yield _table(
        ["server", "local", "mapped", "mapping", "filtering", "hairpin", "port kept", "rewritten"],
        (
            _cells(
                (
                    each.server,
                    each.local_address,
                    each.mapped_address or "",
                    each.mapping.value if each.mapping else "not told",
                    each.filtering.value if each.filtering else "not told",
                    answers[each.hairpin],
                    answers[each.port_preserved],
                    answers[each.alg],
                )
            )
            for each in report.nat
        ),
    )


def _quality(quality: QualityResult) -> Iterable[str]:
    yield f"<h2>Quality: {escape(quality.row)}</h2>"
    yield _table(
        ["path", "p50", "p95", "p99", "jitter", "loss", "reordered"],
        (
            _cells(
                (
                    name,
                    *(milliseconds(v) for v in (each.p50, each.p95, each.p99, each.jitter)),
                    f"{each.loss:.1%}",
                    str(each.reordered),
                )
            )
            for name, each in (("relay", quality.relay), ("direct", quality.direct))
        ),
    )
    mtu = f"{quality.path_mtu} bytes" if quality.path_mtu else "not measured"
    yield f"<p>Throughput {rate(quality.throughput_bps)}, largest payload {mtu}.</p>"
    yield _round_trip_plot(quality)
    if quality.ramp:
        yield _ramp_plot(quality)


def _round_trip_plot(quality: QualityResult) -> str:
    series = (
        ("relay", "#f59e0b", quality.relay.series),
        ("direct", "#0ea5e9", quality.direct.series),
    )
    values = [value for _, _, each in series for value in each if value is not None]
    top = max(values, default=0.001) * 1.1
    parts = [_axes(milliseconds(top), "round trips in the order sent")]
    for number, (name, colour, each) in enumerate(series):
        step = (_WIDTH - _LEFT) / max(len(each) - 1, 1)
        dots = "".join(
            f'<circle cx="{_LEFT + i * step:.1f}" cy="{_y(value / top):.1f}" r="2"/>'
            for i, value in enumerate(each)
            if value is not None
        )
        parts.append(f'<g fill="{colour}">{dots}</g>')
        parts.append(
            f'<text x="{_LEFT + 10 + 70 * number}" y="12" style="fill:{colour}">{name}</text>'
        )
    return _svg(f"0 0 {_WIDTH} {_HEIGHT}", "".join(parts))


def _ramp_plot(quality: QualityResult) -> str:
    top = max(step.offered_bps for step in quality.ramp) * 1.1
    width = (_WIDTH - _LEFT) / len(quality.ramp)
    parts = [_axes(rate(top), "throughput: offered (outline), received (filled)")]
    for number, step in enumerate(quality.ramp):
        x = _LEFT + number * width + width * 0.15
        offered, received = _y(step.offered_bps / top), _y(min(step.received_bps / top, 1.0))
        base = _HEIGHT - _BOTTOM
        parts.append(
            f'<rect x="{x:.1f}" y="{offered:.1f}" width="{width * 0.7:.1f}" '
            f'height="{base - offered:.1f}" fill="none" stroke="currentColor"/>'
            f'<rect x="{x:.1f}" y="{received:.1f}" width="{width * 0.7:.1f}" '
            f'height="{base - received:.1f}" fill="#10b981"><title>{rate(step.received_bps)}, '
            f"{step.loss:.1%} lost</title></rect>"
        )
    return _svg(f"0 0 {_WIDTH} {_HEIGHT}", "".join(parts))


def _y(part: float) -> float:
    return (_HEIGHT - _BOTTOM) * (1 - part)


def _axes(top: str, caption: str) -> str:
    base = _HEIGHT - _BOTTOM
    return (
        f'<path d="M{_LEFT} 0V{base}H{_WIDTH}" fill="none" stroke="currentColor" opacity=".4"/>'
        f'<text x="{_LEFT - 6}" y="12" text-anchor="end">{escape(top)}</text>'
        f'<text x="{_LEFT - 6}" y="{base}" text-anchor="end">0</text>'
        f'<text x="{_LEFT}" y="{_HEIGHT - 6}">{escape(caption)}</text>'
    )

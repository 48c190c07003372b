"""Every form of the report is what its readers' parsers take, and hides what it must."""

from __future__ import annotations

import io
import json
import re
import xml.etree.ElementTree as ET
from html.parser import HTMLParser
from pathlib import Path

import jsonschema
import msgspec
import pytest
from rich.console import Console

from ice_client.check.redact import Redactor, address_class, redact
from ice_client.check.report_data import json_schema, to_json, to_junit
from ice_client.check.report_html import to_html
from ice_client.check.report_text import milliseconds, print_report, rate, to_markdown
from ice_client.check.results import Report
from tests.ice_client.check.sample import ADDRESSES, NAME, PASSWORD, SAMPLE, USER

ROOT = Path(__file__).resolve().parents[3]


def test_schema_file_is_the_one_of_the_classes() -> None:
    file = json.loads((ROOT / "docs/ice-check.schema.json").read_text())
    assert file == json.loads(json.dumps(json_schema()))


def test_json_report_is_valid_by_the_schema_and_reads_back_the_same() -> None:
    text = to_json(SAMPLE)
    schema = json_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.Draft202012Validator(schema).validate(json.loads(text))
    assert json.loads(text)["schema"] == "ice-check/1"
    assert msgspec.json.decode(text, type=Report) == SAMPLE


def test_schema_refuses_a_report_of_another_version() -> None:
    report = {**json.loads(to_json(SAMPLE)), "schema": "ice-check/2"}
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.Draft202012Validator(json_schema()).validate(report)


def test_junit_has_a_case_for_each_way_and_each_finding() -> None:
    suite = ET.fromstring(to_junit(SAMPLE))[0]
    cases = list(suite)
    assert len(cases) == len(SAMPLE.rows) + len(SAMPLE.findings) == int(suite.attrib["tests"])
    failed = [case.attrib["name"] for case in cases if case.find("failure") is not None]
    assert [name[:8] for name in failed] == ["tcp ipv4", "ICE-E054", "ICE-E024"]
    assert suite.attrib["failures"] == "3"
    # A way that nobody asked for is no failure.
    assert suite.attrib["skipped"] == "1"


class _Tags(HTMLParser):
    VOID = frozenset({"meta", "br", "rect", "path", "circle"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.VOID:
            assert self.open.pop() == tag


def test_html_page_is_well_formed_has_plots_and_loads_nothing() -> None:
    page = to_html(SAMPLE)
    parser = _Tags()
    parser.feed(page)
    parser.close()
    assert parser.open == []
    tags = [tag for tag, _ in parser.seen]
    assert tags.count("svg") == 3  # stages, round trips, throughput
    assert not {"script", "link", "img", "iframe", "object"} & set(tags)
    loading = {"src", "href", "xlink:href", "srcset", "data", "action", "background"}
    assert not any(loading & set(attributes) for _, attributes in parser.seen)
    assert not re.search(r"https?://|//\w|url\(|@import", page)
    assert "&lt;script&gt;" in page


def test_paste_shows_no_address_no_name_and_no_secret() -> None:
    text = to_markdown(redact(SAMPLE, [USER, PASSWORD]))
    for hidden in (*ADDRESSES, NAME, USER, PASSWORD, "example.org"):
        assert hidden not in text
    for shown in ("ICE-E054", "private-ipv4-", "name-", "401", "TLSv1.3", "eth0"):
        assert shown in text
    assert "<script>" not in text


def test_paste_keeps_what_an_address_is_and_which_are_the_same() -> None:
    redactor = Redactor([], [])
    assert redactor.text("1.1.1.1:53 10.0.0.1 1.1.1.1 fd00::1 [2606:4700::1]:80") == (
        "public-ipv4-1:53 private-ipv4-1 public-ipv4-1 private-ipv6-1 [public-ipv6-1]:80"
    )


def test_paste_for_a_user_whose_name_is_a_word_of_the_report() -> None:
    report = redact(SAMPLE, ["udp", "ok", "in", "alice"])
    assert [row.transport.value for row in report.rows] == ["udp", "tls", "tcp"]
    assert report.nat[0].mapping is SAMPLE.nat[0].mapping
    assert "alice" not in to_markdown(report)
    assert Redactor(["p"], []).text("p: a port") == "(hidden): a port"


def test_paste_leaves_times_versions_and_the_metadata_address() -> None:
    text = "2026-11-21T08:00:00Z TLSv1.3 coturn-4.6.1 169.254.169.254 12:30:00"
    assert Redactor([], []).text(text) == text


@pytest.mark.parametrize(
    ("address", "kind"),
    [
        ("127.0.0.1", "loopback"),
        ("::1", "loopback"),
        ("::ffff:127.0.0.1", "loopback"),
        ("10.0.0.1", "private"),
        ("100.64.0.1", "private"),
        ("fd00::1", "private"),
        ("fe80::1%eth0", "link-local"),
        ("224.0.0.1", "multicast"),
        ("0.0.0.0", "unspecified"),
        ("1.1.1.1", "public"),
    ],
)
def test_address_classes(address: str, kind: str) -> None:
    assert address_class(address) == kind


def test_table_says_everything_that_matters() -> None:
    console = Console(file=io.StringIO(), width=200, force_terminal=True)
    print_report(SAMPLE, console)
    text = console.file.getvalue()  # type: ignore[attr-defined]
    for shown in ("ICE-E054", "12 ms", "✗ 401", "10.1.2.3:50000", "works in part", "\x1b["):
        assert shown in text


def test_durations_and_rates_as_people_say_them() -> None:
    assert [milliseconds(each) for each in (None, 0.00042, 0.012, 1.26)] == [
        "–",
        "0.42 ms",
        "12 ms",
        "1.3 s",
    ]
    assert [rate(each) for each in (None, 850e3, 12.5e6)] == ["–", "850 kbit/s", "12.5 Mbit/s"]

"""The reports that machines read: JSON with a versioned schema, and JUnit XML."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from typing import Any

import msgspec

from ice_client.check.results import Finding, Report, Row

SCHEMA_ID = "https://turnd.invalid/schemas/ice-check-1.json"
"""An identifier, not a place to fetch from: `.invalid` never resolves (RFC 6761)."""

_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def to_json(report: Report) -> str:
    """Return the report as JSON; docs/ice-check.schema.json describes it."""
    return msgspec.json.format(msgspec.json.encode(report)).decode()


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema (2020-12) of the report."""
    schema = msgspec.json.schema(Report)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": SCHEMA_ID,
        "title": "A report of ice-check",
        **schema,
    }


def to_junit(report: Report) -> str:
    """Return the report as JUnit XML: a case for each row and for each finding.

    Rows that were only tried for what they tell are skipped if they fail; warnings and notes
    pass, and say what they have to say as output.
    """
    cases = [_row_case(row) for row in report.rows]
    cases += [_finding_case(finding) for finding in report.findings]
    suite = ET.Element(
        "testsuite",
        name="ice-check",
        timestamp=report.started,
        time=f"{report.seconds:.3f}",
        hostname=_clean(report.target),
        tests=str(len(cases)),
        failures=str(sum(case.find("failure") is not None for case in cases)),
        skipped=str(sum(case.find("skipped") is not None for case in cases)),
        errors="0",
    )
    suite.extend(cases)
    root = ET.Element("testsuites")
    root.append(suite)
    ET.indent(root)
    return ET.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def _row_case(row: Row) -> ET.Element:
    seconds = sum(stage.seconds or 0.0 for stage in row.stages)
    case = ET.Element(
        "testcase", classname="ice-check.way", name=_clean(row.label), time=f"{seconds:.3f}"
    )
    failure = row.failure
    if failure is not None:
        text = _clean(f"{failure.name.value}: {failure.detail}")
        ET.SubElement(case, "failure" if row.expected else "skipped", message=text)
    elif not row.stages:
        ET.SubElement(case, "skipped", message="not tried")
    return case


def _finding_case(finding: Finding) -> ET.Element:
    name = _clean(f"{finding.id} {finding.title} ({finding.where})")
    case = ET.Element("testcase", classname="ice-check.verdict", name=name, time="0")
    text = _clean(f"{finding.detail}\n{finding.explanation}\nFix: {finding.fix}")
    if finding.severity == "error":
        ET.SubElement(case, "failure", message=_clean(finding.title), type=finding.id).text = text
    else:
        ET.SubElement(case, "system-out").text = text
    return case


def _clean(text: str) -> str:
    # A server's reason phrase may hold what XML cannot.
    return _NOT_XML.sub("\N{REPLACEMENT CHARACTER}", text)

"""The table of verdicts, its documentation, and the promise that tests provoke each of them."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import pytest

from ice_client.check.verdicts import TABLE, Severity, Verdict
from tests.ice_client.check.kit import PROVOKED

ROOT = Path(__file__).resolve().parents[3]
PAGE = (ROOT / "docs/ice-check.md").read_text(encoding="utf-8")
SECTIONS = dict(
    re.findall(r"^### (ICE-[EWI]\d{3}: .*?)\n\n(.*?)(?=\n### |\Z)", PAGE, re.MULTILINE | re.DOTALL)
)


@pytest.mark.parametrize("verdict", TABLE.values(), ids=lambda each: each.id)
def test_verdict_is_documented_word_for_word(verdict: Verdict) -> None:
    section = " ".join(SECTIONS[f"{verdict.id}: {verdict.title}"].split())
    assert section == f"{verdict.explanation} **Fix:** {verdict.fix}"


def test_nothing_is_documented_that_is_not_in_the_table() -> None:
    assert {title.partition(":")[0] for title in SECTIONS} == set(TABLE)


def test_ids_are_unique_numbers_with_the_letter_of_their_severity() -> None:
    letters = {Severity.ERROR: "E", Severity.WARNING: "W", Severity.INFO: "I"}
    for id_, verdict in TABLE.items():
        assert id_ == verdict.id
        assert re.fullmatch(rf"ICE-{letters[verdict.severity]}\d{{3}}", id_)
        assert not verdict.title.endswith(".")
        assert verdict.fix.endswith(".")
    numbers = [id_[5:] for id_ in TABLE]
    assert len(set(numbers)) == len(numbers)


def test_every_verdict_has_a_test_that_provokes_it() -> None:
    for name in ("test_reach", "test_credentials", "test_relays", "test_certificates"):
        importlib.import_module(f"tests.ice_client.check.{name}")
    importlib.import_module("tests.ice_client.check.test_network")
    assert set(TABLE) == PROVOKED

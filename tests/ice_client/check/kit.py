"""What the verdict tests share: a short check, and the promise which verdicts a test provokes."""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable
from typing import Any, ParamSpec

import attrs
import trio

from ice_client.check.check import CheckOptions, run_check
from ice_client.check.results import Report
from ice_client.check.sources import parse_uri
from ice_client.check.target import Target
from ice_client.check.verdicts import Verdict

P = ParamSpec("P")

PROVOKED: set[str] = set()
"""The verdicts that tests have promised to provoke, filled as test modules are imported."""

QUICK = CheckOptions(quality=None, nat=False, timeout=1.5)
"""Only what the verdicts on the way and the relay need."""


def provokes(
    *verdicts: Verdict, beside: tuple[Verdict, ...] = ()
) -> Callable[[Callable[P, Awaitable[Report]]], Callable[P, Awaitable[None]]]:
    """Turn an async function that returns a report into a test.

    The report must have exactly these errors and warnings, and those of `beside` at will: one
    mistake, one name for it. Notes (`I`) must be there if named, and may be otherwise.
    """
    PROVOKED.update(each.id for each in verdicts)

    def decorate(function: Callable[P, Awaitable[Report]]) -> Callable[P, Awaitable[None]]:
        @functools.wraps(function)
        async def test(*args: P.args, **kwargs: P.kwargs) -> None:
            with trio.fail_after(60):
                report = await function(*args, **kwargs)
            found = {each.id: each for each in report.findings}
            wanted = {each.id for each in verdicts}
            assert wanted <= set(found), f"found {sorted(found)}\n{report}"
            others = {id_ for id_ in found if "-I" not in id_} - wanted
            assert others <= {each.id for each in beside}, f"{others}\n{report}"
            errors = any(each.severity == "error" for each in report.findings)
            assert report.works is not errors

        return test

    return decorate


async def check(
    *uris: str, options: CheckOptions = QUICK, changes: dict[str, Any] | None = None, **target: Any
) -> Report:
    """Check one target.

    Args:
        uris: its URIs.
        options: what to try.
        changes: fields of the options to change.
        target: fields of the target.

    """
    options = attrs.evolve(options, **(changes or {}))
    parsed = tuple(map(parse_uri, uris))
    return await run_check([Target(uris=parsed, **target)], options)

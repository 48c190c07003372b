"""The example in docs/ice-agent.md runs, and its table names what there is."""

from __future__ import annotations

import re
import subprocess
import sys

import attrs

from ice_client import Agent, AgentOptions
from tests.interop.tools import REPOSITORY

PAGE = (REPOSITORY / "docs" / "ice-agent.md").read_text(encoding="utf-8")


def test_the_example_connects_two_agents() -> None:
    (example,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", example],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "b'hello'\n", "")


def test_every_option_is_described_and_every_name_exists() -> None:
    described = set(re.findall(r"`AgentOptions\.(\w+)`", PAGE))
    fields = {field.name for field in attrs.fields(AgentOptions)}
    assert described == fields - {"servers", "turn_timing"}
    for name in re.findall(r"`agent\.(\w+)", PAGE):
        assert hasattr(Agent, name), name

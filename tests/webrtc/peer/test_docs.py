"""The examples in docs/webrtc.md run, and its tables name what there is."""

from __future__ import annotations

import re
import subprocess
import sys

import attrs
import pytest

from tests.interop.tools import REPOSITORY
from webrtc import (
    Configuration,
    DataChannel,
    PeerConnection,
    RtpReceiver,
    RtpSender,
    RtpTransceiver,
)

PAGE = (REPOSITORY / "docs" / "webrtc.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
PRINTED = ["chat hello\n", "a picture of 320x240\n", "letter.txt 256000 True\n"]
KINDS = {
    "pc": PeerConnection,
    "channel": DataChannel,
    "receiver": RtpReceiver,
    "sender": RtpSender,
    "transceiver": RtpTransceiver,
}


def test_every_example_is_tried() -> None:
    assert len(EXAMPLES) == len(PRINTED)


@pytest.mark.parametrize(("example", "printed"), list(zip(EXAMPLES, PRINTED, strict=False)))
def test_the_example_runs(example: str, printed: str) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", example],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, printed, "")


def test_every_option_is_described() -> None:
    table = PAGE[PAGE.index("## The connection") : PAGE.index("| browser |")]
    described = set(re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE))
    assert described == {field.name for field in attrs.fields(Configuration)}


def test_every_name_exists() -> None:
    found = re.findall(r"\b(pc|channel|receiver|sender|transceiver)\.(\w+)", PAGE)
    assert len(found) > 30
    for owner, name in found:
        # Attributes that are made in __init__ are not the class's.
        assert hasattr(KINDS[owner], name) or f"self.{name} = " in _source(KINDS[owner]), name


def _source(kind: type) -> str:
    module = sys.modules[kind.__module__].__file__
    assert module is not None
    with open(module, encoding="utf-8") as file:
        return file.read()

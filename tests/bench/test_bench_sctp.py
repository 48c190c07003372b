"""The data-channel measurement runs and prints every cell of its table."""

import json
import re
from pathlib import Path

from click.testing import CliRunner

from bench.sctp import main


def test_a_short_run_prints_ours_beside_aiortcs(tmp_path: Path) -> None:
    output = tmp_path / "samples.json"
    arguments = ["--rounds", "1", "--megabytes", "0.5", "--size", "1000", "--size", "16384"]
    result = CliRunner().invoke(main, [*arguments, "--output", str(output)])
    assert result.exit_code == 0, result.output
    row = re.compile(r"^\| (\d+) \| [\d.]+ \| [\d.]+ \([\d.]+x\) \| [\d.]+", re.MULTILINE)
    rows = row.findall(result.output)
    assert rows == ["1000", "16384"]
    samples = json.loads(output.read_text())["samples"]
    assert set(samples) == {"aiortc", "one by one", "in batches"}

"""The documentation says what is so."""

import re
from pathlib import Path

import pytest
from prometheus_client import generate_latest

from stun import Family, IntegrityAlgorithm, Message
from turnd.admin.metrics import LiveValues, Metrics
from turnd.core.five_tuple import Transport
from turnd.datapath.interface import Direction, Drop, PacketCount, Totals
from turnd.transports.totals import TransportCounters

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", page.read_text()):
        if "://" not in target:
            assert (page.parent / target).exists(), target


def test_readme_leads_with_the_two_commands() -> None:
    text = (ROOT / "README.md").read_text()
    assert text.index("make run") < text.index("make test") < text.index("## ")


def test_stun_example_runs() -> None:
    (example,) = re.findall(r"```python\n(.*?)```", (ROOT / "docs/stun.md").read_text(), re.DOTALL)
    names: dict[str, object] = {}
    exec(example, names)
    message = names["message"]
    assert isinstance(message, Message)
    assert message.verify(IntegrityAlgorithm.SHA1, names["key"])  # type: ignore[arg-type]


def test_every_metric_is_in_the_table_and_every_name_of_the_table_exists() -> None:
    totals = Totals(
        {(Direction.TO_PEER, Transport.UDP, Family.IPV4): PacketCount(1, 1)},
        {Drop.MALFORMED: 1},
        1,
    )
    live = LiveValues(lambda: totals, TransportCounters().snapshot, lambda: False, lambda: 0.0)
    exported = generate_latest(Metrics([], live, per_realm=False).registry).decode()
    names = {
        name
        for name in re.findall(r"^# TYPE (turnd_\w+)", exported, re.MULTILINE)
        if not name.endswith("_created")
    }
    page = (ROOT / "docs/metrics.md").read_text()
    page = page.replace("`…_closed_total`", "`turnd_allocations_closed_total`", 1)
    page = page.replace("`…_refused_total`", "`turnd_connections_refused_total`", 1)
    documented = set(re.findall(r"`(turnd_\w+)`", page))
    assert documented == names


def test_every_signal_of_the_table_is_handled() -> None:
    text = (ROOT / "docs/operating.md").read_text()
    handled = (ROOT / "turnd/app.py").read_text()
    signals = re.findall(r"^\| ((?:TERM|HUP|USR1|USR2)[A-Z, ]*) \|", text, re.MULTILINE)
    for name in ", ".join(signals).split(", "):
        assert f"signal.SIG{name}" in handled

"""What the kernel and the load generator write is read right."""

from pathlib import Path

import pytest

from bench.cells import cells
from bench.load import LoadError, Target, command, parse
from bench.machine import cpu_model
from bench.networks import Network, kernel_threads
from bench.process import CoreTime, parse_core_time, parse_cpu_seconds, parse_rss
from bench.servers import BareRelay, Coturn, Turnd
from turnd.config import load_config

NETWORK = Network(
    name="somewhere",
    server_address="10.0.0.1",
    first_load_address="10.1.0.1",
    load_network="10.1.0.0/16",
    load_prefix=("inside",),
    server_threads=(9,),
    load_threads=(10,),
)
STAT = """\
cpu  300 20 100 5000 7 1 2 30 0 0
cpu0 100 10 50 2500 3 1 1 20 0 0
cpu1 200 10 50 2500 4 0 1 10 0 0
cpu10 1 1 1 1 1 1 1 1 0 0
"""


def test_a_report_is_one_line_of_json() -> None:
    report = parse('{"sent": 10, "delivered": 9, "seconds": 1.5, "load_cpu": 1.2, "p50_us": 3.5}\n')
    assert (report.sent, report.delivered, report.seconds, report.p50_us) == (10, 9, 1.5, 3.5)
    assert report.p99_us is None


@pytest.mark.parametrize("line", ["", "loadgen: bind", '{"sent": 10}', '{"seconds": "1"}', "[]"])
def test_anything_else_is_no_report(line: str) -> None:
    with pytest.raises(LoadError, match="not a report"):
        parse(line)


def test_the_load_runs_on_its_own_core_and_watches_every_process_of_the_server() -> None:
    line = command(Path("loadgen"), "binding", ["--seconds", "1"], NETWORK, Target(2000, (7, 8)))
    assert " ".join(line) == (
        "taskset -c 1 inside loadgen binding --seconds 1 --local 10.1.0.1"
        " --server 10.0.0.1:2000 --pid 7 --pid 8 --pid 9"
    )


def test_the_direct_path_has_no_server() -> None:
    line = command(Path("loadgen"), "direct", [], NETWORK)
    assert "--server" not in line
    assert "--pid" not in line


def test_kernel_threads_are_found_by_the_beginning_of_their_name(tmp_path: Path) -> None:
    for pid, name in ((1, "init"), (21, "napi/eth0-1"), (3, "napi/eth0-2"), (4, "napi/eth01-3")):
        (tmp_path / str(pid)).mkdir()
        (tmp_path / str(pid) / "comm").write_text(f"{name}\n")
    (tmp_path / "5").mkdir()
    assert kernel_threads("napi/eth0-", tmp_path) == (3, 21)
    assert kernel_threads("napi/eth1-", tmp_path) == ()


def test_a_core_is_busy_with_processes_and_interrupts() -> None:
    assert parse_core_time(STAT, 1, 100) == CoreTime(busy=2.61, stolen=0.1)
    assert parse_core_time(STAT, 10, 1) == CoreTime(busy=5.0, stolen=1.0)


def test_a_core_that_is_not_there_is_told() -> None:
    with pytest.raises(ValueError, match="no core 2"):
        parse_core_time(STAT, 2, 100)


def test_cpu_time_is_read_past_any_name_a_process_may_have() -> None:
    # proc(5): the fields 14 and 15 are utime and stime; field 2 is the name in parentheses.
    stat = "42 (a b) c) S 1 42 42 0 -1 4194304 100 0 0 0 250 150 9 9 20 0 1 0 100 1000 10"
    assert parse_cpu_seconds(stat, 100) == 4.0


def test_resident_memory_is_read_in_bytes() -> None:
    assert parse_rss("Name:\tx\nVmHWM:\t  9 kB\nVmRSS:\t     2048 kB\n") == 2048 * 1024
    with pytest.raises(ValueError, match="VmRSS"):
        parse_rss("Name:\tkthreadd\n")


def test_the_cpu_is_named_as_the_kernel_names_it() -> None:
    assert cpu_model("processor\t: 0\nmodel name\t: Some CPU @ 2: fast\n") == "Some CPU @ 2: fast"
    assert cpu_model("processor\t: 0\n") == "unknown CPU"


def test_coturn_is_told_its_port_its_user_and_one_relay_thread(tmp_path: Path) -> None:
    line = Coturn(program="other-turnserver").command(tmp_path, NETWORK, 20007)
    text = (tmp_path / "turnserver.conf").read_text().splitlines()
    assert line == ["other-turnserver", "-c", str(tmp_path / "turnserver.conf")]
    assert {
        "listening-ip=10.0.0.1",
        "listening-port=20007",
        "relay-ip=10.0.0.1",
        "relay-threads=1",
        "user=bench:bench",
    } <= set(text)


def test_a_further_port_is_filled_into_coturns_settings_and_is_another(tmp_path: Path) -> None:
    server = Coturn(settings=("udp-gso", "multiplex-peer-port={port}"))
    server.command(tmp_path, NETWORK, 20007)
    *_, flag, setting = (tmp_path / "turnserver.conf").read_text().splitlines()
    name, _, port = setting.partition("=")
    assert (flag, name) == ("udp-gso", "multiplex-peer-port")
    assert int(port) > 20007


def test_the_bare_relay_takes_only_what_it_does_as_a_server_would() -> None:
    taken = {key for key, cell in cells().items() if BareRelay("bare", "mmsg").takes(cell)}
    assert {"channel-up-160", "flows-both-1200-10000", "paced-100", "binding"} <= taken
    assert taken.isdisjoint({"send-up-160", "data-down-160", "allocate", "idle", "idle-15000"})


def test_turnd_takes_the_configuration_written_for_it(tmp_path: Path) -> None:
    Turnd("turnd-portable", "portable").command(tmp_path, NETWORK, 20008)
    config = load_config(tmp_path / "turnd.toml")
    assert [str(endpoint) for endpoint in config.listen.udp] == ["10.0.0.1:20008"]
    assert [str(address) for address in config.relay.addresses] == ["10.0.0.1"]
    assert [str(network) for network in config.peers.allow] == ["10.1.0.0/16"]
    assert config.server.datapath == "portable"
    assert config.listen.tcp == ()

"""The server as its operator meets it: start, signals, reload, drain, and reasons not to start."""

from __future__ import annotations

import json
import os
import selectors
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from stun import IntegrityAlgorithm, Message, MessageClass, Method
from stun import attributes as a
from stun.credentials import long_term_key_md5
from tests.e2e.server import ROOT, ServerUnderTest, free_port, wait_until_ready

HOST = "127.0.0.1"
REALM = "example.org"


def config_text(port: int, metrics_port: int, password: str = "pass") -> str:
    return f"""
[server]
realm = "{REALM}"
[listen]
udp = ["{HOST}:{port}"]
tcp = ["{HOST}:{port}"]
tls = []
dtls = []
[[auth.users]]
name = "user"
password = "{password}"
[metrics]
listen = "{HOST}:{metrics_port}"
[log]
format = "json"
level = "debug"
"""


def spawn(config: Path, log: Path) -> subprocess.Popen[bytes]:
    with log.open("ab") as stream:
        return subprocess.Popen(
            [sys.executable, "-m", "turnd", "-c", str(config)], cwd=ROOT, stderr=stream
        )


@contextmanager
def started(folder: Path) -> Iterator[ServerUnderTest]:
    port, metrics_port = free_port([HOST]), free_port([HOST])
    config = folder / "turnd.toml"
    config.write_text(config_text(port, metrics_port))
    log = folder / "turnd.log"
    process = spawn(config, log)
    try:
        server = ServerUnderTest(process, port, metrics_port, log)
        wait_until_ready(server)
        yield server
    finally:
        process.kill()
        process.wait()


def wait_for_log(server: ServerUnderTest, event: str) -> dict[str, object]:
    """Follow the log until an event is there."""
    with selectors.DefaultSelector() as selector:
        for _ in range(1200):  # a minute, which only failures take
            for line in server.log_lines():
                if line["event"] == event:
                    return line
            selector.select(0.05)
    raise AssertionError(f"{event} is not in the log:\n{server.log.read_text()}")


class Client:
    """A TURN client of a few lines."""

    def __init__(self, port: int, password: str = "pass") -> None:
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.settimeout(10)
        self.sock.connect((HOST, port))
        self.key = long_term_key_md5("user", REALM, password)
        self.nonce = b""

    def ask(self, method: Method, *attributes: tuple[int, bytes]) -> int:
        for _ in range(2):
            listed = [*attributes]
            sign = []
            if self.nonce:
                listed += [a.USERNAME.of("user"), a.REALM.of(REALM), a.NONCE.of(self.nonce)]
                sign = [(IntegrityAlgorithm.SHA1, self.key)]
            request = Message.build(method, MessageClass.REQUEST, os.urandom(12), listed)
            self.sock.send(request.encode(sign=sign))
            answer = Message.decode(self.sock.recv(2000))
            error = answer.get(a.ERROR_CODE)
            if error is None:
                return 0
            if self.nonce:
                return error.code
            self.nonce = answer.get(a.NONCE) or b""
        raise AssertionError("no answer but a challenge")

    def allocate(self) -> int:
        return self.ask(Method.ALLOCATE, a.REQUESTED_TRANSPORT.of(17))


@pytest.fixture
def client_of() -> Iterator[Callable[..., Client]]:
    clients: list[Client] = []

    def make(server: ServerUnderTest, password: str = "pass") -> Client:
        clients.append(Client(server.port, password))
        return clients[-1]

    yield make
    for client in clients:
        client.sock.close()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_server_ends_cleanly_and_ends_its_sessions(
    tmp_path: Path, number: signal.Signals, client_of: Callable[..., Client]
) -> None:
    with started(tmp_path) as server:
        assert client_of(server).allocate() == 0
        server.process.send_signal(number)
        assert server.process.wait(15) == 0
    closed = wait_for_log(server, "allocation-closed")
    assert closed["reason"] == "shutdown"
    assert "Traceback" not in server.log.read_text()


def test_hup_takes_a_changed_configuration_and_keeps_calls(
    tmp_path: Path, client_of: Callable[..., Client]
) -> None:
    with started(tmp_path) as server:
        old = client_of(server)
        assert old.allocate() == 0
        (tmp_path / "turnd.toml").write_text(
            config_text(server.port, server.metrics_port, "another")
        )
        server.process.send_signal(signal.SIGHUP)
        wait_for_log(server, "configuration-reloaded")
        assert client_of(server).allocate() == 401
        assert client_of(server, "another").allocate() == 0
        assert old.ask(Method.REFRESH) == 0
        assert wait_for_log(server, "request-rejected")["user"] == "user"
        assert "needs-restart" not in server.log.read_text()


def test_hup_names_the_keys_that_only_a_start_puts_in_force(tmp_path: Path) -> None:
    with started(tmp_path) as server:
        text = config_text(server.port, server.metrics_port)
        (tmp_path / "turnd.toml").write_text(
            text.replace("[server]", "[server]\nthreads = 3")
            + f'file = "{tmp_path / "elsewhere.log"}"\n[auth]\nuser_database = "users.db"\n'
            + '[relay]\npermission_lifetime = 200\n[[realms]]\nname = "added.example"\n'
        )
        server.process.send_signal(signal.SIGHUP)
        line = wait_for_log(server, "needs-restart")
        assert line["changed"] == ["server.threads", "auth.user_database", "log.file"]
        # What is likely unwanted is said in the log, not beside it.
        assert "permission_lifetime" in str(wait_for_log(server, "configuration-remark")["detail"])


def test_hup_refuses_relay_addresses_that_are_not_there(
    tmp_path: Path, client_of: Callable[..., Client]
) -> None:
    with started(tmp_path) as server:
        text = config_text(server.port, server.metrics_port)
        (tmp_path / "turnd.toml").write_text(text + '[relay]\naddresses = ["192.0.2.77"]\n')
        server.process.send_signal(signal.SIGHUP)
        line = wait_for_log(server, "configuration-not-reloaded")
        assert "relay.addresses: 192.0.2.77" in str(line["error"])
        assert client_of(server).allocate() == 0


def test_hup_reads_variables_that_name_files_without_a_configuration_file(tmp_path: Path) -> None:
    port, metrics_port = free_port([HOST]), free_port([HOST])
    secrets, log = tmp_path / "secrets", tmp_path / "turnd.log"
    secrets.write_text("first-secret-that-is-long\n")
    environ = {
        "TURND_LISTEN__UDP": f"{HOST}:{port}",
        "TURND_LISTEN__TCP": f"{HOST}:{port}",
        "TURND_LISTEN__TLS": "",
        "TURND_LISTEN__DTLS": "",
        "TURND_METRICS__LISTEN": f"{HOST}:{metrics_port}",
        "TURND_LOG__FORMAT": "json",
        "TURND_AUTH__SECRETS_FILE": str(secrets),
    }
    with log.open("ab") as stream:
        process = subprocess.Popen(
            [sys.executable, "-m", "turnd", "run"],
            cwd=ROOT,
            stderr=stream,
            env=os.environ | environ,
        )
    try:
        server = ServerUnderTest(process, port, metrics_port, log)
        wait_until_ready(server)
        secrets.write_text("short\n")
        process.send_signal(signal.SIGHUP)
        wait_for_log(server, "configuration-reloaded")
        assert "can be guessed" in str(wait_for_log(server, "configuration-remark")["detail"])
    finally:
        process.kill()
        process.wait()


def test_hup_with_a_broken_configuration_changes_nothing(
    tmp_path: Path, client_of: Callable[..., Client]
) -> None:
    with started(tmp_path) as server:
        (tmp_path / "turnd.toml").write_text("[server]\nrealm = 5\n")
        server.process.send_signal(signal.SIGHUP)
        line = wait_for_log(server, "configuration-not-reloaded")
        assert "turnd.toml:2: server.realm" in str(line["error"])
        assert client_of(server).allocate() == 0


def status(server: ServerUnderTest, path: str) -> int:
    try:
        with urllib.request.urlopen(f"http://{HOST}:{server.metrics_port}{path}") as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code


def test_usr1_drains_and_ends_with_the_last_call(
    tmp_path: Path, client_of: Callable[..., Client]
) -> None:
    with started(tmp_path) as server:
        assert status(server, "/ready") == 200
        client = client_of(server)
        assert client.allocate() == 0
        server.process.send_signal(signal.SIGUSR1)
        wait_for_log(server, "draining")
        assert status(server, "/ready") == 503
        assert status(server, "/health") == 200
        assert "turnd_draining 1.0" in server.metrics()
        assert client_of(server).allocate() == 508
        assert client.ask(Method.REFRESH, a.LIFETIME.of(0)) == 0
        assert server.process.wait(15) == 0


def test_usr2_reads_certificates_and_harms_nothing(
    tmp_path: Path, client_of: Callable[..., Client]
) -> None:
    with started(tmp_path) as server:
        server.process.send_signal(signal.SIGUSR2)
        wait_for_log(server, "signal")
        assert client_of(server).allocate() == 0


def test_port_that_is_taken_is_named(tmp_path: Path) -> None:
    with started(tmp_path) as server:
        second = tmp_path / "second.log"
        process = spawn(tmp_path / "turnd.toml", second)
        assert process.wait(60) == 1
        assert f"cannot listen on udp {HOST}:{server.port}" in second.read_text()
        assert "Traceback" not in second.read_text()


def test_metrics_port_that_is_taken_is_named(tmp_path: Path) -> None:
    with socket.create_server((HOST, 0)) as taken:
        config = tmp_path / "turnd.toml"
        taken_port = taken.getsockname()[1]
        config.write_text(config_text(free_port([HOST]), taken_port))
        process = spawn(config, tmp_path / "log")
        assert process.wait(60) == 1
        text = (tmp_path / "log").read_text()
        assert f"metrics.listen: cannot listen on tcp {HOST}:{taken_port}" in text
        assert "Traceback" not in text


@pytest.mark.parametrize(
    ("line", "says"),
    [
        # A realm that no certificate could name is no reason.
        ('realm = "no..host name"\npidfile = "."', "server.pidfile: "),
        ('[relay]\naddresses = ["192.0.2.77"]', "relay.addresses: 192.0.2.77: "),
    ],
)
def test_what_keeps_it_from_starting_is_said_in_a_line(
    tmp_path: Path, line: str, says: str
) -> None:
    config = tmp_path / "turnd.toml"
    config.write_text(
        f"[listen]\nudp = ['{HOST}:0']\ntcp = []\ntls = ['{HOST}:0']\ndtls = []\n"
        f"[metrics]\nlisten = ''\n[server]\n{line}\n"
    )
    process = spawn(config, tmp_path / "log")
    assert process.wait(60) == 1
    text = (tmp_path / "log").read_text()
    assert f"error: {says}" in text
    assert "Traceback" not in text


def test_demo_prints_ice_servers_that_work() -> None:
    port = free_port([HOST])
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "turnd", "run", "--demo", "--metrics", ""),
            *("--listen-udp", f"{HOST}:{port}", "--listen-tcp", f"{HOST}:{port}"),
            *("--listen-tls", f"{HOST}:{free_port([HOST])}", "--listen-dtls", f"{HOST}:{port}"),
        ],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    try:
        lines: list[str] = []
        while not lines or not lines[-1].startswith("Stop with Ctrl-C"):
            line = process.stdout.readline()
            assert line, process.communicate()
            lines.append(line)
        text = "".join(lines)
        json_text = text[text.index("{") : text.rindex("}") + 1]
        stun_server, turn_server = json.loads(json_text)["iceServers"]
        assert stun_server["urls"] == [f"stun:{HOST}:{port}"]
        outcome = subprocess.run(
            [
                *("turnutils_uclient", "-p", str(port), "-y", "-c", "-n", "3", "-m", "2"),
                *("-u", turn_server["username"], "-w", turn_server["credential"], HOST),
            ],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert "Total lost packets 0 " in outcome.stdout + outcome.stderr
        process.send_signal(signal.SIGINT)
        assert process.wait(15) == 0
    finally:
        process.kill()
        process.communicate()

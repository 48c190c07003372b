import io
import json
import logging
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
import structlog

from stun import Address, ErrorCode, Method
from turnd.admin.line_budget import LINES
from turnd.admin.logs import EventLogger, LogFile, configure_logging
from turnd.core import outputs as o
from turnd.core.five_tuple import FiveTuple, Transport
from turnd.core.tables import RelayedAddress, Traffic

CLIENT = FiveTuple(
    Transport.TLS, Address.parse("198.51.100.20", 40000), Address.parse("192.0.2.15", 5349)
)
PEER = Address.parse("127.0.0.1", 80)
RELAYED = RelayedAddress(Address.parse("10.0.0.5", 50000), Address.parse("203.0.113.5", 50000))


@pytest.fixture(autouse=True)
def restore_logging() -> Iterator[None]:
    handlers, level = logging.root.handlers[:], logging.root.level
    yield
    structlog.reset_defaults()
    logging.root.handlers[:] = handlers
    logging.root.setLevel(level)


def lines(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def logged(tmp_path: Path, level: str, *outputs: o.Output) -> list[dict[str, object]]:
    path = tmp_path / "turnd.log"
    with closing(LogFile(path)) as file:
        configure_logging(level, "json", file)
        logger = EventLogger()
        for output in outputs:
            logger.handle(output)
    return lines(path)


def answered(code: int, reason: str = "") -> o.RequestAnswered:
    return o.RequestAnswered(CLIENT, Method.ALLOCATE, code, "example.org", reason, "")


def test_session_is_told_in_one_line_when_it_begins_and_one_when_it_ends(tmp_path: Path) -> None:
    opened, closed = logged(
        tmp_path,
        "info",
        o.AllocationOpened(7, CLIENT, "alice", "example.org", (RELAYED,), 600),
        o.AllocationClosed(
            7,
            CLIENT,
            "alice",
            "example.org",
            "expired",
            12.34567,
            Traffic(1, 2, 3, 4),
            Transport.TLS,
        ),
    )
    assert opened["event"] == "allocation-opened"
    assert opened["session"] == 7
    assert opened["relayed"] == ["203.0.113.5:50000"]
    assert opened["client"] == "198.51.100.20:40000"
    assert opened["transport"] == "tls"
    assert closed["reason"] == "expired"
    assert closed["duration"] == 12.346
    assert [closed[key] for key in ("packets_to_peer", "bytes_to_client")] == [1, 4]


def test_first_challenge_and_stale_nonce_are_no_news(tmp_path: Path) -> None:
    assert (
        logged(
            tmp_path, "info", answered(ErrorCode.UNAUTHENTICATED), answered(ErrorCode.STALE_NONCE)
        )
        == []
    )


def test_wrong_password_is_news(tmp_path: Path) -> None:
    (line,) = logged(tmp_path, "info", answered(ErrorCode.UNAUTHENTICATED, "wrong password"))
    assert line["level"] == "info"
    assert line["reason"] == "wrong password"


def test_denied_peer_is_told_with_its_rule(tmp_path: Path) -> None:
    (line,) = logged(tmp_path, "info", o.PeerDenied(CLIENT, PEER, "peers.allow would open it"))
    assert line["event"] == "peer-denied"
    assert "peers.allow" in str(line["rule"])


@pytest.mark.parametrize(
    "output",
    [
        answered(0),
        o.RequestDropped(CLIENT, "malformed"),
        o.AllocationRefreshed(7, CLIENT, 600),
        o.PermissionInstalled(7, CLIENT, PEER, 0x4000),
    ],
)
def test_everyday_events_are_debug(tmp_path: Path, output: o.Output) -> None:
    assert logged(tmp_path, "info", output) == []
    (line,) = logged(tmp_path, "debug", output)
    assert line["level"] == "debug"


@pytest.mark.parametrize(
    "output",
    [
        o.AllocationMoved(7, CLIENT, CLIENT),
        o.PeerConnection(7, 9, PEER, "connected"),
    ],
)
def test_moves_and_connections_are_info(tmp_path: Path, output: o.Output) -> None:
    (line,) = logged(tmp_path, "info", output)
    assert line["session"] == 7


def test_secrets_are_blotted_out_by_name(tmp_path: Path) -> None:
    path = tmp_path / "turnd.log"
    with closing(LogFile(path)) as file:
        configure_logging("info", "json", file)
        logger = structlog.get_logger()
        logger.info("x", password="p", shared_secret="s", access_token="t", user="u")
        logger.info("x", auth={"users": [{"name": "u", "password": "p"}], "Secrets": ["s"]})
    line, nested = lines(path)
    assert nested["auth"] == {"users": [{"name": "u", "password": "***"}], "Secrets": "***"}
    assert {line["password"], line["shared_secret"], line["access_token"]} == {"***"}
    assert line["user"] == "u"


def test_log_file_is_reopened_after_rotation(tmp_path: Path) -> None:
    path = tmp_path / "turnd.log"
    file = LogFile(path)
    configure_logging("info", "json", file)
    structlog.get_logger().info("before")
    path.rename(tmp_path / "turnd.log.1")
    structlog.get_logger().info("still before")
    file.reopen()
    structlog.get_logger().info("after")
    file.close()
    assert [line["event"] for line in lines(path)] == ["after"]
    assert len(lines(tmp_path / "turnd.log.1")) == 2


def test_log_that_cannot_be_written_stops_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    stream.close()
    monkeypatch.setattr("sys.stderr", stream)
    file = LogFile(None)
    assert file.write("lost") == 0
    file.flush()


def test_a_client_that_fails_again_and_again_does_not_fill_the_log(tmp_path: Path) -> None:
    wrong = [answered(401, "wrong password")] * 1000
    lines = logged(tmp_path, "info", *wrong, answered(486, "too many"))
    assert [line["code"] for line in lines] == [401] * LINES + [486]


def test_people_get_codes_as_numbers(tmp_path: Path) -> None:
    path = tmp_path / "turnd.log"
    with closing(LogFile(path)) as file:
        configure_logging("info", "human", file)
        EventLogger().handle(answered(ErrorCode.ALLOCATION_QUOTA_REACHED))
    assert "code=486" in path.read_text()


def test_people_get_text(tmp_path: Path) -> None:
    path = tmp_path / "turnd.log"
    with closing(LogFile(path)) as file:
        configure_logging("info", "human", file)
        structlog.get_logger().info("hello", number=5)
    assert "hello" in path.read_text()
    assert "number=5" in path.read_text()

import pytest
from hypothesis import given

from stun import Error, IntegrityAlgorithm, Message, MessageClass, Method
from stun import attributes as a
from stun.describe import describe
from stun.values import PasswordAlgorithm
from tests.stun.strategies import messages

TID = bytes(range(12))
SHA1 = IntegrityAlgorithm.SHA1


def binding(*attributes: tuple[int, bytes]) -> Message:
    return Message.build(Method.BINDING, MessageClass.REQUEST, TID, attributes)


def test_description_hides_what_could_be_a_secret() -> None:
    key = b"hunter2"
    message = binding(a.USERNAME.of("alice"), a.NONCE.of(b"n0nce"), a.MOBILITY_TICKET.of(b"t1cket"))
    line = describe(Message.decode(message.encode(sign=[(SHA1, key)])))
    assert line == ("BINDING request: USERNAME 'alice', NONCE, MOBILITY-TICKET, MESSAGE-INTEGRITY")
    assert "n0nce" not in line
    assert "t1cket" not in line


@given(messages())
def test_description_is_one_short_printable_line(message: Message) -> None:
    line = describe(message)
    assert line.isprintable()
    assert len(line) < 4000


@pytest.mark.parametrize(
    "attributes",
    [
        [a.SOFTWARE.of("nice\nERROR all is lost\x1b[2J\u202e")],
        [a.ERROR_CODE.of(Error(400, "no\r\nno"))],
        [a.PASSWORD_ALGORITHM.of(PasswordAlgorithm(1, b"\n" * 5000))],
        [a.UNKNOWN_ATTRIBUTES.of(tuple(range(30000)))],
        [(0xC057, b"x" * 60000)],
        [(0x7777, b"")] * 16000,
    ],
    ids=["text", "reason", "parameters", "many numbers", "many bytes", "many attributes"],
)
def test_description_lets_nobody_write_lines_of_a_log(attributes: list[tuple[int, bytes]]) -> None:
    line = describe(Message.decode(binding(*attributes).encode()))
    assert line.isprintable()
    assert len(line) < 1000


def test_description_names_what_it_does_not_know_by_number() -> None:
    message = Message.build(0x0F1, MessageClass.INDICATION, TID, [(0x7ABC, b"abc")])
    assert describe(message) == "method 0x0f1 indication: 0x7abc (3 bytes)"


def test_description_says_what_is_malformed() -> None:
    line = describe(binding((a.LIFETIME.code, b"abc")))
    assert line == "BINDING request: LIFETIME malformed (the attribute has 4 bytes, not 3)"

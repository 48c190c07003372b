import pytest

from stun import Message, MessageClass, Method
from stun.transaction import ClientTransaction, Timing, TransactionState

TID = bytes(12)
RESPONSE = Message.build(Method.BINDING, MessageClass.SUCCESS_RESPONSE, TID)


def run_out(transaction: ClientTransaction) -> tuple[list[float], float]:
    sent = []
    now = 0.0
    while (deadline := transaction.next_deadline()) is not None:
        now = deadline
        if transaction.poll(now) is not None:
            sent.append(now)
    return sent, now


def test_request_is_sent_at_the_times_of_rfc_8489_6_2_1() -> None:
    transaction = ClientTransaction(b"request", TID, 0.0)
    sent, ended = run_out(transaction)
    assert sent == [0, 0.5, 1.5, 3.5, 7.5, 15.5, 31.5]
    assert ended == 39.5
    assert transaction.state is TransactionState.TIMED_OUT


def test_request_on_a_stream_is_sent_once_and_given_up_after_ti() -> None:
    transaction = ClientTransaction(b"request", TID, 0.0, reliable=True)
    assert run_out(transaction) == ([0], 39.5)


def test_rto_scales_every_time() -> None:
    timing = Timing(rto=0.1, rc=3, rm=4)
    transaction = ClientTransaction(b"request", TID, 0.0, timing=timing)
    sent, ended = run_out(transaction)
    assert sent == pytest.approx([0, 0.1, 0.3])
    assert ended == pytest.approx(0.7)


def test_response_ends_the_transaction_and_tells_the_round_trip_time() -> None:
    transaction = ClientTransaction(b"request", TID, 0.0)
    assert transaction.poll(0.0) == b"request"
    assert transaction.receive(RESPONSE, 0.2)
    assert transaction.response is RESPONSE
    assert transaction.round_trip_time == 0.2
    assert transaction.next_deadline() is None
    assert not transaction.receive(RESPONSE, 0.3)


def test_round_trip_time_is_not_known_after_a_retransmission() -> None:
    transaction = ClientTransaction(b"request", TID, 0.0)
    transaction.poll(0.0)
    transaction.poll(0.5)
    assert transaction.receive(RESPONSE, 0.6)
    assert transaction.round_trip_time is None


@pytest.mark.parametrize(
    "message",
    [
        Message.build(Method.BINDING, MessageClass.SUCCESS_RESPONSE, bytes(11) + b"x"),
        Message.build(Method.BINDING, MessageClass.REQUEST, TID),
        Message.build(Method.BINDING, MessageClass.INDICATION, TID),
    ],
)
def test_what_is_no_response_of_the_request_is_not_taken(message: Message) -> None:
    transaction = ClientTransaction(b"request", TID, 0.0)
    transaction.poll(0.0)
    assert not transaction.receive(message, 0.1)
    assert transaction.state is TransactionState.WAITING

import pytest

from stun import Message, MessageClass, Method
from stun.transaction import ClientTransaction, Timing, TransactionState

TID = bytes(12)
RESPONSE = Message.build(Method.BINDING, MessageClass.SUCCESS_RESPONSE, TID)


def started(*, reliable: bool = False) -> ClientTransaction:
    transaction = ClientTransaction(b"request", TID, reliable=reliable)
    assert transaction.start(0.0) == b"request"
    return transaction


def run_out(transaction: ClientTransaction, start: float = 0.0) -> tuple[list[float], float]:
    transaction.start(start)
    sent = [start]
    now = start
    while (deadline := transaction.next_deadline()) is not None:
        now = deadline
        if transaction.on_deadline(now) is not None:
            sent.append(now)
    return sent, now


@pytest.mark.parametrize("start", [0.0, 1024.0])
def test_request_is_sent_at_the_times_of_rfc_8489_6_2_1(start: float) -> None:
    transaction = ClientTransaction(b"request", TID)
    sent, ended = run_out(transaction, start)
    assert [now - start for now in sent] == [0, 0.5, 1.5, 3.5, 7.5, 15.5, 31.5]
    assert ended - start == 39.5
    assert transaction.state is TransactionState.TIMED_OUT


def test_request_on_a_stream_is_sent_once_and_given_up_after_ti() -> None:
    transaction = ClientTransaction(b"request", TID, reliable=True)
    assert run_out(transaction) == ([0], 39.5)
    assert transaction.state is TransactionState.TIMED_OUT


@pytest.mark.parametrize(
    ("timing", "times", "end"),
    [
        (Timing(rto=0.25), [0, 0.25, 0.75, 1.75, 3.75, 7.75, 15.75], 19.75),
        (Timing(rc=3), [0, 0.5, 1.5], 9.5),
        (Timing(rc=1), [0], 8),
        (Timing(rc=2, rm=4), [0, 0.5], 2.5),
    ],
)
def test_rto_rc_and_rm_are_configurable(timing: Timing, times: list[float], end: float) -> None:
    transaction = ClientTransaction(b"request", TID, timing=timing)
    assert run_out(transaction) == (times, end)


def test_ti_is_configurable() -> None:
    transaction = ClientTransaction(b"request", TID, reliable=True, timing=Timing(ti=5.0))
    assert run_out(transaction) == ([0], 5)


def test_nothing_is_sent_before_its_time() -> None:
    transaction = started()
    assert transaction.on_deadline(0.4) is None
    assert transaction.next_deadline() == 0.5


def test_a_late_call_leaves_the_next_interval_whole() -> None:
    transaction = started()
    assert transaction.on_deadline(10.0) == b"request"
    assert transaction.next_deadline() == 11.0


def test_a_transaction_has_no_deadline_before_it_starts_and_starts_once() -> None:
    transaction = ClientTransaction(b"request", TID)
    assert transaction.next_deadline() is None
    assert transaction.on_deadline(100.0) is None
    assert not transaction.receive(RESPONSE, 100.0)
    transaction.start(100.0)
    with pytest.raises(RuntimeError):
        transaction.start(100.0)


@pytest.mark.parametrize("kind", [MessageClass.SUCCESS_RESPONSE, MessageClass.ERROR_RESPONSE])
def test_response_ends_the_transaction_and_tells_the_round_trip_time(kind: MessageClass) -> None:
    transaction = started()
    response = Message.build(Method.BINDING, kind, TID)
    assert transaction.receive(response, 0.25)
    assert transaction.state is TransactionState.ANSWERED
    assert transaction.response is response
    assert transaction.round_trip_time == 0.25
    assert transaction.next_deadline() is None
    assert transaction.on_deadline(0.5) is None


def test_a_second_response_is_not_taken() -> None:
    transaction = started()
    assert transaction.receive(RESPONSE, 0.2)
    assert not transaction.receive(RESPONSE, 0.3)


def test_a_response_after_the_time_out_is_not_taken() -> None:
    transaction = ClientTransaction(b"request", TID)
    run_out(transaction)
    assert not transaction.receive(RESPONSE, 40.0)
    assert transaction.response is None


def test_round_trip_time_is_not_known_after_a_retransmission() -> None:
    transaction = started()
    transaction.on_deadline(0.5)
    assert transaction.receive(RESPONSE, 0.6)
    assert transaction.round_trip_time is None


@pytest.mark.parametrize("reliable", [False, True])
def test_a_hard_icmp_error_or_a_broken_connection_fails_the_transaction(reliable: bool) -> None:
    transaction = started(reliable=reliable)
    transaction.transport_failed()
    assert transaction.state is TransactionState.FAILED
    assert transaction.next_deadline() is None
    assert not transaction.receive(RESPONSE, 0.1)


def test_an_answered_transaction_cannot_fail_any_more() -> None:
    transaction = started()
    transaction.receive(RESPONSE, 0.1)
    transaction.transport_failed()
    assert transaction.state is TransactionState.ANSWERED


@pytest.mark.parametrize(
    "message",
    [
        Message.build(Method.BINDING, MessageClass.SUCCESS_RESPONSE, bytes(11) + b"x"),
        Message.build(Method.BINDING, MessageClass.REQUEST, TID),
        Message.build(Method.BINDING, MessageClass.INDICATION, TID),
    ],
)
def test_what_is_no_response_of_the_request_is_not_taken(message: Message) -> None:
    transaction = started()
    assert not transaction.receive(message, 0.1)
    assert transaction.state is TransactionState.WAITING

"""Against aiortc's SCTP, as DTLS client and as server, for every kind of reliability."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.webrtc.sctp.aiortc_peer import Call
from webrtc.sctp import ChannelOptions, ChannelState, Closed, CloseReason

KINDS: list[dict[str, Any]] = [
    {"ordered": ordered, **limit}
    for ordered in (True, False)
    for limit in ({}, {"max_retransmits": 0}, {"max_retransmits": 3}, {"max_lifetime": 0.5})
]
MESSAGES: list[str | bytes] = ["text", b"bytes", "", b"", "ä🙂", bytes(range(256)) * 400]
OURS_TO_THEIRS = {"max_retransmits": "maxRetransmits", "max_lifetime": "maxPacketLifeTime"}


def as_aiortc(kind: dict[str, Any]) -> dict[str, Any]:
    theirs = {OURS_TO_THEIRS.get(name, name): value for name, value in kind.items()}
    if "maxPacketLifeTime" in theirs:
        theirs["maxPacketLifeTime"] = round(theirs["maxPacketLifeTime"] * 1000)
    return theirs


@pytest.mark.parametrize("we_are_client", [True, False])
@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_a_channel_we_open_carries_messages_both_ways(
    kind: dict[str, Any], we_are_client: bool
) -> None:
    async def main() -> None:
        async with Call(we_are_client=we_are_client) as call:
            channel = call.ours.open(ChannelOptions(label="ours", protocol="p", **kind))
            for message in MESSAGES:
                channel.send(message, call.now)
            await call.until(lambda: len(call.their_messages) == len(MESSAGES))
            assert call.their_messages == MESSAGES
            (theirs,) = call.their_channels
            assert (theirs.label, theirs.protocol) == ("ours", "p")
            assert {name: getattr(theirs, name) for name in as_aiortc(kind)} == as_aiortc(kind)
            assert theirs.id is not None
            assert theirs.id % 2 == (0 if we_are_client else 1)
            for message in MESSAGES:
                theirs.send(message)
            assert await call.received(channel, len(MESSAGES)) == MESSAGES

    asyncio.run(main())


@pytest.mark.parametrize("we_are_client", [True, False])
@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_a_channel_aiortc_opens_carries_messages_both_ways(
    kind: dict[str, Any], we_are_client: bool
) -> None:
    async def main() -> None:
        async with Call(we_are_client=we_are_client) as call:
            theirs = call.their_channel(label="theirs", protocol="q", **as_aiortc(kind))
            ours = await call.accepted()
            assert ours.options == ChannelOptions(
                label="theirs", protocol="q", id=ours.id, priority=ours.options.priority, **kind
            )
            for message in MESSAGES:
                ours.send(message, call.now)
            await call.until(lambda: len(call.their_messages) == len(MESSAGES))
            assert call.their_messages == MESSAGES
            for message in MESSAGES:
                theirs.send(message)
            assert await call.received(ours, len(MESSAGES)) == MESSAGES

    asyncio.run(main())


@pytest.mark.parametrize("we_are_client", [True, False])
def test_a_negotiated_channel_needs_no_opening(we_are_client: bool) -> None:
    async def main() -> None:
        async with Call(we_are_client=we_are_client) as call:
            ours = call.ours.open(ChannelOptions(negotiated=True, id=7))
            theirs = call.their_channel(negotiated=True, id=7)
            ours.send("a", call.now)
            theirs.send("b")
            assert await call.received(ours, 1) == ["b"]
            await call.until(lambda: call.their_messages == ["a"])

    asyncio.run(main())


@pytest.mark.parametrize("we_are_client", [True, False])
@pytest.mark.parametrize("we_close", [True, False])
def test_closing_resets_both_streams_after_all_messages(
    we_are_client: bool, we_close: bool
) -> None:
    async def main() -> None:
        async with Call(we_are_client=we_are_client) as call:
            ours = call.ours.open(ChannelOptions())
            ours.send(bytes(200_000), call.now)
            await call.until(lambda: len(call.their_channels) == 1)
            (theirs,) = call.their_channels
            if we_close:
                ours.close()
            else:
                await call.until(lambda: bool(call.their_messages))
                theirs.close()
            await call.until(
                lambda: ours.state is ChannelState.CLOSED and theirs.readyState == "closed"
            )
            assert call.their_messages == [bytes(200_000)]
            assert call.ours.channels == ()
            again = call.ours.open(ChannelOptions(id=ours.id))
            again.send("again", call.now)
            await call.until(lambda: "again" in call.their_messages)

    asyncio.run(main())


@pytest.mark.parametrize("we_are_client", [True, False])
def test_everything_arrives_once_and_in_order_over_a_lossy_path(we_are_client: bool) -> None:
    async def main() -> None:
        async with Call(we_are_client=we_are_client, loss=0.03, seed=5) as call:
            channel = call.ours.open(ChannelOptions())
            sent = [index.to_bytes(4, "big") * (index * 997 % 5000 + 1) for index in range(60)]
            for message in sent:
                channel.send(message, call.now)
            await call.until(lambda: len(call.their_messages) == len(sent))
            assert call.their_messages == sent
            (theirs,) = call.their_channels
            for message in sent:
                theirs.send(message)
            assert await call.received(channel, len(sent)) == sent
            assert call.lost > 5

    asyncio.run(main())


@pytest.mark.parametrize("kind", [each for each in KINDS if len(each) > 1], ids=str)
def test_what_is_given_up_on_a_lossy_path_holds_up_nothing_after_it(kind: dict[str, Any]) -> None:
    async def main() -> None:
        async with Call(we_are_client=True, loss=0.15, seed=3) as call:
            partial = call.ours.open(ChannelOptions(**kind))
            reliable = call.ours.open(ChannelOptions())
            sent = [f"{index} " + "x" * 1500 for index in range(60)]
            for message in sent:
                partial.send(message, call.now)
            reliable.send("last", call.now)
            await call.until(lambda: "last" in call.their_messages and not partial.buffered_amount)
            arrived = [message for message in call.their_messages if message != "last"]
            assert len(set(arrived)) == len(arrived)
            assert set(arrived) <= set(sent)
            assert (len(arrived) < len(sent)) == (kind.get("max_retransmits") == 0)
            if kind["ordered"]:
                assert arrived == [message for message in sent if message in arrived]

    asyncio.run(main())


def test_aiortcs_abort_ends_the_association() -> None:
    async def main() -> None:
        async with Call(we_are_client=True) as call:
            channel = call.ours.open(ChannelOptions())
            call.flush()
            await call.theirs.stop()
            await call.until(lambda: any(isinstance(event, Closed) for event in call.events))
            closed = next(event for event in call.events if isinstance(event, Closed))
            assert closed.reason is CloseReason.ABORTED_BY_PEER
            assert channel.state is ChannelState.CLOSED

    asyncio.run(main())

"""An error in one layer of a connection: what it ends, and all that it does not."""

from __future__ import annotations

import contextlib
from typing import Any, NoReturn

import pytest
import trio

from tests.webrtc.peer.peers import TIMEOUT
from tests.webrtc.robust.running_call import RunningCall, running_call
from webrtc import ChannelClosedError, ChannelState, ConnectionFailedError, ConnectionState
from webrtc.transport import PeerTransport


class BugError(Exception):
    """What nobody reckoned with."""


def fails(*_arguments: Any, **_keywords: Any) -> NoReturn:
    raise BugError


async def faults(transport: PeerTransport, count: int = 1) -> None:
    with trio.fail_after(TIMEOUT):
        while transport.counters.faults < count:
            await trio.sleep(0.01)


@pytest.mark.parametrize(
    ("layer", "step"),
    [("channels", "receive"), ("rtp", "receive"), ("dtls", "receive_message")],
)
async def test_a_packet_over_which_a_layer_fails_is_lost_and_counted(
    layer: str, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running_call() as call:
        with monkeypatch.context() as patch:
            patch.setattr(getattr(call.victim, layer), step, fails)
            await call.channel.send("this comes once the bug is gone")
            await faults(call.victim, 3 if layer == "rtp" else 1)
        with trio.fail_after(TIMEOUT):
            assert await call.channel.receive() == "this comes once the bug is gone"
        await call.assert_going_on()


async def pictures_go_on(call: RunningCall) -> None:
    seen = len(call.pictures)
    with trio.fail_after(TIMEOUT):
        while len(call.pictures) < seen + 5:
            await trio.sleep(0.05)


@pytest.mark.parametrize("step", ["take_datagrams", "on_deadline"])
async def test_channels_that_fail_close_and_video_goes_on(
    step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running_call() as call:
        channels = call.victim.channels
        assert channels is not None
        monkeypatch.setattr(channels, step, fails)
        monkeypatch.setattr(channels, "next_deadline", lambda: 0.0)
        with contextlib.suppress(ChannelClosedError):  # they may have failed by themselves
            await call.channel.send("the last one")
        await faults(call.victim)
        with trio.fail_after(TIMEOUT):
            assert [each async for each in call.echoing] in ([], ["the last one"])
        assert call.echoing.state is ChannelState.CLOSED
        await pictures_go_on(call)
        assert call.peers[1].connection_state is ConnectionState.CONNECTED


async def test_media_that_fail_leave_data_channels_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    async with running_call() as call:
        monkeypatch.setattr(call.victim.rtp, "on_deadline", fails)
        await faults(call.victim)
        with trio.fail_after(TIMEOUT):
            await call.channel.send("still there?")
            assert await call.channel.receive() == "still there?"
        assert call.victim.counters.faults == 1
        assert not call.peers[1].transceivers[0].sender.is_ready


async def test_dtls_that_fails_fails_the_connection_and_no_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with running_call() as call, running_call() as other:
        monkeypatch.setattr(call.victim.dtls, "take_datagrams", fails)
        with trio.fail_after(TIMEOUT):
            async for state in call.peers[1].connection_states():
                if state is ConnectionState.FAILED:
                    break
            with pytest.raises(ConnectionFailedError, match="error of this program"):
                await call.peers[1].connected()
        await other.assert_going_on()

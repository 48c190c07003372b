"""What a program or its peer gets wrong, and what it is told."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from functools import partial
from typing import Any

import pytest
import trio
import trio.testing

from tests.webrtc.peer.peers import ON_LOOPBACK, TIMEOUT, connect, two_peers
from webrtc import (
    ChannelClosedError,
    ChannelOptions,
    ConnectionClosedError,
    Description,
    IceCandidate,
    PeerConnection,
    SignallingError,
    WebRtcError,
    negotiate,
)


class Line:
    """Signalling that brings what it is given and then waits."""

    def __init__(self, *messages: Mapping[str, Any], then_ends: bool = False) -> None:
        self._messages = messages
        self._then_ends = then_ends

    async def send(self, message: dict[str, Any]) -> None:
        await trio.lowlevel.checkpoint()

    async def __aiter__(self) -> AsyncIterator[Mapping[str, Any]]:
        for message in self._messages:
            yield message
        if not self._then_ends:
            await trio.sleep_forever()


@pytest.mark.parametrize(
    "value",
    [
        {"type": [], "sdp": ""},
        {"type": {"offer": 1}, "sdp": ""},
        {"type": "offer", "sdp": 5},
        {"type": None},
        [],
        "[1]",
        "{",
        5,
    ],
    ids=repr,
)
def test_what_is_no_description_is_refused_as_that(value: Any) -> None:
    with pytest.raises(SignallingError):
        Description.from_json(value)


@pytest.mark.parametrize(
    "value",
    [{"candidate": 5}, {"sdpMid": []}, {"sdpMLineIndex": True}, {"usernameFragment": 1}, 5, "x"],
    ids=repr,
)
def test_what_is_no_candidate_is_refused_as_that(value: Any) -> None:
    with pytest.raises(SignallingError):
        IceCandidate.from_json(value)


def test_a_description_that_is_logged_shows_no_password() -> None:
    description = Description("offer", "v=0\r\na=ice-pwd:secret\r\n")
    assert "secret" not in repr(description)
    assert "offer" in repr(description)


@pytest.mark.parametrize(
    "message",
    [
        {"description": {"type": "offer", "sdp": "no SDP"}},
        {"description": {"type": "answer", "sdp": "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\n"}},
        {"description": 5},
        {"candidate": {"candidate": "candidate:1 1 udp 1 10.0.0.1 9 typ host", "sdpMid": "x"}},
    ],
    ids=repr,
)
async def test_what_the_peer_says_wrong_ends_negotiation_with_that_error(
    message: dict[str, Any],
) -> None:
    async with PeerConnection(ON_LOOPBACK) as peer:
        with trio.fail_after(TIMEOUT), pytest.raises(WebRtcError):
            await negotiate(peer, Line(message), polite=True)


async def test_an_error_of_signalling_comes_out_of_negotiation_as_it_is() -> None:
    class Broken(Line):
        async def send(self, message: dict[str, Any]) -> None:
            raise trio.BrokenResourceError("the line is cut")

    async with PeerConnection(ON_LOOPBACK) as peer:
        peer.create_data_channel("chat")
        with trio.fail_after(TIMEOUT), pytest.raises(trio.BrokenResourceError):
            await negotiate(peer, Broken(), polite=True)


async def test_negotiation_ends_when_its_connection_is_closed() -> None:
    async with PeerConnection(ON_LOOPBACK) as peer, trio.open_nursery() as nursery:
        with trio.fail_after(TIMEOUT):
            async with trio.open_nursery() as inner:
                inner.start_soon(partial(negotiate, peer, Line(), polite=True))
                await trio.testing.wait_all_tasks_blocked()
                peer.close()
        nursery.cancel_scope.cancel()


async def test_negotiation_outside_of_the_connections_block_is_refused() -> None:
    with pytest.raises(ConnectionClosedError, match="not entered"):
        await negotiate(
            PeerConnection(ON_LOOPBACK),
            Line({"description": {"type": "offer", "sdp": ""}}),
            polite=True,
        )


async def test_a_label_in_the_options_is_the_channels() -> None:
    async with PeerConnection(ON_LOOPBACK) as peer:
        assert peer.create_data_channel(options=ChannelOptions(label="file")).label == "file"
        assert peer.create_data_channel("chat", ChannelOptions(label="file")).label == "chat"
        assert peer.create_data_channel().label == ""


async def test_a_source_that_is_no_async_iterator_is_refused_at_once() -> None:
    async with PeerConnection(ON_LOOPBACK) as peer:
        with pytest.raises(TypeError, match="async iter"):
            peer.add_track("video", "film.mp4")  # type: ignore[arg-type]
        assert peer.transceivers == ()
        with pytest.raises(TypeError, match="async iter"):
            peer.add_transceiver("video", [])  # type: ignore[arg-type]
        assert peer.transceivers == ()
        sender = peer.add_transceiver("video").sender
        with pytest.raises(TypeError, match="async iter"):
            sender.replace_track(5)  # type: ignore[arg-type]


async def test_codecs_that_cannot_be_negotiated_are_refused_when_they_are_preferred() -> None:
    async with PeerConnection(ON_LOOPBACK) as peer:
        transceiver = peer.add_transceiver("video")
        sound = peer.add_transceiver("audio").codecs
        with pytest.raises(ValueError, match="audio/opus is none"):
            transceiver.set_codec_preferences(sound)
        with pytest.raises(ValueError, match="alone"):
            transceiver.set_codec_preferences(c for c in transceiver.codecs if c.is_rtx)
        vp9 = [codec for codec in transceiver.codecs if codec.name in ("VP9", "rtx")]
        transceiver.set_codec_preferences(vp9)
        offer = await peer.set_local_description()
        assert "VP9/90000" in offer.sdp
        assert "VP8/90000" not in offer.sdp


async def test_a_server_that_gives_nothing_is_told_with_its_reason() -> None:
    nobody = {"urls": "turn:127.0.0.1:1?transport=tcp", "username": "u", "credential": "c"}
    async with PeerConnection(ON_LOOPBACK, ice_servers=[nobody]) as peer:
        peer.create_data_channel()
        await peer.set_local_description()
        with trio.fail_after(TIMEOUT):
            await peer.gathered()
        (failure,) = peer.server_failures
        assert str(failure.uri) == "turn:127.0.0.1:1?transport=tcp"
        assert failure.reason


async def test_a_closed_channel_says_who_closed_the_connection() -> None:
    async with two_peers() as (alice, bob), trio.open_nursery() as nursery:
        ours = alice.create_data_channel("chat")
        await connect(alice, bob, nursery)
        with trio.fail_after(TIMEOUT):
            theirs = await anext(bob.data_channels())
            alice.close()
            with pytest.raises(ChannelClosedError, match="by the peer: the peer connection is cl"):
                await theirs.receive()
            with pytest.raises(ChannelClosedError, match="here: the peer connection is closed"):
                await ours.send("late")
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("module", ["av", "google_crc32c", "numpy", "pylibsrtp"])
def test_without_an_optional_dependency_the_message_says_what_to_install(module: str) -> None:
    program = f"import sys; sys.modules[{module!r}] = None; import webrtc"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False
    )
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("ModuleNotFoundError: webrtc needs")
    assert module.replace("_", "-") in last
    assert "pip install turnd[webrtc]" in last

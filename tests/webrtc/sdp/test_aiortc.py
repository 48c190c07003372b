"""aiortc takes our offers and answers, in a loop of its own; nothing is sent."""

import asyncio
import warnings

from tests.webrtc.sdp.pair import session
from webrtc.sdp import (
    DescriptionType,
    Direction,
    MediaKind,
    Sources,
    parse_description,
)

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from aiortc import RTCPeerConnection, RTCSessionDescription


async def answered_by_aiortc(offer: str) -> str:
    peer = RTCPeerConnection()
    peer.addTransceiver("audio")
    await peer.setRemoteDescription(RTCSessionDescription(offer, "offer"))
    await peer.setLocalDescription(await peer.createAnswer())
    answer: str = peer.localDescription.sdp
    await peer.close()
    return answer


def test_aiortc_answers_our_offer() -> None:
    one = session(1)
    one.add_transceiver(MediaKind.AUDIO, track_id="a", stream_ids=["s"], sources=[Sources(ssrc=10)])
    one.add_transceiver(MediaKind.VIDEO, track_id="v", sources=[Sources(ssrc=1, rtx_ssrc=2)])
    one.want_data()
    one.set_local_description()
    answer = asyncio.run(answered_by_aiortc(str(one.local_description)))
    one.set_remote_description(DescriptionType.ANSWER, parse_description(answer))
    audio, video = one.transceivers
    assert (audio.current_direction, video.current_direction) == (
        Direction.SENDRECV,
        Direction.SENDONLY,
    )
    assert video.send is not None
    assert [codec.name for codec in video.send.codecs[:2]] == ["VP8", "rtx"]
    assert one.data is not None
    (transport,) = one.transports
    assert transport.mids == ("0", "1", "2")
    assert transport.remote is not None


async def aiortc_is_answered() -> list[tuple[str | None, str | None]]:
    peer = RTCPeerConnection()
    peer.addTransceiver("audio")
    peer.addTransceiver("video")
    peer.createDataChannel("chat")
    await peer.setLocalDescription(await peer.createOffer())
    one = session(2)
    one.add_transceiver(MediaKind.VIDEO, track_id="v", added_by_track=True)
    one.set_remote_description(DescriptionType.OFFER, parse_description(peer.localDescription.sdp))
    one.set_local_description()
    await peer.setRemoteDescription(RTCSessionDescription(str(one.local_description), "answer"))
    directions = [(t.mid, t.currentDirection) for t in peer.getTransceivers()]
    await peer.close()
    return directions


def test_aiortc_takes_our_answer() -> None:
    assert asyncio.run(aiortc_is_answered()) == [("0", "sendonly"), ("1", "sendrecv")]

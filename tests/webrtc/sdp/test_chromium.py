"""Chromium takes our offers and answers, and we take its own: what it says is the judge."""

from typing import Any

from tests.webrtc.sdp.chromium import ask
from tests.webrtc.sdp.pair import session, told
from webrtc.dtls.setup import DtlsRole
from webrtc.sdp import (
    BundlePolicy,
    DescriptionType,
    Direction,
    JsepSession,
    MediaKind,
    SimulcastLayer,
    Sources,
    parse_description,
)

ANSWER = """async offers => {
    const pc = new RTCPeerConnection();
    const stream = await navigator.mediaDevices.getUserMedia({audio: true, video: true});
    for (const track of stream.getTracks()) pc.addTrack(track, stream);
    const answers = [];
    for (const sdp of offers) {
        await pc.setRemoteDescription({type: 'offer', sdp});
        await pc.setLocalDescription();
        answers.push(pc.localDescription.sdp);
    }
    const directions = pc.getTransceivers().map(t => [t.mid, t.currentDirection]);
    return {answers, directions, state: pc.signalingState};
}"""

# Chromium gives a section that asks for simulcast no transceiver that there is, for its encodings
# could not be changed; so the page sends on the new one.
SEND = ANSWER.replace(
    "await pc.setLocalDescription();",
    """for (const t of pc.getTransceivers()) if (t.mid !== null) {
            t.direction = 'sendonly';
            await t.sender.replaceTrack(stream.getVideoTracks()[0]);
        }
        await pc.setLocalDescription();""",
)

BEGIN = """async ([, sdp]) => {
    const pc = new RTCPeerConnection();
    const stream = await navigator.mediaDevices.getUserMedia({audio: true, video: true});
    pc.addTransceiver(stream.getAudioTracks()[0], {streams: [stream]});
    pc.addTransceiver(stream.getVideoTracks()[0], {
        streams: [stream],
        sendEncodings: [{rid: 'h'}, {rid: 'l', scaleResolutionDownBy: 2}],
    });
    pc.createDataChannel('chat');
    await pc.setLocalDescription();
"""
OFFER = BEGIN + "return pc.localDescription.sdp; }"
TAKE = (
    BEGIN
    + """
    await pc.setRemoteDescription({type: 'answer', sdp});
    return {
        state: pc.signalingState,
        directions: pc.getTransceivers().map(t => [t.mid, t.currentDirection]),
        codecs: pc.getTransceivers().map(t => t.sender.getParameters().codecs[0].mimeType),
        rids: pc.getTransceivers()[1].sender.getParameters().encodings.map(e => e.rid),
    };
}"""
)


def offerer(**settings: Any) -> JsepSession:
    one = session(1, **settings)
    one.add_transceiver(MediaKind.AUDIO, track_id="a", stream_ids=["s"], sources=[Sources(ssrc=10)])
    one.add_transceiver(
        MediaKind.VIDEO, track_id="v", stream_ids=["s"], sources=[Sources(ssrc=1, rtx_ssrc=2)]
    )
    one.want_data()
    return one


def test_chromium_and_we_take_each_others_descriptions() -> None:
    first = offerer()
    first.set_local_description()
    compatible = offerer(bundle_policy=BundlePolicy.MAX_COMPAT)
    compatible.set_local_description()
    once = offerer(repeats_transport=False)
    once.set_local_description()
    asking = session(1)
    asking.add_transceiver(
        MediaKind.VIDEO,
        track_id="v",
        direction=Direction.RECVONLY,
        receive_layers=[SimulcastLayer(rid=rid) for rid in ("h", "l")],
    )
    asking.set_local_description()
    sessions = [first, compatible, once, asking]
    *answered, offered = ask(
        [
            *((ANSWER, [str(one.local_description)]) for one in sessions[:3]),
            (SEND, [str(asking.local_description)]),
            (OFFER, [None, ""]),
        ]
    )
    for one, result in zip(sessions, answered, strict=True):
        assert result["state"] == "stable"
        one.set_remote_description(DescriptionType.ANSWER, parse_description(result["answers"][0]))
        (transport,) = one.transports
        assert transport.dtls_role is DtlsRole.SERVER
        for mid, direction in result["directions"]:
            if mid is not None:
                (mine,) = (t for t in one.transceivers if t.mid == mid)
                assert mine.current_direction is Direction(direction).reversed
    assert first.data is not None
    receive = asking.transceivers[0].receive
    assert receive is not None
    assert [layer.rid for layer in receive.layers] == ["h", "l"]

    # A page's certificate and credentials are its own, but an answer does not repeat them: the
    # one to the first page's offer fits the second's, which is made by the same steps.
    answerer = session(2)
    answerer.add_transceiver(MediaKind.VIDEO, track_id="w", added_by_track=True)
    answerer.set_remote_description(DescriptionType.OFFER, parse_description(offered))
    answerer.set_local_description()
    add = first.add_transceiver(MediaKind.VIDEO, track_id="n")
    first.transceivers[0].stop()
    first.restart_ice()
    before = str(told(first.local_description))
    first.set_local_description()
    taken, again = ask(
        [
            (TAKE, [None, str(answerer.local_description)]),
            (ANSWER, [before, str(first.local_description)]),
        ]
    )
    assert taken["state"] == "stable"
    assert taken["directions"] == [["0", "sendonly"], ["1", "sendrecv"]]
    assert taken["codecs"] == ["audio/opus", "video/VP8"]
    assert taken["rids"] == ["h", "l"]
    assert again["state"] == "stable"
    first.set_remote_description(DescriptionType.ANSWER, parse_description(again["answers"][1]))
    assert add.mid is not None
    assert add.current_direction in (Direction.SENDONLY, Direction.SENDRECV)

"""Peers that are GStreamer's webrtcbin, in a process of their own; Debian's Python runs it.

    /usr/bin/python3 -m tests.webrtc.foreign.gstreamer_peer MATERIAL

They do what `lines.py` says, and send every message of a data channel back.
"""

from __future__ import annotations

import hashlib
import sys
import threading
from collections.abc import Callable
from typing import Any

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstSdp", "1.0")
gi.require_version("GstWebRTC", "1.0")
from gi.repository import GLib, Gst, GstSdp, GstWebRTC  # noqa: E402

from tests.webrtc.foreign.lines import (  # noqa: E402
    BLOCK_SIZE,
    FRAME_RATE,
    FREQUENCY,
    HEIGHT,
    WIDTH,
    block,
    picture_value,
    serve_in_threads,
    sound_value,
)

QUEUED = 64 * BLOCK_SIZE
"""Bytes that a file may have in the sending queue."""
SOURCES = {
    "video": "multifilesrc location={folder}/pictures.i420 loop=true ! rawvideoparse format=i420"
    " width={width} height={height} framerate={rate}/1 ! identity sync=true ! queue"
    " ! vp8enc deadline=1 target-bitrate=800000 keyframe-max-dist={rate}"
    " ! rtpvp8pay picture-id-mode=15-bit"
    " ! capsfilter caps=application/x-rtp,media=video,encoding-name=VP8,payload=96",
    "audio": "audiotestsrc is-live=true freq={frequency} ! audio/x-raw,rate=48000,channels=2"
    " ! opusenc ! rtpopuspay"
    " ! capsfilter caps=application/x-rtp,media=audio,encoding-name=OPUS,payload=111",
}
DECODERS = {
    "video": "rtpvp8depay ! vp8dec ! videoconvert ! capsfilter caps=video/x-raw,format=I420"
    " ! appsink name=end emit-signals=true sync=false",
    "audio": "rtpopusdepay ! opusdec ! audioconvert ! capsfilter"
    " caps=audio/x-raw,format=S16LE,layout=interleaved ! appsink name=end emit-signals=true"
    " sync=false",
}
TYPES = {
    "offer": GstWebRTC.WebRTCSDPType.OFFER,
    "answer": GstWebRTC.WebRTCSDPType.ANSWER,
}


class GStreamerPeer:
    """What can be asked for; each call runs in a thread of its own."""

    def __init__(self, folder: str) -> None:
        self._folder = folder
        self._changed = threading.Condition()
        self._candidates: list[dict[str, Any]] = []
        self._channels: dict[str, Any] = {}
        self._handlers: dict[str, int] = {}
        self._sums: dict[str, Any] = {}
        self._wanted = {"video": 0, "audio": 0}
        self._samples: dict[str, list[Any]] = {"video": [], "audio": []}
        self._pipeline = Gst.Pipeline.new()
        self._bin = Gst.ElementFactory.make("webrtcbin")
        assert self._bin, "gstreamer1.0-plugins-bad is missing"
        self._bin.set_property("bundle-policy", GstWebRTC.WebRTCBundlePolicy.MAX_BUNDLE)
        self._pipeline.add(self._bin)
        self._bin.connect("on-ice-candidate", self._on_candidate)
        self._bin.connect("on-data-channel", lambda _bin, channel: self._watch(channel))
        self._bin.connect("pad-added", self._on_pad)

    def begin(self, _host: str, rtc: dict[str, Any]) -> None:
        """Start; libnice gathers on every interface but loopback."""
        for server in rtc.get("iceServers", []):
            for url in server["urls"]:
                scheme, rest = url.split(":", 1)
                credentials = f"{server['username']}:{server['credential']}"
                self._bin.emit("add-turn-server", f"{scheme}://{credentials}@{rest}")
        if rtc.get("iceTransportPolicy") == "relay":
            self._bin.set_property("ice-transport-policy", GstWebRTC.WebRTCICETransportPolicy.RELAY)
        self._pipeline.set_state(Gst.State.PLAYING)

    def describe(self) -> dict[str, str]:
        offered = self._bin.get_property("signaling-state")
        is_answer = offered == GstWebRTC.WebRTCSignalingState.HAVE_REMOTE_OFFER
        kind = "answer" if is_answer else "offer"
        reply = self._promised(f"create-{kind}", None)
        description = reply.get_value(kind)
        self._promised("set-local-description", description)
        return {"type": kind, "sdp": description.sdp.as_text()}

    def take(self, description: dict[str, str]) -> None:
        _, message = GstSdp.SDPMessage.new_from_text(description["sdp"])
        session = GstWebRTC.WebRTCSessionDescription.new(TYPES[description["type"]], message)
        self._promised("set-remote-description", session)

    def add(self, value: dict[str, Any]) -> None:
        if value["candidate"]:
            self._bin.emit("add-ice-candidate", value["sdpMLineIndex"], value["candidate"])

    def takeCandidates(self) -> list[dict[str, Any]]:  # noqa: N802 - as page.js has it
        with self._changed:
            taken, self._candidates = self._candidates, []
        return taken

    def connected(self) -> None:
        """Nothing: its states stay behind for ever now and then, while messages and media come."""

    # Data channels

    def open(self, label: str, options: dict[str, Any]) -> None:
        structure = Gst.Structure.new_empty("options")
        for name, value in options.items():
            # The names are GStreamer's, its integers signed.
            dashed = {
                "maxRetransmits": "max-retransmits",
                "maxPacketLifeTime": "max-packet-lifetime",
            }
            structure.set_value(dashed.get(name, name), value)
        channel = self._bin.emit("create-data-channel", label, structure)
        assert channel, "the pipeline does not run yet"
        self._watch(channel)

    def channel(self, label: str) -> dict[str, Any]:
        """Return what a channel looks like, once it is open."""
        found = self._opened(label)
        names = {
            "ordered": "ordered",
            "maxRetransmits": "max-retransmits",
            "maxPacketLifeTime": "max-packet-lifetime",
            "protocol": "protocol",
        }
        shown = {name: found.get_property(dashed) for name, dashed in names.items()}
        # -1 is none, and so is no protocol.
        return {name: None if value == -1 else value for name, value in shown.items()} | {
            "protocol": shown["protocol"] or ""
        }

    def closed(self, label: str) -> None:
        self._until(lambda: self._state(label) == GstWebRTC.WebRTCDataChannelState.CLOSED)

    def count(self, label: str) -> None:
        """Sum a channel's messages up from now on, instead of sending them back."""
        self._sums = {"bytes": 0, "digest": hashlib.sha256()}
        channel = self._channels[label]
        channel.disconnect(self._handlers[label])
        channel.connect("on-message-data", self._sum)

    def counted(self, size: int) -> dict[str, Any]:
        self._until(lambda: bool(self._sums["bytes"] >= size))
        return {"bytes": self._sums["bytes"], "sha256": self._sums["digest"].hexdigest()}

    def sendFile(self, label: str, blocks: int) -> None:  # noqa: N802
        channel = self._opened(label)
        channel.set_property("buffered-amount-low-threshold", QUEUED // 2)
        channel.connect("on-buffered-amount-low", lambda *_: self._happened())
        for number in range(blocks):
            self._until(lambda: bool(channel.get_property("buffered-amount") < QUEUED))
            channel.emit("send-data", GLib.Bytes.new(block(number)))

    def _state(self, label: str) -> Any:
        channel = self._channels.get(label)
        return channel and channel.get_property("ready-state")

    def _opened(self, label: str) -> Any:
        self._until(lambda: self._state(label) == GstWebRTC.WebRTCDataChannelState.OPEN)
        return self._channels[label]

    def _watch(self, channel: Any) -> None:
        label = channel.get_property("label")
        self._handlers[label] = channel.connect(
            "on-message-data", lambda to, data: to.emit("send-data", data)
        )
        channel.connect("on-message-string", lambda to, text: to.emit("send-string", text))
        channel.connect("notify::ready-state", lambda *_: self._happened())
        with self._changed:
            self._channels[label] = channel
            self._changed.notify_all()

    def _sum(self, _channel: Any, data: Any) -> None:
        with self._changed:
            message = data.get_data()
            self._sums["bytes"] += len(message)
            self._sums["digest"].update(message)
            self._changed.notify_all()

    # Media

    def show(self) -> None:
        for kind, text in SOURCES.items():
            description = text.format(
                folder=self._folder,
                width=WIDTH,
                height=HEIGHT,
                rate=FRAME_RATE,
                frequency=FREQUENCY,
            )
            source = Gst.parse_bin_from_description(description, True)
            self._pipeline.add(source)
            assert source.link(self._bin), f"{kind} can't be linked"
            source.sync_state_with_parent()

    def pictures(self, count: int) -> list[dict[str, Any]]:
        """Return the next pictures that come."""
        return [
            picture_value(caps.get_value("width"), caps.get_value("height"), data)
            for caps, data in self._next("video", count)
        ]

    def sound(self, packets: int) -> list[dict[str, Any]]:
        """Return the next packets of sound."""
        return [
            sound_value(caps.get_value("rate"), caps.get_value("channels"), data)
            for caps, data in self._next("audio", packets)
        ]

    def _next(self, kind: str, count: int) -> list[tuple[Any, bytes]]:
        with self._changed:
            self._samples[kind] = []
            self._wanted[kind] = count
        self._until(lambda: len(self._samples[kind]) >= count)
        found = []
        for sample in self._samples[kind]:
            buffer = sample.get_buffer()
            data = buffer.extract_dup(0, buffer.get_size())
            found.append((sample.get_caps().get_structure(0), data))
        return found

    def _on_pad(self, _bin: Any, pad: Any) -> None:
        if pad.get_direction() != Gst.PadDirection.SRC:
            return
        kind = pad.get_current_caps().get_structure(0).get_string("media")
        decoder = Gst.parse_bin_from_description(DECODERS[kind], True)
        decoder.get_by_name("end").connect("new-sample", self._on_sample, kind)
        self._pipeline.add(decoder)
        decoder.sync_state_with_parent()
        pad.link(decoder.get_static_pad("sink"))

    def _on_sample(self, sink: Any, kind: str) -> Any:
        sample = sink.emit("pull-sample")
        with self._changed:
            if self._wanted[kind]:
                self._wanted[kind] -= 1
                self._samples[kind].append(sample)
                self._changed.notify_all()
        return Gst.FlowReturn.OK

    # What happens

    def _promised(self, signal: str, argument: Any) -> Any:
        promise = Gst.Promise.new()
        self._bin.emit(signal, argument, promise)
        assert promise.wait() == Gst.PromiseResult.REPLIED, signal
        reply = promise.get_reply()
        if reply is not None and reply.has_field("error"):
            raise RuntimeError(f"{signal}: {reply.get_value('error')}")
        return reply

    def _happened(self) -> None:
        with self._changed:
            self._changed.notify_all()

    def _until(self, condition: Callable[[], bool]) -> None:
        with self._changed:
            self._changed.wait_for(condition)

    def _on_candidate(self, _bin: Any, index: int, candidate: str) -> None:
        with self._changed:
            self._candidates.append({"candidate": candidate, "sdpMLineIndex": index})


if __name__ == "__main__":
    Gst.init(None)
    serve_in_threads(lambda: GStreamerPeer(sys.argv[1]))

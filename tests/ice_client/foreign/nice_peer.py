"""An agent of libnice in a process of its own, with GStreamer's elements to carry its data.

    /usr/bin/python3 -m tests.ice_client.foreign.nice_peer OPTIONS

It tells and hears fragments on standard output and input, sends every packet back, and ends when
its input does. Debian's Python runs it: its bindings are not on PyPI. libnice's function to receive
has none, so `nicesrc ! nicesink` sends everything back, the elements webrtcbin is built from.
"""

from __future__ import annotations

import sys
import threading
from typing import Any

import gi

gi.require_version("Gst", "1.0")
gi.require_version("Nice", "0.1")
from gi.repository import GLib, Gst, Nice  # noqa: E402

from tests.ice_client.foreign.fragment import Fragment, read_fragments  # noqa: E402
from tests.ice_client.foreign.peer_options import LIFETIME, PeerOptions  # noqa: E402

COMPONENT = 1


class NicePeer:
    """The agent, and the main loop that it lives in."""

    def __init__(self, options: PeerOptions) -> None:
        self._trickle = options.trickle
        self._lite = options.lite
        self._loop = GLib.MainLoop()
        flags = Nice.AgentOption.REGULAR_NOMINATION | Nice.AgentOption.CONSENT_FRESHNESS
        if options.trickle:
            flags |= Nice.AgentOption.ICE_TRICKLE
        if options.lite:
            flags |= Nice.AgentOption.LITE_MODE
        self._agent = Nice.Agent.new_full(
            self._loop.get_context(), Nice.Compatibility.RFC5245, flags
        )
        self._agent.props.controlling_mode = options.controlling
        self._agent.props.upnp = False
        self._agent.props.ice_udp = options.transport == "udp"
        self._agent.props.ice_tcp = options.transport == "tcp"
        address = Nice.Address.new()
        address.set_from_string(options.address)
        self._agent.add_local_address(address)
        self._stream = self._agent.add_stream(COMPONENT)
        if options.relay_port:
            self._agent.props.force_relay = True
            self._agent.set_relay_info(
                self._stream,
                COMPONENT,
                options.address,
                options.relay_port,
                options.username,
                options.password,
                Nice.RelayType.UDP,
            )
        self._agent.connect("new-candidate-full", self._on_candidate)
        self._agent.connect("candidate-gathering-done", self._on_gathered)
        self._pipeline = self._make_echo()

    def _make_echo(self) -> Any:
        pipeline = Gst.Pipeline.new()
        source = Gst.ElementFactory.make("nicesrc")
        sink = Gst.ElementFactory.make("nicesink")
        assert source, "gstreamer1.0-nice is missing"
        for element in (source, sink):
            element.props.agent = self._agent
            element.props.stream = self._stream
            element.props.component = COMPONENT
            pipeline.add(element)
        sink.set_property("sync", False)
        sink.set_property("async", False)  # a word of Python, so no attribute
        source.link(sink)
        return pipeline

    def run(self) -> None:
        self._pipeline.set_state(Gst.State.PLAYING)
        if self._trickle:
            self._tell_credentials()
        assert self._agent.gather_candidates(self._stream)
        threading.Thread(target=self._hear, daemon=True).start()
        self._loop.run()
        self._pipeline.set_state(Gst.State.NULL)

    # What we tell

    def _tell_credentials(self) -> None:
        _, username_fragment, password = self._agent.get_local_credentials(self._stream)
        tell(Fragment(username_fragment, password, lite=self._lite))

    def _on_candidate(self, _agent: Any, candidate: Any) -> None:
        if self._trickle:
            tell(Fragment(candidates=(self._as_text(candidate),)))

    def _on_gathered(self, _agent: Any, _stream: int) -> None:
        if self._trickle:
            tell(Fragment(ended=True))
        else:
            self._tell_all()

    def _tell_all(self) -> None:
        _, username_fragment, password = self._agent.get_local_credentials(self._stream)
        candidates = self._agent.get_local_candidates(self._stream, COMPONENT)
        texts = tuple(map(self._as_text, candidates))
        tell(Fragment(username_fragment, password, texts, ended=True, lite=self._lite))

    def _as_text(self, candidate: Any) -> str:
        text: str = self._agent.generate_local_candidate_sdp(candidate)
        return text.removeprefix("a=")

    # What we hear

    def _hear(self) -> None:
        for fragment in read_fragments(sys.stdin):
            GLib.idle_add(self._take, fragment)
        GLib.idle_add(self._loop.quit)

    def _take(self, fragment: Fragment) -> None:
        if fragment.restart:
            # Its candidates stay as they are, and so are all told at once.
            self._agent.restart()
            self._tell_all()
        if fragment.username_fragment:
            self._agent.set_remote_credentials(
                self._stream, fragment.username_fragment, fragment.password
            )
        candidates = [
            self._agent.parse_remote_candidate_sdp(self._stream, f"a={each}")
            for each in fragment.candidates
        ]
        if candidates:
            self._agent.set_remote_candidates(self._stream, COMPONENT, candidates)
        if fragment.ended:
            self._agent.peer_candidate_gathering_done(self._stream)


def tell(fragment: Fragment) -> None:
    sys.stdout.write(str(fragment))
    sys.stdout.flush()


if __name__ == "__main__":
    Gst.init(None)
    peer = NicePeer(PeerOptions.from_json(sys.argv[1]))
    GLib.timeout_add_seconds(int(LIFETIME), lambda: sys.exit("nobody ended it"))
    peer.run()

// What a page does in a call; `call.py` says when. A data channel sends back all that it is sent.
({ iceServers, policy }) => {
  const pc = new RTCPeerConnection({ iceServers, iceTransportPolicy: policy });
  const channel = pc.createDataChannel("echo", { negotiated: true, id: 0 });
  channel.onmessage = (event) => channel.send(event.data);

  let found = [];
  let tell = () => {};
  pc.onicecandidate = ({ candidate }) => {
    // Firefox says the end of candidates twice: by an empty one, and by none.
    if (candidate?.candidate === "") return;
    found.push(candidate && candidate.candidate);
    tell();
  };
  const states = [pc.iceConnectionState];
  pc.addEventListener("iceconnectionstatechange", () => states.push(pc.iceConnectionState));

  async function until(event, isSo) {
    while (!isSo()) await new Promise((resolve) => pc.addEventListener(event, resolve, { once: true }));
  }

  async function describe(trickle) {
    await pc.setLocalDescription();
    const sdp = pc.localDescription.sdp;
    if (trickle) return sdp.replace(/^a=(candidate:|end-of-candidates).*\r\n/gm, "");
    await until("icegatheringstatechange", () => pc.iceGatheringState === "complete");
    return pc.localDescription.sdp;
  }

  window.peer = {
    async offer(trickle) {
      if (pc.remoteDescription) pc.restartIce();
      found = [];
      return describe(trickle);
    },
    async answer(sdp, trickle) {
      found = [];
      await pc.setRemoteDescription({ type: "offer", sdp });
      return describe(trickle);
    },
    accept: (sdp) => pc.setRemoteDescription({ type: "answer", sdp }),
    add: (candidate) => pc.addIceCandidate({ candidate, sdpMid: "0" }),

    // Candidates since the last call, at least one; null is their end.
    async candidates() {
      while (!found.length) await new Promise((resolve) => (tell = resolve));
      return found.splice(0);
    },

    // The states since the beginning, once the last of them is that of a connection or of none.
    async settled() {
      const isSettled = () => ["connected", "completed", "failed"].includes(pc.iceConnectionState);
      await until("iceconnectionstatechange", isSettled);
      const isPending = () => ["new", "connecting"].includes(pc.connectionState);
      await until("connectionstatechange", () => !isPending());
      return { ice: pc.iceConnectionState, connection: pc.connectionState, states };
    },

    // The statistics of the selected pair, once it is in a generation that has this ufrag, and no
    // check on it is under way.
    async selectedPair(usernameFragment) {
      for (;;) {
        const stats = await pc.getStats();
        const values = [...stats.values()];
        const transport = values.find(({ type }) => type === "transport");
        // The one browser says it so, and the other so.
        const isSelected = ({ type, id, selected }) =>
          type === "candidate-pair" && (selected || id === transport?.selectedCandidatePairId);
        const pair = values.find(isSelected);
        if (pair?.state === "succeeded") {
          const local = stats.get(pair.localCandidateId);
          const remote = stats.get(pair.remoteCandidateId);
          if (remote.usernameFragment === usernameFragment) return { ...pair, local, remote };
        }
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
    },
  };
}

// One side of a call: relay only, a fake camera, and a data channel. Driven by the test.
class Side {
  constructor(iceServers) {
    this.received = [];
    this.candidates = [];
    this.errors = [];
    this.opened = new Promise((done, fail) => {
      this.open = done;
      setTimeout(() => fail(new Error(`no data channel: ${this.errors}`)), 30000);
    });
    this.pc = new RTCPeerConnection({ iceServers, iceTransportPolicy: "relay" });
    this.pc.onicecandidate = ({ candidate }) => {
      if (candidate) this.candidates.push(candidate.toJSON());
    };
    this.pc.onicecandidateerror = ({ errorCode, errorText, url }) =>
      this.errors.push(`${errorCode} ${errorText} ${url}`);
    this.pc.ontrack = ({ streams }) => {
      this.video = document.createElement("video");
      this.video.muted = true;
      this.video.srcObject = streams[0];
      this.video.play();
    };
    this.pc.ondatachannel = ({ channel }) => this.adopt(channel);
    this.gathered = new Promise((done) => {
      this.pc.onicegatheringstatechange = () => {
        if (this.pc.iceGatheringState === "complete") done();
      };
    });
  }

  adopt(channel) {
    this.channel = channel;
    if (channel.readyState === "open") this.open();
    channel.onopen = () => this.open();
    channel.onmessage = ({ data }) => this.received.push(Number(data));
  }

  async addCamera() {
    const stream = await navigator.mediaDevices.getUserMedia({ video: true });
    for (const track of stream.getTracks()) this.pc.addTrack(track, stream);
  }

  async offer() {
    await this.addCamera();
    this.adopt(this.pc.createDataChannel("numbers"));
    await this.pc.setLocalDescription();
    await this.gathered;
    return this.pc.localDescription.toJSON();
  }

  async answer(offer) {
    await this.pc.setRemoteDescription(offer);
    await this.addCamera();
    await this.pc.setLocalDescription();
    await this.gathered;
    return this.pc.localDescription.toJSON();
  }

  async send(count) {
    await this.opened;
    for (let number = 0; number < count; number++) this.channel.send(String(number));
  }

  async stats() {
    const report = [...(await this.pc.getStats()).values()];
    const find = (id) => report.find((entry) => entry.id === id);
    const transport = report.find((entry) => entry.type === "transport");
    const pair = transport && find(transport.selectedCandidatePairId);
    const inbound = report.find(
      (entry) => entry.type === "inbound-rtp" && entry.kind === "video",
    );
    const local = pair && find(pair.localCandidateId);
    return {
      state: this.pc.connectionState,
      received: this.received.length,
      framesDecoded: inbound ? inbound.framesDecoded : 0,
      local: local && { type: local.candidateType, protocol: local.relayProtocol },
      remote: pair && find(pair.remoteCandidateId).candidateType,
      errors: this.errors,
    };
  }
}
window.Side = Side;

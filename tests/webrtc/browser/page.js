// The browser's end of a call, driven line by line from Python (browser.py).
// `page` keeps what happened; everything asked for is a method of it.

"use strict";

const page = {
  connection: null,
  channels: {},
  received: {},
  candidates: [],
  states: [],
  waiters: [],
  finished: [],
  tracks: {},
  video: null,

  // Resolve once `condition` gives something true, looking again whenever anything happens.
  until(condition) {
    return new Promise((resolve) => {
      const look = () => {
        const value = condition();
        if (!value) return false;
        resolve(value);
        return true;
      };
      if (!look()) this.waiters.push(look);
    });
  },

  happened() {
    this.waiters = this.waiters.filter((look) => !look());
  },

  // Who may use the camera is told the host's addresses; others get mDNS names.
  async begin(configuration) {
    this.camera = await navigator.mediaDevices.getUserMedia({
      audio: true,
      video: { width: 320, height: 240, frameRate: 20 },
    });
    const connection = (this.connection = new RTCPeerConnection(configuration));
    connection.onicecandidate = (event) => {
      if (event.candidate) this.candidates.push(event.candidate.toJSON());
    };
    connection.onconnectionstatechange = () => {
      this.states.push(connection.connectionState);
      this.happened();
    };
    connection.ondatachannel = (event) => this.watch(event.channel);
    connection.ontrack = (event) => this.play(event);
  },

  // Send the pattern and a tone from now on.
  show(first, frequency) {
    const stream = patternStream(first, frequency);
    for (const track of stream.getTracks()) this.connection.addTrack(track, stream);
  },

  play(event) {
    const stream = new MediaStream([event.track]);
    this.tracks[event.track.kind] = stream;
    if (event.track.kind === "video") {
      const video = document.createElement("video");
      Object.assign(video, { muted: true, autoplay: true, srcObject: stream });
      document.body.append(video);
      this.video = video;
    } else {
      // Chromium plays what a graph of audio listens to only if an element plays it too.
      const audio = document.createElement("audio");
      Object.assign(audio, { muted: true, autoplay: true, srcObject: stream });
      document.body.append(audio);
    }
    this.happened();
  },

  async pictures(count) {
    await this.until(() => this.video?.srcObject.active);
    return watchPattern(this.video, count);
  },

  async tone() {
    await this.until(() => this.tracks.audio);
    return listenTone(this.tracks.audio);
  },

  // The reports of getStats() of one type.
  async stats(type) {
    const reports = await this.connection.getStats();
    return [...reports.values()].filter((report) => report.type === type);
  },

  watch(channel) {
    channel.binaryType = "arraybuffer";
    this.channels[channel.label] = channel;
    this.received[channel.label] = [];
    channel.onmessage = (event) => {
      const data = event.data;
      const isText = typeof data === "string";
      this.received[channel.label].push(isText ? data : [...new Uint8Array(data)]);
      this.happened();
    };
    channel.onopen = channel.onclose = () => this.happened();
    this.happened();
  },

  open(label, options) {
    this.watch(this.connection.createDataChannel(label, options));
  },

  async describe() {
    await this.connection.setLocalDescription();
    return this.connection.localDescription.toJSON();
  },

  async take(description) {
    await this.connection.setRemoteDescription(description);
  },

  async add(candidate) {
    await this.connection.addIceCandidate(candidate);
  },

  takeCandidates() {
    return this.candidates.splice(0);
  },

  connected() {
    const connection = this.connection;
    return this.until(() => connection.connectionState === "connected");
  },

  async send(label, message) {
    await this.until(() => this.channels[label]?.readyState === "open");
    this.channels[label].send(typeof message === "string" ? message : Uint8Array.from(message));
  },

  async messages(label, count) {
    await this.until(() => this.received[label]?.length >= count);
    return this.received[label];
  },

  // What the channel that the peer made looks like here.
  async channel(label) {
    await this.until(() => this.channels[label]);
    const { ordered, maxRetransmits, maxPacketLifeTime, protocol, id } = this.channels[label];
    return { ordered, maxRetransmits, maxPacketLifeTime, protocol, id };
  },

  // Send `count` blocks of `size` bytes, each full of its number, with back-pressure.
  async sendMany(label, count, size) {
    await this.until(() => this.channels[label]?.readyState === "open");
    const channel = this.channels[label];
    channel.bufferedAmountLowThreshold = 4 * size;
    for (let number = 0; number < count; number++) {
      if (channel.bufferedAmount > 16 * size) {
        await new Promise((resolve) => { channel.onbufferedamountlow = resolve; });
      }
      channel.send(new Uint8Array(size).fill(number % 256));
    }
  },

  // Have a channel's messages summed up instead of kept: bytes, and whether they are in order.
  count(label) {
    const sums = (this.sums = { messages: 0, bytes: 0, inOrder: true });
    this.channels[label].onmessage = ({ data }) => {
      const block = new Uint8Array(data);
      const wanted = sums.messages % 256;
      sums.inOrder &&= block[0] === wanted && block[block.length - 1] === wanted;
      sums.messages += 1;
      sums.bytes += block.length;
      this.happened();
    };
  },

  async counted(bytes) {
    await this.until(() => this.sums.bytes >= bytes);
    return this.sums;
  },

  // Do all of perfect negotiation, this end polite; `outbox` is what is to be sent.
  negotiate() {
    const connection = this.connection;
    this.outbox = [];
    connection.onnegotiationneeded = async () => {
      try {
        this.isMakingOffer = true;
        await connection.setLocalDescription();
        this.outbox.push({ description: connection.localDescription.toJSON() });
      } finally {
        this.isMakingOffer = false;
      }
    };
    connection.onicecandidate = ({ candidate }) => {
      this.outbox.push({ candidate: candidate?.toJSON() ?? null });
    };
  },

  takeOutbox() {
    return this.outbox.splice(0);
  },

  async takeMessage({ description, candidate }) {
    const connection = this.connection;
    if (description) {
      await connection.setRemoteDescription(description);
      if (description.type === "offer") {
        await connection.setLocalDescription();
        this.outbox.push({ description: connection.localDescription.toJSON() });
      }
    } else {
      await connection.addIceCandidate(candidate);
    }
  },

  // Stop sending tracks of a kind.
  unshow(kind) {
    for (const sender of this.connection.getSenders()) {
      if (sender.track?.kind === kind) this.connection.removeTrack(sender);
    }
  },

  restart() {
    this.connection.restartIce();
  },

  async closed(label) {
    await this.until(() => this.channels[label]?.readyState === "closed");
  },
};

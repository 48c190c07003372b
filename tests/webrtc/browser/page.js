// The browser's end of a call, asked by Python for one thing after the other (pages.py).
// `page` keeps what happened; everything asked for is a method of it.

"use strict";

const page = {
  connection: null,
  channels: {},
  received: {},
  candidates: [],
  states: [],
  waiters: [],
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

  // Send the pattern and a tone from now on. Firefox sends its fake microphone's: without a sound
  // device, no AudioContext of its runs.
  show(first, frequency) {
    const isFirefox = navigator.userAgent.includes("Firefox");
    const sound = isFirefox ? this.camera.getAudioTracks()[0] : toneTrack(frequency);
    const stream = this.showPictures(first);
    stream.addTrack(sound);
    this.connection.addTrack(sound, stream);
  },

  showPictures(first) {
    const stream = patternStream(first);
    this.connection.addTrack(stream.getVideoTracks()[0], stream);
    return stream;
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

  // The next different pictures that count from `first`.
  async pictures(count, first = 0) {
    await this.until(() => this.video?.srcObject.active);
    return watchPattern(this.video, count, first);
  },

  // Samples of the peer's audio, 48,000 in a second, for as long as told.
  async record(seconds) {
    await this.until(() => this.tracks.audio);
    const recorder = new MediaRecorder(this.tracks.audio);
    const recorded = new Promise((resolve) => { recorder.ondataavailable = resolve; });
    recorder.start();
    setTimeout(() => recorder.stop(), 1000 * seconds);
    const { data } = await recorded;
    const reader = new OfflineAudioContext(1, 1, 48000);
    const sound = await reader.decodeAudioData(await data.arrayBuffer());
    return [...sound.getChannelData(0)];
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

  // Have a channel's messages kept as blocks of one file.
  async collect(label) {
    await this.until(() => this.channels[label]);
    this.blocks = [];
    this.size = 0;
    this.channels[label].onmessage = ({ data }) => {
      this.blocks.push(data);
      this.size += data.byteLength;
      this.happened();
    };
  },

  // The file's SHA-256, once so many bytes are there.
  async collected(size) {
    await this.until(() => this.size >= size);
    return sha256(await new Blob(this.blocks.splice(0)).arrayBuffer());
  },

  // Send so many random bytes in blocks, with back-pressure; return their SHA-256.
  async sendRandom(label, size, blockSize) {
    await this.until(() => this.channels[label]?.readyState === "open");
    const file = new Uint8Array(size);
    for (let start = 0; start < size; start += 65536) {
      crypto.getRandomValues(file.subarray(start, start + 65536));
    }
    const channel = this.channels[label];
    channel.bufferedAmountLowThreshold = 4 * blockSize;
    for (let start = 0; start < size; start += blockSize) {
      if (channel.bufferedAmount > 16 * blockSize) {
        await new Promise((resolve) => { channel.onbufferedamountlow = resolve; });
      }
      channel.send(file.subarray(start, start + blockSize));
    }
    return sha256(file);
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

  // Stop the sections of a kind for good.
  stop(kind) {
    for (const transceiver of this.connection.getTransceivers()) {
      if (transceiver.receiver.track.kind === kind) transceiver.stop();
    }
  },

  // What was agreed on last for each section of a kind.
  directions(kind) {
    const all = this.connection.getTransceivers();
    const found = all.filter(({ receiver }) => receiver.track.kind === kind);
    return found.map(({ currentDirection }) => currentDirection);
  },

  restart() {
    this.connection.restartIce();
  },

  async closed(label) {
    await this.until(() => this.channels[label]?.readyState === "closed");
  },
};

async function sha256(bytes) {
  const hash = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  return [...hash].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

// What the tests of this folder ask of `page` beyond page.js.

"use strict";

Object.assign(page, {
  // As `show`, but with the fake microphone's tone: without a sound device an AudioContext of
  // Firefox's never runs.
  showWithMicrophone(first) {
    const stream = new MediaStream(patternStream(first, 1).getVideoTracks());
    stream.addTrack(this.camera.getAudioTracks()[0]);
    for (const track of stream.getTracks()) this.connection.addTrack(track, stream);
  },

  // Samples of the peer's audio, and their rate, for as long as told.
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

  // Have a channel's messages summed up and sent back, instead of kept.
  async echo(label) {
    await this.until(() => this.channels[label]?.readyState === "open");
    const channel = this.channels[label];
    const found = (this.received[label] = []);
    channel.onmessage = ({ data }) => {
      channel.send(data);
      const index = found.push(null) - 1;
      void describeMessage(data).then((text) => { found[index] = text; this.happened(); });
    };
  },

  async digests(label, count) {
    await this.until(() => {
      const found = this.received[label];
      return found.length >= count && !found.includes(null);
    });
    return this.received[label];
  },

  // Have a channel's blocks kept, to be one file.
  async collect(label) {
    await this.until(() => this.channels[label]?.readyState === "open");
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
    const file = await new Blob(this.blocks.splice(0)).arrayBuffer();
    return sha256(file);
  },

  // Send so many random bytes in blocks, with back-pressure; return their SHA-256.
  async sendRandom(label, size, blockSize) {
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
});

async function sha256(bytes) {
  const hash = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  return [...hash].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

async function describeMessage(data) {
  const isText = typeof data === "string";
  const bytes = isText ? new TextEncoder().encode(data) : data;
  return `${isText ? "text" : "binary"} ${bytes.byteLength} ${await sha256(bytes)}`;
}

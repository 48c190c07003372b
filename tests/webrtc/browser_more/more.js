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
});

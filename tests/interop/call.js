// One end of a call: a data channel with numbered messages, and the fake camera's video.
// Driven from outside by browser_call.py, which carries offers and answers from page to page.

"use strict";

// Several SCTP packets each, so that order has something to be lost from.
const PADDING = "x".repeat(3000);

const call = { connection: null, channel: null, received: [] };
const opened = new Promise((resolve) => {
  call.open = resolve;
});
const heard = new Promise((resolve) => {
  call.hear = resolve;
});

function watchChannel(channel) {
  call.channel = channel;
  channel.onmessage = (event) => {
    call.received.push(Number(event.data.split(" ")[0]));
    call.hear();
  };
  channel.onopen = call.open;
  if (channel.readyState === "open") call.open();
}

async function begin(iceServers) {
  call.connection = new RTCPeerConnection({ iceServers, iceTransportPolicy: "relay" });
  call.connection.ondatachannel = (event) => watchChannel(event.channel);
  call.connection.ontrack = (event) => {
    // Nothing is decoded that nobody looks at.
    const video = document.createElement("video");
    video.muted = true;
    video.autoplay = true;
    video.srcObject = event.streams[0];
    document.body.append(video);
  };
  const camera = await navigator.mediaDevices.getUserMedia({
    video: { width: 320, height: 240, frameRate: 20 },
  });
  for (const track of camera.getTracks()) call.connection.addTrack(track, camera);
}

async function describe(description) {
  const connection = call.connection;
  await connection.setLocalDescription(description);
  if (connection.iceGatheringState !== "complete") {
    await new Promise((resolve) => {
      connection.onicegatheringstatechange = () => {
        if (connection.iceGatheringState === "complete") resolve();
      };
    });
  }
  return connection.localDescription.toJSON();
}

async function offer() {
  watchChannel(call.connection.createDataChannel("numbers"));
  call.offerer = true;
  return describe(await call.connection.createOffer());
}

async function answer(description) {
  await call.connection.setRemoteDescription(description);
  return describe(await call.connection.createAnswer());
}

async function take(description) {
  await call.connection.setRemoteDescription(description);
}

async function send(count) {
  await opened;
  // On a busy machine Chromium loses what comes before the other page has got its channel.
  if (call.offerer) await heard;
  for (let number = 0; number < count; number++) {
    call.channel.send(`${number} ${PADDING}`);
    if (number % 20 === 19) await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

async function framesDecoded() {
  const report = await call.connection.getStats();
  let frames = 0;
  for (const entry of report.values()) {
    if (entry.type === "inbound-rtp" && entry.kind === "video") frames += entry.framesDecoded;
  }
  return frames;
}

// Wait until all has arrived that the test wants to see; false if that takes too long.
async function arrived(messages, frames, milliseconds) {
  const deadline = performance.now() + milliseconds;
  while (performance.now() < deadline) {
    if (call.received.length >= messages && (await framesDecoded()) >= frames) return true;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  return false;
}

async function result() {
  const report = await call.connection.getStats();
  const paths = [];
  for (const transport of report.values()) {
    if (transport.type !== "transport" || !transport.selectedCandidatePairId) continue;
    const pair = report.get(transport.selectedCandidatePairId);
    const local = report.get(pair.localCandidateId);
    const remote = report.get(pair.remoteCandidateId);
    paths.push({
      local: local.candidateType,
      relayProtocol: local.relayProtocol,
      remote: remote.candidateType,
    });
  }
  const candidates = call.connection.localDescription.sdp
    .split("\r\n")
    .filter((line) => line.startsWith("a=candidate:"))
    .map((line) => line.split(" ")[7]);
  return {
    state: call.connection.connectionState,
    received: call.received,
    frames: await framesDecoded(),
    paths,
    candidates: [...new Set(candidates)],
  };
}

function hangUp() {
  call.connection.close();
}

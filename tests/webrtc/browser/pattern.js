// The test pattern of webrtc/media/pattern.py and its tones, drawn and read by a browser.

"use strict";

const COLUMNS = 16;
const ROWS = 12;
const COLOURS = [
  [191, 191, 191], [191, 191, 0], [0, 191, 191], [0, 191, 0],
  [191, 0, 191], [191, 0, 0], [0, 0, 191], [64, 64, 64],
];

function crc8(counter) {
  let crc = 0xff;
  for (const shift of [16, 8, 0]) {
    crc ^= (counter >> shift) & 0xff;
    for (let bit = 0; bit < 8; bit++) crc = ((crc << 1) ^ (crc & 0x80 ? 0x07 : 0)) & 0xff;
  }
  return crc;
}

function drawPattern(context, counter) {
  const { width, height } = context.canvas;
  const x = (column) => Math.floor((width * column) / COLUMNS);
  const y = (row) => Math.floor((height * row) / ROWS);
  context.fillStyle = "rgb(128 128 128)";
  context.fillRect(0, 0, width, height);
  const code = [counter, crc8(counter)];
  for (let bit = 0; bit < 32; bit++) {
    const isSet = bit < 24 ? (code[0] >> (23 - bit)) & 1 : (code[1] >> (31 - bit)) & 1;
    const row = Math.floor(bit / COLUMNS);
    const column = bit % COLUMNS;
    context.fillStyle = isSet ? "white" : "black";
    context.fillRect(x(column), y(row), x(column + 1) - x(column), y(row + 1) - y(row));
  }
  for (let bar = 0; bar < 8; bar++) {
    const [red, green, blue] = COLOURS[(bar + Math.floor(counter / 16)) % 8];
    context.fillStyle = `rgb(${red} ${green} ${blue})`;
    context.fillRect(x(2 * bar), y(2), x(2 * bar + 2) - x(2 * bar), y(10) - y(2));
  }
  const column = counter % COLUMNS;
  context.fillStyle = "white";
  context.fillRect(x(column), y(10), x(column + 1) - x(column), y(11) - y(10));
}

// The counter of a picture and how far its bars' colours are off, or null.
function readPattern(context) {
  const { width, height } = context.canvas;
  const pixel = (column, row, span = 1, rows = 1) =>
    context.getImageData(
      Math.floor((width * (column + span / 2)) / COLUMNS),
      Math.floor((height * (row + rows / 2)) / ROWS), 1, 1,
    ).data;
  const bits = [];
  for (let bit = 0; bit < 32; bit++) {
    bits.push(pixel(bit % COLUMNS, Math.floor(bit / COLUMNS))[1] > 127 ? 1 : 0);
  }
  const counter = bits.slice(0, 24).reduce((sum, bit) => 2 * sum + bit, 0);
  const crc = bits.slice(24).reduce((sum, bit) => 2 * sum + bit, 0);
  if (crc !== crc8(counter)) return null;
  let error = 0;
  for (let bar = 0; bar < 8; bar++) {
    const found = pixel(2 * bar, 2, 2, 8);
    const wanted = COLOURS[(bar + Math.floor(counter / 16)) % 8];
    for (let part = 0; part < 3; part++) error += Math.abs(found[part] - wanted[part]) / 24;
  }
  return { counter, error };
}

// A stream with the pattern at 20 pictures per second, counting from `first`.
function patternStream(first) {
  const canvas = Object.assign(document.createElement("canvas"), { width: 320, height: 240 });
  const context = canvas.getContext("2d");
  let counter = first;
  drawPattern(context, counter);
  setInterval(() => drawPattern(context, ++counter), 50);
  return canvas.captureStream(20);
}

function toneTrack(frequency) {
  const audio = new AudioContext({ sampleRate: 48000 });
  const oscillator = new OscillatorNode(audio, { frequency });
  const target = audio.createMediaStreamDestination();
  oscillator.connect(target);
  oscillator.start();
  return target.stream.getAudioTracks()[0];
}

// Resolve with the patterns of the next `count` different pictures of a video element, of those
// whose counters are not below `first`.
function watchPattern(video, count, first) {
  const canvas = document.createElement("canvas");
  const context = canvas.getContext("2d", { willReadFrequently: true });
  const found = [];
  return new Promise((resolve) => {
    const look = () => {
      if (video.videoWidth) {
        canvas.width = video.videoWidth;
        canvas.height = video.videoHeight;
        context.drawImage(video, 0, 0);
        const reading = readPattern(context);
        const isNew = reading && reading.counter !== found.at(-1)?.counter;
        if (isNew && reading.counter >= first) found.push(reading);
      }
      if (found.length >= count) resolve(found);
      else setTimeout(look, 20);
    };
    look();
  });
}

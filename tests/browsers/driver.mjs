// Runs one headless browser, and gives each connection to a socket a page of its own.
//
//     node driver.mjs firefox|chrome PROGRAM SOCKET PROFILE
//
// The first line on a connection is the page's options: {"hidesAddresses"}; it is answered with {}
// when the page is there. Each further line asks for a function to be called in the page, and a
// line tells what became of it: {"id", "function", "arguments"} and {"id", "value"} or
// {"id", "error"}; many may be under way at a time. A page is closed with its connection, and the
// browser when standard input ends, as it does with whoever started this.

import http from "node:http";
import net from "node:net";
import readline from "node:readline";
import puppeteer from "puppeteer-core";

const [browserName, executablePath, socketPath, userDataDir] = process.argv.slice(2);
const isFirefox = browserName === "firefox";
const FLAGS = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-dev-shm-usage",
  "--use-fake-device-for-media-stream",
  "--autoplay-policy=no-user-gesture-required",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
  "--no-first-run",
  "--disable-quic",
];
const PREFERENCES = {
  "media.navigator.streams.fake": true,
  "media.navigator.permission.disabled": true,
  // By host name, the one way to have it both ways in one process.
  "media.peerconnection.ice.obfuscate_host_addresses.blocklist": "127.0.0.1",
  // No service of Mozilla's can be reached from where tests run, nor should be.
  "media.gmp-manager.updateEnabled": false,
  "network.captive-portal-service.enabled": false,
  "network.connectivity-service.enabled": false,
};

const browser = await puppeteer.launch({
  browser: browserName,
  executablePath,
  userDataDir,
  args: isFirefox ? [] : FLAGS,
  extraPrefsFirefox: PREFERENCES,
});

// An empty page, from an origin that counts as secure: cameras need that.
const pages = http.createServer((_, response) => {
  response.setHeader("Content-Type", "text/html");
  response.end("<!doctype html><title>test</title>");
});
await new Promise((resolve) => pages.listen(0, "127.0.0.1", resolve));

async function open({ hidesAddresses }) {
  // A context of its own: a permission that one page has is none of the next one's.
  const context = await browser.createBrowserContext();
  const host = hidesAddresses ? "localhost" : "127.0.0.1";
  const origin = `http://${host}:${pages.address().port}/`;
  // In Chromium, who might use the microphone is told the host's addresses; Firefox takes no
  // permissions from outside, and asks nobody.
  if (!isFirefox && !hidesAddresses) {
    await context.overridePermissions(origin, ["camera", "microphone"]);
  }
  const page = await context.newPage();
  await page.goto(origin);
  return { context, page };
}

async function call(page, request) {
  const values = request.arguments.map((value) => JSON.stringify(value)).join(", ");
  try {
    const value = await page.evaluate(`(${request.function})(${values})`);
    return { id: request.id, value: value ?? null };
  } catch (error) {
    return { id: request.id, error: String(error) };
  }
}

async function serve(connection) {
  const say = (value) => connection.writable && connection.write(`${JSON.stringify(value)}\n`);
  let opened;
  connection.on("error", () => {});
  connection.on("close", () => void opened?.then(({ context }) => context.close()).catch(() => {}));
  for await (const line of readline.createInterface({ input: connection })) {
    const request = JSON.parse(line);
    if (opened) {
      const { page } = await opened;
      void call(page, request).then(say);
    } else {
      opened = open(request);
      await opened;
      say({});
    }
  }
}

const server = net.createServer((connection) => void serve(connection));
server.listen(socketPath, () => process.stdout.write("ready\n"));

process.stdin.resume();
process.stdin.on("end", async () => {
  await browser.close();
  process.exit(0);
});

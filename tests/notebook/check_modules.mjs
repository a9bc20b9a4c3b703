// What the page's modules decide without a page.
//   node check_modules.mjs STATIC_FOLDER

import assert from "node:assert/strict";
import { argv } from "node:process";
import { pathToFileURL } from "node:url";

const load = (name) => import(new URL(`${name}.js`, pathToFileURL(`${argv[2]}/`)));
const { addresses, pageOrigin } = await load("transport");
const { BlockPost, blockAddresses } = await load("posting");
const { actionsOf, clockTime } = await load("view");
const { fill, translator } = await load("texts");
const { recordingType } = await load("recorder");
const { problemOf, InsecureContextError } = await load("microphone");
const { SHOWN } = await load("tables");
const { crc32 } = await load("windows");
const { decode_server_message, RtsttError } = await load("messages");

// The proxy first; directly only where the page is on the server's own machine and not encrypted (S3).
const server = { port: 4321, path: "/api/streaming/sessions/x/ws" };
const page = (protocol, hostname) => ({ protocol, hostname, host: `${hostname}:8888` });
assert.deepEqual(addresses(server, page("http:", "localhost"), "/user/ana/"), [
  "ws://localhost:8888/user/ana/proxy/4321/api/streaming/sessions/x/ws",
  "ws://127.0.0.1:4321/api/streaming/sessions/x/ws",
]);
assert.deepEqual(addresses(server, page("https:", "localhost"), "/").length, 1);
assert.equal(addresses(server, page("https:", "hub.example.org"), "/")[0].slice(0, 6), "wss://");
assert.equal(addresses(server, page("http:", "hub.example.org"), "/").length, 1);

for (const host of ["localhost", "127.0.0.1", "[::1]", "hub.example.org"]) {
  for (const address of addresses(server, page("https:", host), "/")) assert.match(address, /^wss:/);
}
assert.equal(pageOrigin({ origin: "https://hub.example.org" }), "https://hub.example.org");
assert.equal(pageOrigin({ origin: "null" }), null);

// Every state that can be shown offers something to do, but the last wait.
for (const row of Object.values(SHOWN)) {
  for (const [phase, shown] of Object.entries(row)) {
    for (const mode of ["stream", "block"]) {
      const offered = actionsOf({ shown, phase, mode, givenUp: mode === "stream", usable: true });
      assert.equal(offered.length === 0, shown === "finalizing", `${shown}/${phase}`);
    }
  }
}
const offered = (shown, phase, mode = "stream") => actionsOf({ shown, phase, mode, givenUp: mode === "stream", usable: true });
assert.deepEqual(offered("recording", "recording"), ["pause", "stop", "blocks"]);
assert.deepEqual(offered("reconnecting", "paused"), ["resume", "stop", "blocks"]);
// R2: to block mode and back; in it the attempt is in Error, and recording goes on.
assert.deepEqual(offered("error", "recording", "block"), ["pause", "stop", "reconnect"]);
assert.deepEqual(offered("error", "finalizing", "block"), ["reconnect"]);
assert.deepEqual(offered("error", "recording"), ["reconnect", "renew"]);
assert.deepEqual(actionsOf({ shown: "connected", phase: "idle", usable: false }), ["retry"]);

// R3: blocks go by the ways of the socket, one at a time; the token in a header, never in the address.
const ways = blockAddresses(["ws://h/proxy/1/api/streaming/sessions/x/ws", "wss://h/x/ws"]);
assert.deepEqual(ways, ["http://h/proxy/1/api/streaming/sessions/x/blocks", "https://h/x/blocks"]);
const asked = [];
const told = [];
const answer = (ok, status, body) => ({ ok, status, json: async () => JSON.parse(body) });
const answers = [
  answer(false, 502, "<html>"),
  answer(true, 202, '{"phase":"recording"}'),
  answer(false, 429, '{"code":"busy","message":"wait","retry_after_s":3}'),
];
globalThis.fetch = (address, { headers, signal }) => {
  asked.push(address);
  assert.equal(headers.Authorization, "Bearer secret");
  const next = answers.shift();
  if (next) return Promise.resolve(next);
  return new Promise((_, reject) => signal.addEventListener("abort", () => reject(new Error("aborted"))));
};
const post = new BlockPost(ways, (block, outcome) => told.push([block, outcome]));
const send = (block) => post.post({ block, body: new Uint8Array(), after: 7, new: block === 1, token: "secret" });
for (const block of [1, 2, 3]) await send(block);
const dropped = send(4);
post.drop();
await dropped;
assert.deepEqual(told, [
  [1, { reason: "HTTP 502", code: null, retry_after_s: 0 }],
  [2, { receipt: { phase: "recording" } }],
  [3, { reason: "wait", code: "busy", retry_after_s: 3 }],
]);
assert.deepEqual(asked, [`${ways[0]}?after=7&new=true`, ...Array(3).fill(`${ways[1]}?after=7`)]);

assert.equal(clockTime(0), "00:00");
assert.equal(clockTime(3599.9), "59:59");

assert.equal(fill("{a} of {b:.1f} and {b:.0f}", { a: "x", b: 2.26 }), "x of 2.3 and 2");
const t = translator({ en: { hi: "Hi {name}" }, es: { hi: "Hola {name}" } }, "es");
assert.equal(t("hi", { name: "Ana" }), "Hola Ana");
assert.equal(t("unknown", {}, "the server's own words"), "the server's own words");

// D1: webm/opus, ogg/opus (Firefox), mp4 (Safari), in this order.
const supports = (...types) => recordingType((type) => types.includes(type));
assert.equal(supports("audio/mp4", "audio/webm;codecs=opus"), "audio/webm;codecs=opus");
assert.equal(supports("audio/mp4", "audio/ogg;codecs=opus"), "audio/ogg;codecs=opus");
assert.equal(supports("audio/mp4"), "audio/mp4");
assert.equal(supports(), "");

assert.equal(problemOf({ name: "NotAllowedError" }).key, "notebook.microphone_denied");
assert.equal(problemOf(new InsecureContextError("")).key, "notebook.microphone_insecure");
assert.equal(problemOf({ name: "Odd", message: "why" }).parameters.reason, "why");

// Whole numbers are digits alone on the wire, and JSON.parse doesn't show how 3 was written: what has a fraction is refused.
const ping = (number) => decode_server_message(`{"type":"server:ping","sent_ms":${number}}`).sent_ms;
for (const number of ["3", "3.0", "3e0"]) assert.equal(ping(number), 3);
for (const number of ["-0.0", "3.5", '"3"', "true", "9007199254740992"]) assert.throws(() => ping(number), RtsttError);

assert.equal(crc32(new TextEncoder().encode("123456789")), 0xcbf43926); // the check value of the CRC-32 catalogue
console.log("all decided");

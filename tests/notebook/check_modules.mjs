// What the page's modules decide without a page.
//   node check_modules.mjs STATIC_FOLDER

import assert from "node:assert/strict";
import { argv } from "node:process";
import { pathToFileURL } from "node:url";

const load = (name) => import(new URL(`${name}.js`, pathToFileURL(`${argv[2]}/`)));
const { addresses, pageOrigin } = await load("transport");
const { actionsOf, clockTime } = await load("view");
const { fill, translator } = await load("texts");
const { recordingType } = await load("recorder");
const { problemOf, InsecureContextError } = await load("microphone");
const { SHOWN } = await load("tables");
const { crc32 } = await load("windows");

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
    const offered = actionsOf({ shown, phase, usable: true });
    assert.equal(offered.length === 0, shown === "finalizing", `${shown}/${phase}`);
  }
}
assert.deepEqual(actionsOf({ shown: "recording", phase: "recording", usable: true }), ["pause", "stop"]);
assert.deepEqual(actionsOf({ shown: "reconnecting", phase: "paused", usable: true }), ["resume", "stop"]);
assert.deepEqual(actionsOf({ shown: "connected", phase: "idle", usable: false }), ["retry"]);

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

assert.equal(crc32(new TextEncoder().encode("123456789")), 0xcbf43926); // the check value of the CRC-32 catalogue
console.log("all decided");

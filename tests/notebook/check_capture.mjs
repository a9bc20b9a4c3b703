// What the widget does from its first button to its end, on a page, a microphone and sockets that are made of objects.
//   node check_capture.mjs BUNDLE

import assert from "node:assert/strict";
import { argv } from "node:process";
import { pathToFileURL } from "node:url";

class Element {
  children = [];
  dataset = {};
  style = {};
  listeners = {};
  setAttribute(name, value) {
    if (name === "data-action") this.action = value;
  }
  append(...children) {
    this.children.push(...children);
  }
  replaceChildren(...children) {
    this.children = children;
  }
  contains() {
    return false;
  }
  hasChildNodes() {
    return this.children.length > 0;
  }
  addEventListener(name, listener) {
    this.listeners[name] = listener;
  }
  *[Symbol.iterator]() {
    yield this;
    for (const child of this.children) if (child instanceof Element) yield* child;
  }
}

class Socket {
  static OPEN = 1;
  static all = [];
  readyState = 1;
  sent = [];
  closed = null;
  constructor() {
    Socket.all.push(this);
  }
  send(frame) {
    this.sent.push(frame);
  }
  close(code) {
    this.closed = code;
  }
  hear(message) {
    this.onmessage({ data: JSON.stringify(message) });
  }
  get said() {
    return this.sent.map((frame) => (typeof frame === "string" ? JSON.parse(frame) : { type: "audio" }));
  }
}

class Recorder extends EventTarget {
  state = "inactive";
  mimeType = "audio/webm;codecs=opus";
  static isTypeSupported() {
    return true;
  }
  start() {
    this.state = "recording";
  }
  stop() {
    this.state = "inactive";
    setTimeout(() => {
      this.ondataavailable({ data: new Blob(["the last piece"]) });
      this.dispatchEvent(new Event("stop"));
    });
  }
}

// Node reads a blob on a thread, in its own time; here what was recorded is there as soon as it is asked for.
Blob.prototype.arrayBuffer = async function () {
  return new ArrayBuffer(this.size);
};

const timers = new Map();
const { setTimeout: later, clearTimeout: never } = globalThis;
globalThis.setTimeout = (act, ms) => {
  const timer = later(() => timers.delete(timer) && act(), ms);
  timers.set(timer, ms);
  return timer;
};
globalThis.clearTimeout = (timer) => {
  timers.delete(timer);
  never(timer);
};
const node = () => ({ connect() {} });
Object.assign(globalThis, {
  WebSocket: Socket,
  MediaRecorder: Recorder,
  MediaStream: class {
    getAudioTracks = () => [];
  },
  AudioContext: class {
    state = "running";
    createMediaStreamSource = node;
    resume() {}
    async close() {}
  },
  AnalyserNode: class {
    fftSize = 1024;
    getFloatTimeDomainData() {}
  },
  location: { origin: "http://localhost:8888", protocol: "http:", hostname: "localhost", host: "localhost:8888" },
  document: { createElement: () => new Element(), getElementById: () => null, body: { dataset: {} } },
  requestAnimationFrame: (draw) => draw(),
  cancelAnimationFrame() {},
});
Object.defineProperty(globalThis, "navigator", { value: { mediaDevices: {} } });

const widget = (await import(pathToFileURL(argv[2]))).default;
const tick = () => new Promise((resolve) => later(resolve, 20));

/** A widget and its page, the session's socket greeted. */
async function page() {
  const told = [];
  const heard = {};
  const traits = { stream: "IPY_MODEL_1", ui_language: "en", timeslice_ms: 250, bits_per_second: 24000 };
  const camera = { get: () => undefined, captureStream: async () => new MediaStream() };
  const model = {
    get: (name) => traits[name],
    send: (message) => told.push(message),
    on: (name, act) => (heard[name] = act),
    widget_manager: { get_model: async () => camera },
  };
  const made = widget();
  const close = made.initialize({ model });
  const el = new Element();
  made.render({ el });
  const say = heard["msg:custom"];
  const press = async (action) => {
    [...el].find((child) => child.action === action).listeners.click();
    await tick();
  };
  const offers = () => [...el].flatMap((child) => child.action ?? []);
  const strings = ({ children }) => children.filter((child) => typeof child === "string");
  const texts = () => [...el].flatMap(strings).join("");
  return { told, say, press, offers, texts, close };
}

async function recording() {
  const made = await page();
  await made.say({ type: "access", session_id: "s", token: "t", port: 1, path: "/api/streaming/sessions/s/ws" });
  const socket = Socket.all.at(-1);
  socket.onopen();
  const sync = { token: "u", phase: "idle", next_seq: 0, committed_seq: 0, resume_seq: 0, controls: 0, last_event: 0 };
  const rest = { received: {}, credit_ms: 120_000 };
  const created = { session_id: "s", protocol: "rtstt.v1", model: "base", language: null, limits: {} };
  socket.hear({ type: "server:session_created", ...created, sync: { ...sync, ...rest } });
  await made.press("start");
  return { ...made, socket, sync: { ...sync, ...rest } };
}

// A widget that is closed while it records brings its last chunk, and leaves nothing behind that would connect again.
{
  const { socket, close } = await recording();
  await close();
  await tick();
  assert.equal(socket.said.at(-1).type, "audio");
  assert.equal(socket.closed, 1000);
  assert.deepEqual([...timers.values()], [1000]); // the recorder's own patience
}

// One that Python closes ends its session, which is saved; a page that only goes away does not.
{
  const { socket, say, close } = await recording();
  await say({ type: "ending" });
  await close();
  const { action, at_seq } = socket.said.at(-1);
  assert.deepEqual([action, at_seq], ["stop", 1]);
}

// What a session left behind that is not there any more is shown to a page that was loaded again, and a new one offered.
{
  const made = await page();
  const words = [{ text: " Good morning.", start_ms: 0, end_ms: 900, probability: 0.9 }];
  const past = { session_id: "s", audio_ms: 1000, summary: { file: "" }, finals: [{ words }], latency: null };
  await made.say({ type: "finished", ...past, shown: "error", phase: "failed" });
  assert.match(made.texts(), /Good morning/);
  assert.deepEqual(made.offers(), ["renew"]);
  await made.say({ type: "finished", ...past });
  assert.deepEqual(made.offers(), ["renew"]);
}

// Cut off while it is finished, a page stays for the words that it missed before it offers a new session.
{
  const { socket, press, offers, texts, sync, told } = await recording();
  await press("stop");
  socket.onclose({ code: 1006, reason: "" });
  while (Socket.all.at(-1) === socket) await tick();
  const again = Socket.all.at(-1);
  again.onopen();
  const missed = { ...sync, phase: "completed", next_seq: 1, controls: 2, last_event: 2 };
  again.hear({ type: "server:status", state: "connected", phase: "completed", resumed: true, sync: missed });
  await new Promise((resolve) => later(resolve, 150));
  assert.deepEqual(offers(), []);
  assert.equal(told.at(-1).state, "finalizing");
  const words = [{ text: " Good morning.", start_ms: 0, end_ms: 900, probability: 0.9 }];
  const heard = { segment: 0, text: "Good morning.", words, confidence: 0.9, language: "en", audio_end_ms: 1000 };
  again.hear({ type: "server:transcription_final", ...heard, event: 1 });
  const counted = { received: {}, file: "t.txt", complete: true, language: "en", latency: null };
  const summary = { duration_s: 1, words: 2, confidence: 0.9, ...counted };
  again.hear({ type: "server:session_completed", summary, event: 2 });
  await new Promise((resolve) => later(resolve, 150));
  assert.match(texts(), /Good morning/);
  assert.deepEqual(offers(), ["renew"]);
  assert.equal(told.at(-1).state, "completed");
}

console.log("all done");

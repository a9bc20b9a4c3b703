// Replays traces of the Python session (scripts/make_traces.py) on session.js.
//   node replay_traces.mjs SESSION.js TRACES.jsonl      one line for each difference found, exit code 1 if there is any

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { argv, exit } from "node:process";
import { pathToFileURL } from "node:url";

const { ClientSession, as_json } = await import(pathToFileURL(argv[2]));
const { RtsttError } = await import(new URL("messages.js", pathToFileURL(argv[2])));
const base64 = (bytes) => Buffer.from(bytes).toString("base64");

function call(session, { call: name, args, now }) {
  switch (name) {
    case "send_audio": {
      const { payload, ...rest } = args;
      return session.send_audio(new Uint8Array(Buffer.from(payload, "base64")), { ...rest, now });
    }
    case "link_lost":
      return session.link_lost(args.reason, now, args.code);
    case "block_answered":
      return session.block_answered(args.block, args.receipt, now);
    case "block_failed":
      return session.block_failed(args.block, args.reason, now, args);
    case "receive_text":
      return session.receive_text(args.frame, now);
    default:
      return session[name](now);
  }
}

function frameAsJson(frame) {
  if (typeof frame === "string") return { text: JSON.parse(frame) };
  const length = new DataView(frame.buffer).getUint32(0, true);
  const header = JSON.parse(new TextDecoder().decode(frame.subarray(4, 4 + length)));
  return { audio: header, payload: base64(frame.subarray(4 + length)) };
}

// The texts of an error found on this side are the reader's: Python has them at hand, the page looks them up by their code.
function withoutProse(event) {
  if (event.type !== "ErrorReceived") return event;
  const { message: _, parameters: { reason: __, ...parameters } = {}, ...message } = event.message;
  return { ...event, message: { ...message, parameters } };
}

// A part of which every field has its default is written by Python only if it came so.
const withoutEmpty = (event) => {
  const empty = (value) => typeof value === "object" && value !== null && Object.keys(value).length === 0;
  return JSON.parse(JSON.stringify(event), (_, value) => (empty(value) ? undefined : value));
};

const withBody = (event) => (event.type === "SendBlock" ? { ...event, body: base64(event.body) } : event);

function step(session, expected) {
  let returns = null;
  let raises = null;
  try {
    returns = call(session, expected) ?? null;
  } catch (error) {
    if (!(error instanceof RtsttError)) throw error;
    raises = error.key;
  }
  const events = session.events().map(as_json).map(withBody).map(withoutProse).map(withoutEmpty);
  const data = session.data_to_send(expected.now).map(frameAsJson);
  const { link, phase, mode, shown, held_ms, ledger, latency } = session;
  const state = { link, phase, mode, shown, held_ms, finals: session.finals.length, ledger, latency };
  const found = { returns, raises, events, data, deadline: session.next_deadline(), state };
  const { call: _, args: __, now: ___, ...wanted } = expected;
  assert.deepEqual(found, { ...wanted, events: wanted.events.map(withoutProse).map(withoutEmpty) });
}

let failures = 0;
let steps = 0;
for (const line of readFileSync(argv[3], "utf-8").trimEnd().split("\n")) {
  const { seed, session: { session_id, token, settings }, steps: expected } = JSON.parse(line);
  const session = new ClientSession(session_id, token, settings);
  for (const [index, wanted] of expected.entries()) {
    try {
      step(session, wanted);
      steps += 1;
    } catch (error) {
      console.log(`seed ${seed}, step ${index} (${wanted.call}): ${error.stack}`);
      failures += 1;
      break;
    }
  }
}
console.log(`${steps} steps`);
exit(failures ? 1 : 0);

/** Reads and writes the frames of rtstt.v1 by the schemas of the Python types. Twin of `protocol/messages.py`. */

import { MESSAGES, SCHEMAS } from "./tables.js";

/** An error of the house: a key of the catalogue and its placeholders. */
export class RtsttError extends Error {
  constructor(key, parameters) {
    super(key);
    this.key = key;
    this.parameters = parameters;
  }
}

class Mismatch extends Error {}

const TYPES = {
  integer: (value) => Number.isInteger(value) && !Object.is(value, -0), // JSON.parse reads 3.0 as 3
  number: Number.isFinite,
  string: (value) => typeof value === "string" && !/\p{Surrogate}/u.test(value), // half of a pair is no text
  boolean: (value) => typeof value === "boolean",
  null: (value) => value === null,
  array: Array.isArray,
  object: (value) => typeof value === "object" && value !== null && !Array.isArray(value),
};

const BOUNDS = {
  minimum: (value, bound) => value >= bound,
  maximum: (value, bound) => value <= bound,
  maxLength: (value, bound) => [...value].length <= bound,
  minItems: (value, bound) => value.length >= bound,
  maxItems: (value, bound) => value.length <= bound,
  enum: (value, allowed) => allowed.includes(value),
};

/** The value as its schema has it: defaults filled in, unknown fields left out. */
function read(schema, value, path) {
  if (schema.$ref) return read(SCHEMAS[schema.$ref], value, path);
  if (schema.anyOf) return readAny(schema.anyOf, value, path);
  const fail = () => {
    throw new Mismatch(path);
  };
  if (schema.type && !TYPES[schema.type](value)) fail();
  for (const [name, holds] of Object.entries(BOUNDS)) if (name in schema && !holds(value, schema[name])) fail();
  if (schema.type === "array") {
    return value.map((item, index) => read(schema.prefixItems?.[index] ?? (schema.items || {}), item, `${path}[${index}]`));
  }
  if (schema.type === "object") return readObject(schema, value, path);
  return value;
}

function readAny(schemas, value, path) {
  for (const schema of schemas) {
    try {
      return read(schema, value, path);
    } catch (error) {
      if (!(error instanceof Mismatch)) throw error;
    }
  }
  throw new Mismatch(path);
}

function readObject({ properties = {}, required = [], additionalProperties }, value, path) {
  for (const name of required) if (!(name in value)) throw new Mismatch(`${path}.${name}`);
  const result = {};
  for (const [name, schema] of Object.entries(properties)) {
    if (name in value) result[name] = read(schema, value[name], `${path}.${name}`);
    // A default of its own for each: {} stands for an object of which every field has one.
    else result[name] = schema.default === undefined ? undefined : read(schema, structuredClone(schema.default), path);
  }
  for (const name of additionalProperties ? Object.keys(value) : []) {
    if (!(name in properties)) result[name] = read(additionalProperties, value[name], `${path}.${name}`);
  }
  return result;
}

/** The opposite of reading: without the fields that have their default. */
function written(schema, value) {
  if (schema.$ref) return written(SCHEMAS[schema.$ref], value);
  if (schema.discriminator) return plain(value);
  if (schema.anyOf) return value === null ? null : written(schema.anyOf.find(({ type }) => type !== "null"), value);
  if (schema.type === "array") return value.map((item) => written(schema.items || {}, item));
  if (!schema.properties) return value;
  const result = {};
  for (const [name, field] of Object.entries(schema.properties)) {
    if (!(name in value)) continue;
    const short = written(field, value[name]);
    // As msgspec does it: a part with fields of its own is always written.
    if (field.$ref || JSON.stringify(short) !== JSON.stringify(field.default)) result[name] = short;
  }
  return result;
}

/** A message (or a part: give its name) as plain JSON, defaults left off, as it goes over the wire. */
export function plain(message, name = MESSAGES[message.type]) {
  return written(SCHEMAS[name], message);
}

/** The text frame of a message. */
export function encode(message) {
  return JSON.stringify(plain(message));
}

/** Reads a server's text frame; throws an RtsttError for one that is malformed. */
export function decode_server_message(frame) {
  return decoded(() => {
    const value = JSON.parse(frame);
    const name = String(value?.type).startsWith("server:") ? MESSAGES[value.type] : undefined;
    if (!name) throw new Mismatch("$.type");
    return read(SCHEMAS[name], value, "$");
  });
}

/** Which chunks a `chunk_lost` names, and why; throws an RtsttError where it does not say. */
export function decode_lost({ parameters }) {
  return decoded(() => {
    const lost = read(SCHEMAS.ChunksLost, parameters, "$.parameters");
    if (lost.last < lost.first) throw new Mismatch("$.parameters.last");
    return lost;
  });
}

/** Reads the answer to a block, already parsed; throws an RtsttError for one that is malformed. */
export function decode_receipt(value) {
  return decoded(() => read(SCHEMAS.BlockReceipt, value, "$"));
}

function decoded(act) {
  try {
    return act();
  } catch (error) {
    if (error instanceof Mismatch || error instanceof SyntaxError) {
      throw new RtsttError("frame_malformed", { reason: error.message.slice(0, 200) });
    }
    throw error;
  }
}

/** The binary frame of one chunk: the header's length, the header, the payload. */
export function encode_audio(header, payload) {
  const head = new TextEncoder().encode(encode(header));
  const frame = new Uint8Array(4 + head.length + payload.length);
  new DataView(frame.buffer).setUint32(0, head.length, true);
  frame.set(head, 4);
  frame.set(payload, 4 + head.length);
  return frame;
}

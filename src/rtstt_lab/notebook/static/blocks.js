/** When a block goes out, is repeated, or gives up. Twin of `protocol/client_blocks.py` and of `protocol/blocks.py`. */

import { encode } from "./messages.js";
import { earliest } from "./timing.js";

const LEAST_BYTES = 2 ** 16;

/** The body of a block: buttons and figures, each with its length before it, then chunks as `encode_audio` writes them. */
export function encode_block(messages, frames) {
  const records = messages.map((message) => {
    const head = new TextEncoder().encode(encode(message));
    const record = new Uint8Array(4 + head.length);
    new DataView(record.buffer).setUint32(0, head.length, true);
    record.set(head, 4);
    return record;
  });
  const parts = [...records, ...frames];
  const body = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    body.set(part, at);
    at += part.length;
  }
  return body;
}

/** Where the server stands after a block. */
export function sync_of(receipt, token) {
  const { next_seq, committed_seq, resume_seq, controls, received, credit_ms } = receipt.ack;
  const { phase, last_event, next_stream, audio_ms, header_seq, end_seq } = receipt;
  const marks = { next_seq, committed_seq, resume_seq, controls, received, credit_ms };
  const place = { phase, last_event, next_stream, audio_ms, header_seq, end_seq };
  return { ...marks, ...place, token: receipt.token ?? token };
}

/** One block on its way at a time; its answer says what the next one holds. */
export class BlockPace {
  active = false;
  synchronised = false;
  number = 0;
  max_bytes;
  reason = "";
  #settings;
  #failures = 0;
  #send_at = null;
  #answer_by = null;
  #give_up_at = null;
  #stable_s;
  #try_link_at = null;
  #tries_link = false;

  constructor(settings) {
    this.#settings = settings;
    this.max_bytes = settings.max_block_bytes;
    this.#stable_s = settings.block_stable_s;
  }

  /** Blocks from now on; `tries_link`: the link is tried again when they get through. */
  enter(now, { tries_link }) {
    if (!this.active) {
      this.active = true;
      this.synchronised = false;
      this.#send_at = now;
      this.#failures = 0;
      this.#give_up_at = now + this.#settings.block_patience_s;
    }
    this.#tries_link = tries_link;
    this.#try_link_at = null;
  }

  /** No more blocks; what is on its way is not waited for. */
  leave() {
    this.active = false;
    this.#send_at = this.#answer_by = this.#give_up_at = this.#try_link_at = null;
    this.#stable_s = this.#settings.block_stable_s;
  }

  /** Something was pressed: the next block need not wait, unless the last one failed. */
  hasten(now) {
    if (this.#send_at !== null && !this.#failures) this.#send_at = Math.min(this.#send_at, now);
  }

  get deadline() {
    return earliest(this.#send_at, this.#answer_by, this.#give_up_at, this.#try_link_at);
  }

  /** What is to be done by now: "send", "timeout", "give_up", "try_link", or null. */
  due(now) {
    const isDue = (at) => at !== null && now >= at;
    if (isDue(this.#give_up_at)) return "give_up";
    if (isDue(this.#answer_by)) return "timeout";
    if (isDue(this.#try_link_at)) {
      this.#try_link_at = null;
      this.#stable_s = Math.min(2 * this.#stable_s, this.#settings.max_block_stable_s);
      return "try_link";
    }
    return isDue(this.#send_at) ? "send" : null;
  }

  /** A block goes out; returns its number. */
  sent(now) {
    this.number += 1;
    this.#send_at = null;
    this.#answer_by = now + this.#settings.block_timeout_s;
    return this.number;
  }

  /** Whether the answer to this block is still waited for. */
  awaits(block) {
    return this.#answer_by !== null && block === this.number;
  }

  /** The block was taken; `at_once`: there is more to send. */
  answered(now, { at_once }) {
    this.synchronised = true;
    this.max_bytes = Math.min(2 * this.max_bytes, this.#settings.max_block_bytes);
    this.#failures = 0;
    this.#answer_by = null;
    this.#send_at = at_once ? now : now + this.#settings.block_s;
    this.#give_up_at = now + this.#settings.block_patience_s;
    if (this.#tries_link && this.#try_link_at === null) this.#try_link_at = now + this.#stable_s;
  }

  /** The block did not get through, as far as is known: waits up to the ladder's last step. */
  failed(reason, now, retry_after_s) {
    this.reason = reason;
    this.synchronised = false;
    this.max_bytes = Math.max(Math.floor(this.max_bytes / 2), LEAST_BYTES);
    const ladder = this.#settings.backoff_s.length ? this.#settings.backoff_s : [this.#settings.block_s];
    const delay_s = ladder[Math.min(this.#failures, ladder.length - 1)];
    this.#failures += 1;
    this.#answer_by = this.#try_link_at = null;
    this.#send_at = now + Math.max(delay_s, retry_after_s);
  }

  /** The link was tried in vain: again when blocks have got through for longer. */
  link_failed(now) {
    if (this.#tries_link) this.#try_link_at = now + this.#stable_s;
  }
}
